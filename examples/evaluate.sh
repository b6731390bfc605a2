#!/bin/sh
# Evaluates a chat model and its reward models: tasks, perplexity, accuracy on pairs, win rates, safety, consistency.
# SPDX-License-Identifier: MIT
#
#   sh evaluate.sh SETTINGS DIRECTORY
#
# SETTINGS is a file of shell variables, listed below with their defaults; what is left empty is not measured, and
# paths are as seen from where the script is started. Models are what l2 reads: Hugging Face directories with their
# vocabulary, GGUF files. Each table is a file in DIRECTORY, which also keeps samples and answers; all tables are
# printed. What is there is not measured again, and a run that was stopped goes on where it was.
#
# Tasks, a chat model against another, two reward models:
#
#   MODEL=chat AGAINST=chat-old HELPFUL=helpful-rm SAFE=safety-rm TEMPLATE=llama2
#   TASKS="arc=ARC-Easy-Test.jsonl gsm8k=test.jsonl" TASK_OPTIONS="--limit 500"
#   TEXTS=held-out.txt PAIRS=pairs.jsonl PROMPTS=prompts.jsonl HARMFUL=red-team.jsonl

set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
command -v l2-eval >/dev/null || PATH=$here/../build/cmd:$PATH

# ---- settings ----

MODEL=              # the model
TEMPLATE=auto       # the chat template of dialogues: auto (what the model says), llama2, none, ...
TASKS=              # TASK=FILE ...: a task of l2-eval, by name or a YAML file, and its test set
TASK_OPTIONS=       # options of l2-eval task, such as --limit, --shots, --check
CHOICES=            # JSONL of contexts, choices and the number of the right one
TEXTS=              # texts for perplexity
PROMPTS=            # JSONL of prompts: reward, variety and wins by HELPFUL
HARMFUL=            # JSONL of prompts that should be refused: violations and wins by SAFE
CATEGORY=category   # the field of HARMFUL that safety is told by
AGAINST=            # another model, for the wins
CONSTRAINTS=        # YAML of constraints for l2-gatt: which of them is still obeyed after how many turns
DIALOGUES=          # JSONL of dialogues, or prompts as messages, that CONSTRAINTS are put into
TURNS=20            # their turns
HELPFUL=            # reward model
SAFE=               # safety reward model
PAIRS=              # preference pairs: accuracy of HELPFUL
SAFE_PAIRS=         # preference pairs: accuracy of SAFE
BY=                 # a field of the pairs that accuracy is told by, too
K=4                 # answers a prompt
TEMPERATURE=1
TOKENS=0            # tokens of an answer at most; 0: what the context holds
SEED=1

