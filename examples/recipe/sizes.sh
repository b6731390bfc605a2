#!/bin/sh
# How good reward models are by the amount of data and the size of the model (the Llama 2 paper's figure 6).
# SPDX-License-Identifier: MIT
#
#   sh sizes.sh DIRECTORY
#
# DIRECTORY is a run of run.sh that has come as far as its preferences. A smaller model is pretrained and fine-tuned
# on the same data; from it and from the run's own, reward models are trained on an eighth, a quarter, a half and
# all of the helpfulness pairs, and measured on those of the test. DIRECTORY/sizes.jsonl gets a line for each, which
# l2-plot accuracy draws. What is there is not made again. SHAPE is the smaller model's; PRETRAIN, SFT and REWARD
# are options of l2-train.

set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
command -v l2-train >/dev/null || PATH=$here/../../build/cmd:$PATH
if [ $# -ne 1 ]; then
    echo "usage: sh sizes.sh directory" >&2
    exit 2
fi
cd "$1"
shape=${SHAPE:---dim 64 --hidden 172 --n-layers 2 --n-heads 2 --n-kv-heads 1}
pretrain=${PRETRAIN:---context 128 --batch 16 --micro-batch 16 --lr 4e-3 --warmup 100}
sft=${SFT:---epochs 2 --batch 16 --micro-batch 16 --lr 1e-3}
reward=${REWARD:---epochs 2 --batch 32 --micro-batch 16 --lr 5e-4 --margins small}

# trained OUT SUBCOMMAND MODEL OPTION...: a model, unless it is there; the summary is kept in OUT.summary
trained() {
    out=$1 kind=$2 from=$3
    shift 3
    [ ! -e "$out" ] || return 0
    printf 'sizes: %s\n' "$out" >&2
    l2-train "$kind" -m "$from" -o "$out.new" --resume -j "${THREADS:-2}" "$@" 2>"$out.said" || { tail -n 5 "$out.said" >&2 && exit 1; }
    sed -n '/^{/p' "$out.said" >"$out.summary"
    mv "$out.new" "$out"
    rm -rf "$out.new.ckpt" "$out.said"
}

mkdir -p sizes
# shellcheck disable=SC2086 # lists of options
if [ ! -e sizes/sft ]; then
    [ -e sizes/init ] || l2-model init -q -z vocabulary.model -s 1 $shape --context 192 --tied -o sizes/init tiny --presets "$here/../presets"
    trained sizes/base pretrain sizes/init --data text.l2s $pretrain
    trained sizes/sft sft sizes/base --data dialogues.l2s $sft
fi
if [ ! -e sizes/test.l2s ]; then
    grep '"risky":false' test-pairs.jsonl |
        l2-tokenize -q -z vocabulary.model --jsonl --template llama2 --force -o sizes/test.l2s.new
    mv sizes/test.l2s.new sizes/test.l2s
fi
all=$(l2-cat -q --stats --json helpful-pairs.l2s | sed -n 's/.*"records":\([0-9]*\).*/\1/p' | head -n 1)

for size in small full; do
    [ $size = small ] && from=sizes/sft || from=sft
    for share in 8 4 2 1; do
        name=sizes/$size-$share
        [ ! -e "$name.json" ] || continue
        # shellcheck disable=SC2086
        l2-cat -q --head $((all / share)) helpful-pairs.l2s | trained "$name" reward "$from" --data - $reward
        l2-score -m "$name" --as reward sizes/test.l2s 2>&1 >/dev/null |
            sed -n 's/.*"pairs":{"n":\([0-9]*\),"accuracy":\([0-9.]*\).*/\1 \2/p' >"$name.accuracy"
        if ! read -r n accuracy <"$name.accuracy"; then
            echo "sizes: test-pairs.jsonl has no helpfulness pairs" >&2
            exit 1
        fi
        sed "s/^{/{\"eval_pairs\":$n,\"eval_accuracy\":$accuracy,/" "$name.summary" >"$name.json.new"
        mv "$name.json.new" "$name.json"
        rm -r "$name" "$name.accuracy" "$name.summary"
    done
done
for size in small full; do
    cat sizes/$size-8.json sizes/$size-4.json sizes/$size-2.json sizes/$size-1.json
done >sizes.jsonl
