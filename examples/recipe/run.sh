#!/bin/sh
# The whole recipe on a small world: from raw text to a chat model, with a table of what each stage brought.
# SPDX-License-Identifier: MIT
#
#   sh examples/recipe/run.sh [--small] DIRECTORY
#
# The programs are those on PATH, or in build/cmd beside the examples. Everything is made in DIRECTORY. A stage
# whose output is there is left out, so a run that was stopped goes on where it was, and a second run only
# prints the table again. --small makes a model that has hardly learnt anything, in a minute: it shows that all
# stages work. The same machine and number of threads (THREADS, 2) give the same table. Pictures are drawn where there
# is gnuplot.
#
# What to expect at full size: fine-tuned, the model answers 65 % of the test right at temperature 1 and 91 % greedily;
# V1 92 %, V2 93 %, PPO 95 %, 99 % greedily. V3 does not gain and is dropped. With its data in another order a run came
# less far: V1 86 % by the judge's grade instead of 94 %, and no V2. Three things decide that:
#
# - The base has to tell right answers from wrong ones, or no reward model made from it can: see world.awk and marks.
# - A reward model that was not trained again on V1's answers prefers what V1 gets wrong: the best of 16 by it are right
#   less often (86 %) than the average answer (87 %); trained again, 97 %.
# - Answers are drawn no hotter than those that were compared: from temperature 1.2 the reward model chooses worse.

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

pretrain="--bf16 --context 128 --batch 16 --micro-batch 16 --lr 3e-3 --warmup 200"
sft="--bf16 --context 192 --epochs 2 --batch 16 --micro-batch 16 --lr 1e-3"
reward="--bf16 --epochs 2 --batch 32 --micro-batch 16 --lr 5e-4 --margins small"
round="--bf16 --context 192 --epochs 2 --batch 16 --micro-batch 16 --lr 5e-4"
gatt="--bf16 --context 768 --batch 4 --micro-batch 4"
mistakes=0.3        # share of the annotators' answers that are wrong
if [ $size = full ]; then
    documents=135000 dialogues=4000 compared=24000 again=8000 asked=2000 tested=600 rounds=4 answers=16
    shape="--dim 128 --hidden 344 --n-layers 6 --n-heads 4 --n-kv-heads 2"
    smaller="--dim 64 --hidden 172 --n-layers 2 --n-heads 2 --n-kv-heads 1"
    ppo="--bf16 --iterations 60 --batch 256 --mini-batch 64 --lr 2e-5 --kl-coef 0.02 --held-out 0.05 --eval-every 10"
    newer="--steps 300 --batch 32 --micro-batch 16 --lr 3e-4"
    instructed=6000 attended=1600 followed=150 turns=20
else
    documents=6000 dialogues=1000 compared=400 again=100 asked=64 tested=64 rounds=1 answers=4
    pretrain="--bf16 --context 128 --batch 8 --micro-batch 8 --lr 5e-3 --warmup 50"
    shape="--dim 48 --hidden 128 --n-layers 2 --n-heads 2 --n-kv-heads 2"
    smaller="--dim 16 --hidden 32 --n-layers 1 --n-heads 1 --n-kv-heads 1"
    ppo="--bf16 --iterations 2 --batch 32 --mini-batch 16 --lr 1e-5"
    newer="--steps 4 --batch 32 --micro-batch 16 --lr 3e-4"
    instructed=100 attended=20 followed=8 turns=5
fi

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

