#!/bin/sh
# Newer reward models of the recipe: PREFER of rounds.sh, run in the recipe's directory.
# SPDX-License-Identifier: MIT
#
#   sh prefer.sh PROMPTS OPTION...
#
# LATEST, HELPFUL, SAFE, ROUND and OUT are what rounds.sh gives; the options are l2-train's. Answers of the latest model
# to PROMPTS new prompts are compared as those of the first preferences were, and the reward models so far are trained
# on these pairs and on all that came before, each round's with the same weight.

set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
prompts=$1
shift
[ "$ROUND" != ppo ] || ROUND=99

encode() {
    l2-tokenize -q -z vocabulary.model --jsonl --template llama2 "$@"
}

if [ ! -e "$OUT/preferences.jsonl" ]; then
    awk -v what=prompts -v n="$prompts" -v seed=$((100 + ROUND)) -f "$here/world.awk" | encode --force -o "$OUT/compared.l2s"
    l2-generate -q -j "${THREADS:-2}" -m "$LATEST" -k 4 -n 32 -s "$ROUND" --resume -o "$OUT/answers.l2s" "$OUT/compared.l2s"
    l2-tokenize -q -d -z vocabulary.model <"$OUT/answers.l2s" | awk -v what=pairs -v seed="$ROUND" -f "$here/judge.awk" |
        l2-prefs -q --unique --margins small >"$OUT/preferences.jsonl.new"
    mv "$OUT/preferences.jsonl.new" "$OUT/preferences.jsonl"
    rm "$OUT/compared.l2s" "$OUT/answers.l2s"
fi
grep '"risky":false' "$OUT/preferences.jsonl" | encode --force -o "$OUT/helpful-pairs.l2s"
awk '/"risky":true/ || n++ % 10 == 0' "$OUT/preferences.jsonl" | encode --force -o "$OUT/safe-pairs.l2s"

# newer KIND REWARD-MODEL OPTION...: OUT/KIND
newer() {
    kind=$1 from=$2
    shift 2
    [ ! -d "$OUT/$kind" ] || return 0
    for pairs in "$kind-pairs.l2s" rounds/v*/"$kind-pairs.l2s" "$OUT/$kind-pairs.l2s"; do
        case " $* " in
        *" $pairs "*) ;;
        *) [ ! -e "$pairs" ] || set -- "$@" --data "$pairs" --weight 1 ;;
        esac
    done
    l2-train reward -q -j "${THREADS:-2}" -m "$from" -o "$OUT/$kind.new" --resume --log "$OUT/$kind.jsonl" "$@"
    mv "$OUT/$kind.new" "$OUT/$kind"
    rm -rf "$OUT/$kind.new.ckpt"
}
newer helpful "$HELPFUL" "$@"
newer safe "$SAFE" "$@"
