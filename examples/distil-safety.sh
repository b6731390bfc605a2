#!/bin/sh
# Safety context distillation: answers made under a safety pre-prompt teach the model to give them without it.
# SPDX-License-Identifier: MIT
#
#   sh distil-safety.sh SETTINGS DIRECTORY
#
# SETTINGS is a file of shell variables, listed below with their defaults; paths in it are as seen from where
# the script is started. CONFIG in it names a YAML file with options of the programs that are run, a section each, as
# l2-config(5) has them; rounds.yaml is one. What the script itself decides (models, data, seeds, numbers of answers,
# the options in TRAIN) comes before what stands there. Everything is made in DIRECTORY. What is there is not made
# again: a run that was stopped goes on where it was, and a second run does nothing.
#
#   1. K answers of MODEL to each adversarial prompt under a pre-prompt (l2-preprompt add, l2-generate), and PLAIN_K
#      to the plain prompt (l2-preprompt remove, l2-generate)
#   2. their scores by the reward model for safety, SAFE
#   3. of each prompt the best answer under the pre-prompt, where it scores higher than all plain ones
#      (l2-rsample --over-plain): DIRECTORY/sft.l2s
#   4. SFT of MODEL on these, without the pre-prompt, and the data in SFT: DIRECTORY/model
#   5. answers of both models to the prompts in CHECK, without a pre-prompt: DIRECTORY/report.json has the mean
#      scores, and the share of answers that score higher than 0

set -eu

# ---- settings ----

MODEL=              # the model that answers, and learns
SAFE=               # reward model for safety
PROMPTS=            # JSONL of adversarial prompts, as messages
CHECK=              # JSONL of prompts to measure on; PROMPTS where empty
PREPROMPTS=         # YAML of pre-prompts, like preprompts.yaml
CATEGORY=category   # field of the rows that says which
PLACE=system        # or user
TEMPLATE=auto       # chat template
VOCAB=              # vocabulary; MODEL's where empty
K=1                 # answers to each prompt under a pre-prompt
PLAIN_K=1           # plain answers to each, all of which the best of these has to beat
TEMPERATURE=1
TOKENS=             # tokens of an answer at most; else what CONFIG says, or what the context holds
SFT=                # stream of SFT data to mix in, or empty
MIX="1 1"           # shares of the distilled answers and of SFT in training
TRAIN="--epochs 1"  # options of l2-train sft
CHECK_K=1           # answers to each prompt of CHECK
CONFIG=             # YAML with options of the programs, or empty
SEED=1