. "$here/parts.sh"

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
    [ -e init ] || l2-model init -q -z vocabulary.model -s 1 $shape --context 768 --tied -o init tiny --presets "$here/../presets"
    l2-train pretrain -q -j $threads -m init -o "$out.new" --resume --data text.l2s --log pretrain.jsonl $pretrain
}
dialogues() {
    world sft $dialogues 2 -v error=$mistakes | encode --force -o "$out.new"
}
# shellcheck disable=SC2086
sft() {
    l2-train sft -q -j $threads -m base -o "$out.new" --resume --data dialogues.l2s --log sft.jsonl $sft
}
# What the text has taught about right and wrong: how often the right mark is the likelier one, on exercises of the
# test. A reward model can be no better than what it starts from.
marks() {
    world marks $tested 7 -v part=test -v tasks='add sort reverse fact' | l2-tokenize -q -z vocabulary.model --jsonl |
        l2-score -m base --logprob sum --as mark --by-field task 2>"$out.new" >/dev/null
}
# Prompts: to compare answers of, to learn from in the rounds, to measure the rounds on, and the test's.
compared() { world prompts $compared 3 | encode --force -o "$out.new"; }
asked() { world prompts $asked 4 | encode --force -o "$out.new"; }
checked() { world prompts $tested 5 | encode --force -o "$out.new"; }
tested() { world prompts $tested 6 -v part=test | encode --force -o "$out.new"; }

preferences() { preferences_of sft compared.l2s 5 answers.l2s >"$out.new"; }
helpful_pairs() { helpful_of preferences.jsonl | encode --force -o "$out.new"; }
safe_pairs() { safe_of preferences.jsonl | encode --force -o "$out.new"; }
# shellcheck disable=SC2086
helpful() {
    l2-train reward -q -j $threads -m sft -o "$out.new" --resume --data helpful-pairs.l2s --log helpful.jsonl $reward
}
# shellcheck disable=SC2086
safe() {
    l2-train reward -q -j $threads -m sft -o "$out.new" --resume --data safe-pairs.l2s --log safe.jsonl --safety 0.5 $reward
}
# The reward models before the rounds are measured on answers of the fine-tuned model to the test's prompts, those
# after the rounds on answers of the last model, too; both compared without a mistake.
pairs_of() {
    l2-generate -q -j $threads -m "$1" -k 4 -n 32 -s 6 tested.l2s | decode | judge -v what=pairs -v care=1000 -v ties=0 >"$out.new"
}
test_pairs() { pairs_of sft; }
last_pairs() { pairs_of "$last"; }
accuracy() {
    for pairs in test last; do
        for model in helpful "$last_helpful" safe "$last_safe"; do
            [ "${model##*/}" = safe ] && flag=true || flag=false
            grep "\"risky\":$flag" $pairs-pairs.jsonl | encode | l2-score -m "$model" --as score --by-field rating 2>"$out.summary" >/dev/null
            sed "s|^{|{\"model\": \"$model\", \"pairs_of\": \"$pairs\", |" "$out.summary"
        done
    done >"$out.new"
    rm "$out.summary"
}
sizes() {
    SHAPE=$smaller PRETRAIN=$pretrain SFT=$sft REWARD=$reward THREADS=$threads sh "$here/sizes.sh" .
}

settings() {
    cat >"$out.new" <<SETTINGS
MODEL=sft HELPFUL=helpful SAFE=safe TAG=risky PROMPTS=asked.l2s CHECK=checked.l2s
SFT=dialogues.l2s MIX="8 1" ROUNDS=$rounds K=$answers TOKENS=32 CURVE=100 TEMPERATURES="0.8 1"
TRAIN="-j $threads $round"
PPO="-j $threads $ppo"
JUDGE="l2-tokenize -q -d -z vocabulary.model | awk -v what=mean -f '$here/judge.awk'"
PREFER="sh '$here/prefer.sh' $again --bf16 $newer --margins small"
SETTINGS
}
rounds() {
    sh "$here/../rounds.sh" settings rounds
}

