#!/bin/sh
# The whole recipe on a small world: from raw text to a chat model, with a table of what each stage brought.
# SPDX-License-Identifier: MIT
#
#   sh examples/recipe/run.sh [--small] DIRECTORY
#
# The programs are those on PATH, or in build/cmd beside the examples. Everything is made in DIRECTORY. A stage
# whose output is there is left out, so a run that was stopped goes on where it was, and a second run only
# prints the table again. --small makes a model that has hardly learnt anything, in a minute: it shows that all
# stages work. The same machine and number of threads (THREADS, 2) give the same table.
#
# What to expect at full size: the fine-tuned model answers 87 % of the test right greedily and 53 % at temperature 1.
# A reward model from 6800 pairs of its answers is right on 66 to 68 % of the test's pairs, and that is too little: the
# best of 16 answers by it are right less often (36 to 39 %) than answers drawn at random (63 %, harmless tasks alone).
# The rounds measure this before they train, and end there. More comparisons are the first thing to try.

set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
command -v l2-train >/dev/null || PATH=$here/../../build/cmd:$PATH

size=full
if [ "${1-}" = --small ]; then
    size=small
    shift
fi
if [ $# -ne 1 ]; then
    echo "usage: sh run.sh [--small] directory" >&2
    exit 2
fi
threads=${THREADS:-2}

# ---- sizes ----

if [ $size = full ]; then
    documents=80000 dialogues=4000 compared=16000 asked=2000 tested=600 rounds=4 answers=16
    shape="--dim 128 --hidden 344 --n-layers 4 --n-heads 4 --n-kv-heads 2"
    ppo="--iterations 60 --batch 256 --mini-batch 64 --lr 2e-5 --kl-coef 0.02 --held-out 0.05 --eval-every 10"
else
    documents=1500 dialogues=400 compared=200 asked=64 tested=64 rounds=1 answers=4
    shape="--dim 32 --hidden 64 --n-layers 2 --n-heads 2 --n-kv-heads 2"
    ppo="--iterations 2 --batch 32 --mini-batch 16 --lr 1e-5"
fi
pretrain="--context 128 --batch 16 --micro-batch 16 --lr 4e-3 --warmup 100"
sft="--epochs 2 --batch 16 --micro-batch 16 --lr 1e-3"
reward="--epochs 2 --batch 32 --micro-batch 16 --lr 5e-4 --margins small"
round="--epochs 1 --batch 16 --micro-batch 16 --lr 3e-4"
mistakes=0.3        # share of the annotators' answers that are wrong

mkdir -p "$1"
cd "$1"
if [ -f size ] && [ "$(cat size)" != $size ]; then
    echo "recipe: $1 was made at size $(cat size)" >&2
    exit 1
fi
echo $size >size

# ---- stages ----

# stage NAME OUTPUT FUNCTION: runs FUNCTION, which makes OUTPUT.new, unless OUTPUT is there
stage() {
    [ ! -e "$2" ] || return 0
    printf 'recipe: %s\n' "$1" >&2
    begun=$(date +%s)
    out=$2
    "$3"
    if [ -e "$2.new" ]; then
        mv "$2.new" "$2"
        rm -rf "$2.new.ckpt"
    fi
    if [ ! -e "$2" ]; then
        echo "recipe: stopped while it made $2; run it again to go on" >&2
        exit 1
    fi
    printf '%s\t%s\n' "$1" $(($(date +%s) - begun)) >>times.tsv
}

world() {
    what=$1 n=$2 seed=$3
    shift 3
    awk -v what="$what" -v n="$n" -v seed="$seed" "$@" -f "$here/world.awk"
}
judge() {
    awk "$@" -f "$here/judge.awk"
}
encode() {
    l2-tokenize -q -z vocabulary.model --jsonl --template llama2 "$@"
}
decode() {
    l2-tokenize -q -d -z vocabulary.model
}

text() {
    world text $documents 1 | l2-clean -q --lines --rules "$here/rules.yaml" --report clean.json --force -o "$out.new"
}
vocabulary() {
    l2-vocab -q --size 512 --symbol '[INST]' --symbol '[/INST]' --force -o "$out.new" text
}
tokens() {
    l2-tokenize -q -z vocabulary.model --lines text --force -o "$out.new"
}
# shellcheck disable=SC2086 # lists of options
pretrain() {
    [ -e init ] || l2-model init -q -z vocabulary.model -s 1 $shape --context 192 --tied -o init tiny --presets "$here/../presets"
    l2-train pretrain -q -j $threads -m init -o "$out.new" --resume --data text.l2s --log pretrain.jsonl $pretrain
}
dialogues() {
    world sft $dialogues 2 -v error=$mistakes | encode --force -o "$out.new"
}
# shellcheck disable=SC2086
sft() {
    l2-train sft -q -j $threads -m base -o "$out.new" --resume --data dialogues.l2s --log sft.jsonl $sft
}
# Prompts: to compare answers of, to learn from in the rounds, to measure the rounds on, and the test's.
compared() { world prompts $compared 3 | encode --force -o "$out.new"; }
asked() { world prompts $asked 4 | encode --force -o "$out.new"; }
checked() { world prompts $tested 5 | encode --force -o "$out.new"; }
tested() { world prompts $tested 6 -v part=test | encode --force -o "$out.new"; }

# Preferences: two pairs of the model's answers a prompt. Harmful requests and those that look like them go
# to the safety reward model, with a tenth of the others; the helpfulness reward model gets all others.
preferences() {
    l2-generate -q -j $threads -m sft -k 4 -n 32 -s 5 --resume -o answers.l2s compared.l2s
    decode <answers.l2s | judge -v what=pairs | l2-prefs -q --unique --margins small >"$out.new"
    rm answers.l2s
}
helpful_pairs() {
    grep '"risky":false' preferences.jsonl | encode --force -o "$out.new"
}
safe_pairs() {
    awk '/"risky":true/ || n++ % 10 == 0' preferences.jsonl | encode --force -o "$out.new"
}
# shellcheck disable=SC2086
helpful() {
    l2-train reward -q -j $threads -m sft -o "$out.new" --resume --data helpful-pairs.l2s --log helpful.jsonl $reward
}
# shellcheck disable=SC2086
safe() {
    l2-train reward -q -j $threads -m sft -o "$out.new" --resume --data safe-pairs.l2s --log safe.jsonl --safety 0.5 $reward
}
# Their accuracy: pairs of answers to the test's prompts, compared without a mistake.
test_pairs() {
    l2-generate -q -j $threads -m sft -k 4 -n 32 -s 6 tested.l2s | decode | judge -v what=pairs -v care=1000 -v ties=0 >"$out.new"
}
accuracy() {
    for kind in helpful safe; do
        [ $kind = safe ] && flag=true || flag=false
        grep "\"risky\":$flag" test-pairs.jsonl | encode | l2-score -m $kind --as $kind --by-field rating 2>$kind.summary >/dev/null
        sed "s/^{/{\"model\": \"$kind\", /" $kind.summary
    done >"$out.new"
}

settings() {
    cat >"$out.new" <<SETTINGS
MODEL=sft HELPFUL=helpful SAFE=safe TAG=risky PROMPTS=asked.l2s CHECK=checked.l2s
SFT=dialogues.l2s MIX="3 1" ROUNDS=$rounds K=$answers TOKENS=32 CURVE=100 TEMPERATURES="0.6 0.8 1"
TRAIN="-j $threads $round"
PPO="-j $threads $ppo"
JUDGE="l2-tokenize -q -d -z vocabulary.model | awk -v what=mean -f '$here/judge.awk'"
SETTINGS
}
rounds() {
    sh "$here/../rounds.sh" settings rounds
}

# Evaluation: four answers at temperature 1 to each prompt of the test, with both rewards and the log-probability
# under the model and under SFT; and one greedy answer.
evaluate() {
    mkdir -p eval
    l2-generate -q -j $threads -m "$model" -k 4 -n 32 -s 9 tested.l2s | l2-score -q -m helpful --as helpful | l2-score -q -m safe --as safe |
        l2-score -q -m "$model" --logprob sum --as own | l2-score -q -m sft --logprob sum --as sft |
        decode | judge -v what=tsv -v scores="helpful safe own sft" >"$out.new"
    l2-generate -q -j $threads -m "$model" -T 0 -n 32 tested.l2s | decode | judge -v what=summary >eval/"$name".greedy
}

stage 'text' text text
stage 'vocabulary' vocabulary.model vocabulary
stage 'text to tokens' text.l2s tokens
stage 'pretraining' base pretrain
stage 'dialogues' dialogues.l2s dialogues
stage 'fine-tuning' sft sft
stage 'prompts to compare' compared.l2s compared
stage 'prompts of the rounds' asked.l2s asked
stage 'prompts to check' checked.l2s checked
stage 'prompts of the test' tested.l2s tested
stage 'preferences' preferences.jsonl preferences
stage 'helpful pairs' helpful-pairs.l2s helpful_pairs
stage 'safety pairs' safe-pairs.l2s safe_pairs
stage 'helpfulness reward model' helpful helpful
stage 'safety reward model' safe safe
stage 'pairs of the test' test-pairs.jsonl test_pairs
stage 'reward accuracy' accuracy.jsonl accuracy
stage 'settings of the rounds' settings settings
stage 'rounds' rounds/final rounds
for model in base sft rounds/v*/model rounds/ppo/model; do
    [ -d "$model" ] || continue
    name=$(echo "$model" | sed 's|^rounds/||; s|/model$||')
    stage "evaluation of $name" "eval/$name.tsv" evaluate
done

# ---- the table ----

sh "$here/table.sh" | tee table.txt
