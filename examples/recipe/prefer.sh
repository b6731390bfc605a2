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

threads=${THREADS:-2}
. "$here/parts.sh"

if [ ! -e "$OUT/preferences.jsonl" ]; then
    world prompts "$prompts" $((100 + ROUND)) | encode --force -o "$OUT/compared.l2s"
    preferences_of "$LATEST" "$OUT/compared.l2s" "$ROUND" "$OUT/answers.l2s" -v seed="$ROUND" >"$OUT/preferences.jsonl.new"
    mv "$OUT/preferences.jsonl.new" "$OUT/preferences.jsonl"
    rm "$OUT/compared.l2s"
fi
helpful_of "$OUT/preferences.jsonl" | encode --force -o "$OUT/helpful-pairs.l2s"
safe_of "$OUT/preferences.jsonl" | encode --force -o "$OUT/safe-pairs.l2s"

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
    l2-train reward -q -j "$threads" -m "$from" -o "$OUT/$kind.new" --resume --log "$OUT/$kind.jsonl" "$@"
    mv "$OUT/$kind.new" "$OUT/$kind"
    rm -rf "$OUT/$kind.new.ckpt"
}
newer helpful "$HELPFUL" "$@"
newer safe "$SAFE" "$@"