# Ghost Attention. The last model learns to obey instructions that stand in the question itself, on dialogues of many
# turns; with such answers l2-gatt makes dialogues whose instruction stands in the first turn alone, and a model
# is trained on those, too. Both are then measured over many turns.
constraints() {
    world constraints 0 0 >"$out.new"
}
# dialogues_of_turns N SEED TURNS CONSTRAINTS FEWEST
dialogues_of_turns() {
    world sft "$1" "$2" -v error=0 -v turns="$3" -v constraints="$4" -v fewest="$5" | encode
}
# shellcheck disable=SC2086
obeying() {
    dialogues_of_turns $instructed 11 12 0.4 1 >gatt/dialogues.l2s
    l2-train sft -q -j $threads -m "$last" -o "$out.new" --resume --data gatt/dialogues.l2s --earlier-turns \
        --log gatt/obeying.jsonl --epochs 3 --lr 2e-3 $gatt
}
gatt_data() {
    dialogues_of_turns $attended 12 12 0 2 >gatt/asked.l2s
    l2-gatt make -q -j $threads -m gatt/obeying --constraints gatt/constraints.yaml --template llama2 -n 40 -T 0.3 -s 10 --force \
        -o "$out.new" gatt/asked.l2s
}
# shellcheck disable=SC2086
attentive() {
    l2-train sft -q -j $threads -m gatt/obeying -o "$out.new" --resume --data gatt/learnt.l2s --log gatt/attentive.jsonl --epochs 3 --lr 1e-3 $gatt
}
followed() {
    dialogues_of_turns $followed 13 $turns 0 $turns >"$out.new"
}
turns() {
    l2-gatt measure -q -j $threads -m gatt/$1 --constraints gatt/constraints.yaml --template llama2 -n 40 -T 0 --turns $turns --force \
        -o "$out.new" gatt/followed.l2s
}
without() { turns obeying; }
with() { turns attentive; }

# Evaluation: four answers at temperature 1 to each prompt of the test, with the rewards by the last reward models and
# the log-probability under the model and under SFT; and one greedy answer.
evaluate() {
    l2-generate -q -j $threads -m "$model" -k 4 -n 32 -s 9 tested.l2s | l2-score -q -m "$last_helpful" --as helpful |
        l2-score -q -m "$last_safe" --as safe | l2-score -q -m "$model" --logprob sum --as own | l2-score -q -m sft --logprob sum --as sft |
        decode | judge -v what=tsv -v scores="helpful safe own sft" >"$out.new"
    l2-generate -q -j $threads -m "$model" -T 0 -n 32 tested.l2s | decode | judge -v what=summary >eval/"$name".greedy
}

stage 'text' text text
stage 'vocabulary' vocabulary.model vocabulary
stage 'text to tokens' text.l2s tokens
stage 'pretraining' base pretrain
stage 'marks' marks.json marks
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
stage 'settings of the rounds' settings settings
stage 'rounds and PPO' rounds/final rounds
last=$(cat rounds/final) last_helpful=$(sed -n 1p rounds/rewards) last_safe=$(sed -n 2p rounds/rewards)
stage 'pairs of the test' test-pairs.jsonl test_pairs
stage 'pairs of the last model' last-pairs.jsonl last_pairs
stage 'reward accuracy' accuracy.jsonl accuracy
mkdir -p gatt
stage 'instructions' gatt/constraints.yaml constraints
stage 'obeying instructions' gatt/obeying obeying
stage 'dialogues for GAtt' gatt/learnt.l2s gatt_data
stage 'GAtt' gatt/attentive attentive
stage 'dialogues to measure GAtt' gatt/followed.l2s followed
stage 'turns without GAtt' gatt/without.jsonl without
stage 'turns with GAtt' gatt/with.jsonl with
mkdir -p eval
for model in base sft rounds/v*/model rounds/ppo/model gatt/attentive; do
    [ -d "$model" ] || continue
    name=$(echo "$model" | sed 's|^rounds/||; s|/model$||; s|/attentive$||')
    stage "evaluation of $name" "eval/$name.tsv" evaluate
done
stage 'reward models by size' sizes.jsonl sizes

# ---- the models to keep: half the size, with the vocabulary inside ----

mkdir -p models
# keep NAME MODEL
keep() {
    [ -e "models/$1" ] || l2-model convert -q --dtype BF16 -o "models/$1" "$2"
}
keep chat "$last"
keep helpful "$last_helpful"
keep safe "$last_safe"

# ---- the table ----

! command -v gnuplot >/dev/null || sh "$here/pictures.sh" . >/dev/null
sh "$here/table.sh" | tee table.txt
