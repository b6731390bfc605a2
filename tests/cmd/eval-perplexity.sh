#!/bin/sh
# l2-eval perplexity: windows and metrics against an independent calculation.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

for i in 1 2 3; do cat text.txt; done >long.txt
printf '{"text":"Lily has a caf\\u00e9.","other":"One"}\n{"text":"The sun  is\\nbig.","other":" two "}\n{"text":"","other":""}\n' >rows.jsonl

# perplexity NAME OPTION...: the metrics, in NAME.json
perplexity() {
    l2_name=$1
    shift
    ok "perplexity $*" l2-eval perplexity -m model --kv-type f32 --json -o "$l2_name.json" "$@"
}
perplexity whole long.txt
perplexity disjoint --window 50 long.txt
perplexity sliding --window 50 --context 30 long.txt
perplexity most --window 50 --context 50 long.txt
perplexity rows --window 7 rows.jsonl
perplexity field --field other rows.jsonl
perplexity batch --window 50 --context 30 --batch 7 -j 1 long.txt
is 'batches change nothing' "$(jq -S .results sliding.json)" "$(jq -S .results batch.json)"
if [ -z "$L2_SHARED" ] || ! python3 -c 'import numpy, sentencepiece' 2>/dev/null; then
    skip 'metrics equal an independent calculation' 'no shared data, numpy or sentencepiece'
else
    for run in 'whole 511 1 long.txt' 'disjoint 50 1 long.txt' 'sliding 50 30 long.txt' 'most 50 50 long.txt' \
        'rows 7 1 text' 'field 511 1 other'; do
        # shellcheck disable=SC2086 # words
        ok "metrics equal an independent calculation ($run)" \
            python3 "$L2_SRC/tests/eval_perplexity.py" model tokenizer.model $run
    done
fi

fails 2 'want --context <= --window' 'a context larger than its window' l2-eval perplexity -m model --window 5 --context 6 long.txt
fails 2 'want --context <= --window < ' 'a window larger than the context' l2-eval perplexity -m model --window 100000 long.txt
fails 1 'row 1: want a text as none' 'a field that is not there' l2-eval perplexity -m model --field none rows.jsonl
printf '\377' >bad.txt
fails 1 'bad.txt: not UTF-8' 'a text that is none' l2-eval perplexity -m model bad.txt
finish
