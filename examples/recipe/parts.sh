# What the scripts of the recipe share; they source it, with $here and $threads set, in a run's directory.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154

# world WHAT N SEED OPTION...
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

# preferences_of MODEL PROMPTS SEED ANSWERS JUDGE-OPTION...: two pairs of the model's answers a prompt; ANSWERS is a
# stream that is gone in the end. A shell of its own keeps its variables to itself.
preferences_of() (
    model=$1 prompts=$2 seed=$3 answers=$4
    shift 4
    l2-generate -q -j "$threads" -m "$model" -k 4 -n 32 -s "$seed" --resume -o "$answers" "$prompts"
    decode <"$answers" | judge -v what=pairs "$@" | l2-prefs -q --unique --margins small
    rm "$answers"
)
# Harmful requests and those that look like them go to the safety reward model, with a tenth of the others; the
# helpfulness reward model gets all others.
helpful_of() {
    grep '"risky":false' "$1"
}
safe_of() {
    awk '/"risky":true/ || n++ % 10 == 0' "$1"
}