if [ $# -ne 2 ]; then
    echo "usage: sh evaluate.sh settings directory" >&2
    exit 2
fi
settings=$1 dir=$2
case $settings in
*/*) ;;
*) settings=./$settings ;;
esac
# shellcheck disable=SC1090 # the user's
. "$settings"

# need NAME OF: a setting that another one needs
need() {
    eval "value=\$$1"
    if [ -z "$value" ]; then
        echo "evaluate: $settings: $2 needs $1, which is not set" >&2
        exit 2
    fi
}
for name in TASKS CHOICES TEXTS PROMPTS HARMFUL CONSTRAINTS; do
    eval "value=\$$name"
    [ -z "$value" ] || need MODEL $name
done
[ -z "$PAIRS$PROMPTS" ] || need HELPFUL "PAIRS or PROMPTS"
[ -z "$SAFE_PAIRS$HARMFUL" ] || need SAFE "SAFE_PAIRS or HARMFUL"
[ -z "$CONSTRAINTS" ] || need DIALOGUES CONSTRAINTS
mkdir -p "$dir"
if [ -f "$dir/settings" ] && ! cmp -s "$settings" "$dir/settings"; then
    echo "evaluate: $dir was made with other settings than $settings; take another directory, or remove it" >&2
    exit 1
fi
cp "$settings" "$dir/settings"

# ---- measurements ----

# table NAME TITLE COMMAND...: prints the table DIRECTORY/NAME.txt, which the command writes unless it is there
table() {
    file=$dir/$1.txt title=$2
    shift 2
    if [ ! -e "$file" ]; then
        printf 'evaluate: %s\n' "$title" >&2
        "$@" >"$file.new"
        mv "$file.new" "$file"
    fi
    printf '\n%s\n\n' "$title"
    cat "$file"
}

# answers OUT MODEL PROMPTS REWARD-MODEL SCORE: a stream of scored answers, unless it is there
answers() {
    [ ! -e "$1" ] || return 0
    printf 'evaluate: answers of %s to %s\n' "$2" "$3" >&2
    # The prompts' tokens are a file so that an interrupted l2-generate can go on.
    l2-tokenize -q -z "$2" --template "$TEMPLATE" --jsonl --force -o "$1.prompts" "$3"
    l2-generate -q -m "$2" -k "$K" -T "$TEMPERATURE" -n "$TOKENS" -s "$SEED" --resume -o "$1.raw" "$1.prompts"
    l2-score -q -m "$4" --as "$5" --resume -o "$1.new" "$1.raw"
    mv "$1.new" "$1"
    rm "$1.raw" "$1.prompts"
}

# shellcheck disable=SC2086 # lists of options and files
run_task() {
    l2-eval task -q --tasks "$here/tasks" -m "$MODEL" -t "$1" -s "$SEED" --samples "$dir/$2.samples.jsonl" --resume $TASK_OPTIONS "$3"
}
# shellcheck disable=SC2086
perplexity() {
    l2-eval perplexity -q -m "$MODEL" $TEXTS
}
# accuracy REWARD-MODEL PAIRS
accuracy() {
    l2-tokenize -q -z "$1" --template "$TEMPLATE" --jsonl "$2" | l2-score -q -m "$1" --as reward |
        l2-eval prefs -q --score reward ${BY:+--by "$BY"}
}
# rewards SCORE FILE: the mean, and what the best of N answers score
rewards() {
    l2-rsample -q --curve --by "$1" "$2" |
        awk '
            function field(name) {
                return match($0, "\"" name "\":[-+.0-9eE]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : 0
            }
            NR == 1 { print "     N  best of N    stderr    median      mean" }
            { printf "%6d  %9.4f %9.4f %9.4f %9.4f\n", field("n"), field("max"), field("max_se"), field("median"), field("mean") }'
}

# turns: with TOKENS 0 an answer has 64 tokens at most, since the first one could fill the context
turns() {
    l2-tokenize -q -z "$MODEL" --template "$TEMPLATE" --jsonl "$DIALOGUES" |
        l2-gatt measure -q -m "$MODEL" --template "$TEMPLATE" --constraints "$CONSTRAINTS" --combine 1 --turns "$TURNS" \
            -n "$([ "$TOKENS" -gt 0 ] && echo "$TOKENS" || echo 64)" -T "$TEMPERATURE" -s "$SEED" --force -o "$dir/turns.jsonl"
    l2-eval turns -q "$dir/turns.jsonl"
}

for t in $TASKS; do
    task=${t%%=*} tests=${t#*=}
    name=$(basename "$task" .yaml)
    table "task-$name" "Task $name" run_task "$task" "$name" "$tests"
done
[ -z "$CHOICES" ] || table choices 'Multiple choice' l2-eval choices -q -m "$MODEL" "$CHOICES"
[ -z "$TEXTS" ] || table perplexity 'Perplexity' perplexity
[ -z "$PAIRS" ] || table helpful-accuracy 'Helpfulness reward model: accuracy and calibration' accuracy "$HELPFUL" "$PAIRS"
[ -z "$SAFE_PAIRS" ] || table safe-accuracy 'Safety reward model: accuracy and calibration' accuracy "$SAFE" "$SAFE_PAIRS"

if [ -n "$PROMPTS" ]; then
    answers "$dir/model.l2s" "$MODEL" "$PROMPTS" "$HELPFUL" helpful
    table reward 'Helpfulness reward of answers' rewards helpful "$dir/model.l2s"
    [ "$K" -lt 2 ] || table diversity 'Variety of answers (self-BLEU)' l2-eval diversity -q "$dir/model.l2s"
fi
if [ -n "$HARMFUL" ]; then
    answers "$dir/model-harmful.l2s" "$MODEL" "$HARMFUL" "$SAFE" safe
    table safety 'Violations among answers to harmful prompts' \
        l2-eval safety -q --score safe --category "$CATEGORY" "$dir/model-harmful.l2s"
fi
if [ -n "$AGAINST" ] && [ -n "$PROMPTS" ]; then
    answers "$dir/against.l2s" "$AGAINST" "$PROMPTS" "$HELPFUL" helpful
    table wins 'Wins in helpfulness' \
        l2-eval wins -q --score helpful --as-version "$(basename "$MODEL")" --against "$dir/against.l2s" "$dir/model.l2s"
fi
if [ -n "$AGAINST" ] && [ -n "$HARMFUL" ]; then
    answers "$dir/against-harmful.l2s" "$AGAINST" "$HARMFUL" "$SAFE" safe
    table safe-wins 'Wins in safety' \
        l2-eval wins -q --score safe --as-version "$(basename "$MODEL")" --against "$dir/against-harmful.l2s" "$dir/model-harmful.l2s"
fi
[ -z "$CONSTRAINTS" ] || table turns 'Instructions still obeyed, by turn' turns