if [ $# -ne 2 ]; then
    echo "usage: sh distil-safety.sh settings directory" >&2
    exit 2
fi
settings=$1 dir=$2
case $settings in
*/*) ;;
*) settings=./$settings ;;
esac
# shellcheck disable=SC1090 # the user's
. "$settings"
for name in MODEL SAFE PROMPTS PREPROMPTS; do
    eval "value=\$$name"
    if [ -z "$value" ]; then
        echo "distil-safety: $settings: $name is not set" >&2
        exit 2
    fi
done
CHECK=${CHECK:-$PROMPTS} VOCAB=${VOCAB:-$MODEL}
mkdir -p "$dir"
# kept FILE COPY: COPY in the directory is FILE, and stays so
kept() {
    if [ ! -e "$dir/$2" ]; then
        cp "$1" "$dir/$2.new"
        mv "$dir/$2.new" "$dir/$2"
    elif ! cmp -s "$1" "$dir/$2"; then
        echo "distil-safety: $dir was made with other settings than $1; take another directory, or remove it" >&2
        exit 1
    fi
}
kept "$settings" settings
kept "$PREPROMPTS" preprompts.yaml
[ -z "$CONFIG" ] || kept "$CONFIG" settings.yaml

# ---- steps; each makes one file and is left out where that is there ----

say() {
    printf 'distil-safety: %s\n' "$*" >&2
}

# made FILE: true where it is there; whole FILE: it is now, as FILE.new was finished
made() {
    [ -e "$dir/$1" ]
}
whole() {
    mv "$dir/$1.new" "$dir/$1"
}
tokenize() {
    l2-tokenize -q -z "$VOCAB" --template "$TEMPLATE" --jsonl "$@"
}
# generate MODEL SEED OPTION...
generate() {
    model=$1 seed=$2
    shift 2
    l2-generate -q ${CONFIG:+--config "$CONFIG"} -m "$model" ${TOKENS:+-n "$TOKENS"} -T "$TEMPERATURE" -s "$seed" "$@"
}
score() {
    l2-score -q ${CONFIG:+--config "$CONFIG"} -m "$SAFE" --as safe --force "$@"
}
# scored MODEL NAME: answers to CHECK by the model, scored, in check-NAME.l2s
scored() {
    made "check-$2.l2s" && return 0
    say "answers of the $2 model to $CHECK"
    tokenize --force -o "$dir/check.l2s" "$CHECK"
    generate "$1" "$((SEED + 1))" -k "$CHECK_K" --as "$2" -o "$dir/check-$2.raw" --resume "$dir/check.l2s"
    score -o "$dir/check-$2.l2s.new" "$dir/check-$2.raw"
    whole "check-$2.l2s"
    rm "$dir/check-$2.raw"
}
# measures NAME: mean score and share above 0 of check-NAME.l2s, as fields of JSON
measures() {
    l2-cat -q --scores tsv "$dir/check-$1.l2s" | awk -F '\t' -v name="$1" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "safe") at = i; next }
        { n++; sum += $at; safe += $at > 0 }
        END { printf "\"%s\": {\"answers\": %d, \"mean\": %.6g, \"above_0\": %.6g}", name, n, sum / n, safe / n }'
}

if ! made answers.l2s; then
    tokenize --force -o "$dir/prompts.l2s" "$PROMPTS"
    say "answers under a pre-prompt"
    l2-preprompt add -q -z "$VOCAB" --template "$TEMPLATE" -f "$PREPROMPTS" --category "$CATEGORY" --place "$PLACE" \
        -s "$SEED" --force -o "$dir/with.l2s" "$dir/prompts.l2s"
    generate "$MODEL" "$SEED" -k "$K" -o "$dir/under.l2s" --resume "$dir/with.l2s"
    say "plain answers"
    l2-preprompt remove -q --force -o "$dir/plain.l2s" "$dir/under.l2s"
    generate "$MODEL" "$SEED" -k "$PLAIN_K" -o "$dir/both.l2s" --resume "$dir/plain.l2s"
    say "scores"
    score -o "$dir/answers.l2s.new" "$dir/both.l2s"
    whole answers.l2s
    rm "$dir/with.l2s" "$dir/under.l2s" "$dir/plain.l2s" "$dir/both.l2s"
fi
if ! made sft.l2s; then
    say "answers that a pre-prompt has made better"
    l2-rsample --by safe --over-plain --force -o "$dir/sft.l2s.new" "$dir/answers.l2s" 2>"$dir/kept.json" || {
        cat "$dir/kept.json" >&2
        exit 1
    }
    whole sft.l2s
fi
cat "$dir/kept.json" >&2
if grep -q '"completions":0,' "$dir/kept.json"; then
    say "no answer under a pre-prompt scores higher than the plain ones: nothing to learn from"
    exit 1
fi
if ! made model; then
    say "training"
    set -- --data "$dir/sft.l2s"
    if [ -n "$SFT" ]; then
        set -- "$@" --data "$SFT"
        for weight in $MIX; do set -- "$@" --weight "$weight"; done
    fi
    # shellcheck disable=SC2086 # a list
    l2-train sft -q ${CONFIG:+--config "$CONFIG"} -m "$MODEL" -o "$dir/new" --resume "$@" -s "$SEED" \
        --log "$dir/train.jsonl" $TRAIN
    mv "$dir/new" "$dir/model"
    rm -rf "$dir/new.ckpt"
fi
scored "$MODEL" before
scored "$dir/model" after
if ! made report.json; then
    printf '{%s, %s}\n' "$(measures before)" "$(measures after)" >"$dir/report.json.new"
    whole report.json
fi
cat "$dir/report.json" >&2
