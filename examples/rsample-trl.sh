#!/bin/sh
# Makes data sets for TRL out of prompts: K answers each, scored; the best one for SFT, best and worst for DPO.
# SPDX-License-Identifier: MIT
#
#   sh rsample-trl.sh MODEL REWARD-MODEL PROMPTS.jsonl OUT [K]
#
# OUT/sft.jsonl has prompt and completion, OUT/dpo.jsonl prompt, chosen, rejected and margin: what TRL's SFTTrainer
# and DPOTrainer (RewardTrainer, too) take as they are. OUT/answers.l2s keeps all answers with their scores; a run that was
# stopped goes on with what is missing there. TEMPLATE names the chat template (none, llama2, auto, ...),
# TEMPERATURE and TOKENS are those of l2-generate.

set -eu
if [ $# -lt 4 ] || [ $# -gt 5 ]; then
    echo "usage: sh rsample-trl.sh model reward-model prompts.jsonl out [k]" >&2
    exit 2
fi
model=$1 reward=$2 prompts=$3 out=$4 k=${5:-16}
mkdir -p "$out"

if [ ! -e "$out/answers.l2s" ]; then
    # The prompts' tokens are a file so that an interrupted l2-generate can go on.
    l2-tokenize -q -z "$model" --template "${TEMPLATE:-none}" --jsonl --force -o "$out/prompts.l2s" "$prompts"
    l2-generate -q -m "$model" -k "$k" -T "${TEMPERATURE:-1}" -n "${TOKENS:-0}" --resume -o "$out/generated.l2s" "$out/prompts.l2s"
    l2-score -q -m "$reward" --as reward --resume -o "$out/scored.l2s" "$out/generated.l2s"
    mv "$out/scored.l2s" "$out/answers.l2s"
    rm "$out/prompts.l2s" "$out/generated.l2s"
fi
l2-rsample -q --best 1 --by reward "$out/answers.l2s" | l2-tokenize -q -d -z "$model" --force -o "$out/sft.jsonl"
l2-rsample -q --pairs --margin --by reward "$out/answers.l2s" | l2-tokenize -q -d -z "$model" --force -o "$out/dpo.jsonl"
wc -l "$out/sft.jsonl" "$out/dpo.jsonl" >&2
