#!/bin/sh
#SBATCH --job-name=l2-rsample
#SBATCH --array=1-8
#SBATCH --requeue
# Rejection sampling on many machines: each task of a Slurm job array answers and scores its share of the prompts.
# SPDX-License-Identifier: MIT
#
#   sbatch slurm-array.sh MODEL REWARD-MODEL PROMPTS.l2s OUT
#   parallel -j 2 sh slurm-array.sh MODEL REWARD-MODEL PROMPTS.l2s OUT {}/8 ::: 1 2 3 4 5 6 7 8
#   cat OUT-*.l2s | l2-rsample --best 1 -o best.l2s
#
# The second line does the same with GNU parallel, on one machine or, with its --sshlogin, on several. A share
# depends on the prompts' ids alone and answers depend on nothing but seed, id and number, so that the shards together
# are what one run would have made, whatever their number. A task that was preempted and requeued goes on where it was.
# SEED, K, TEMPERATURE and TOKENS are those of l2-generate.

set -eu
if [ $# -lt 4 ] || [ $# -gt 5 ]; then
    echo "usage: slurm-array.sh model reward-model prompts.l2s out [i/n]" >&2
    exit 2
fi
model=$1 reward=$2 prompts=$3 out=$4
shard=${5:-${SLURM_ARRAY_TASK_ID:?is not set: run this with sbatch, or give i/n}/${SLURM_ARRAY_TASK_COUNT:?is not set}}
mine=$out-$(echo "$shard" | tr / -).l2s
[ ! -e "$mine" ] || exit 0

threads=${SLURM_CPUS_PER_TASK:+-j $SLURM_CPUS_PER_TASK}
# shellcheck disable=SC2086 # two words, or none
l2-generate $threads -m "$model" --shard "$shard" -s "${SEED:-0}" -k "${K:-16}" -T "${TEMPERATURE:-1}" -n "${TOKENS:-0}" \
    --resume -o "$mine.answers" "$prompts"
# shellcheck disable=SC2086
l2-score $threads -m "$reward" --as reward --resume -o "$mine.scored" "$mine.answers"
mv "$mine.scored" "$mine"
rm "$mine.answers"
