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
if [ -z "$L2_SHARED" ] || ! /usr/bin/python3 -c 'import numpy, sentencepiece' 2>/dev/null; then
    skip 'metrics equal an independent calculation' 'no shared data, numpy or sentencepiece'
else
    for run in 'whole 511 1 long.txt' 'disjoint 50 1 long.txt' 'sliding 50 30 long.txt' 'most 50 50 long.txt' \
        'rows 7 1 text' 'field 511 1 other'; do
        # shellcheck disable=SC2086 # words
        ok "metrics equal an independent calculation ($run)" \
            /usr/bin/python3 "$L2_SRC/tests/eval_perplexity.py" model tokenizer.model $run
    done
fi

# ---- sample rows ----
perplexity samples --window 7 --samples rows.samples rows.jsonl
is 'sample rows change nothing' "$(jq -S .results rows.json)" "$(jq -S .results samples.json)"
is 'a row for each text, in order' '0 1 2' "$(jq .doc_id rows.samples | tr '\n' ' ' | sed 's/ $//')"
is 'with the windows of each' "$(jq -s 'map(.tokens) | add' rows.samples)" \
    "$(l2-eval perplexity -m model --window 7 --kv-type f32 rows.jsonl 2>&1 >out | sed -n 's/.*"tokens":\([0-9]*\).*/\1/p')"
{ sed 1d rows.samples | sed '$!d'; head -n 1 rows.samples | head -c 60; } >cut.samples
perplexity resumed --window 7 --samples cut.samples --resume rows.jsonl
same 'a run that was cut ends with the same rows' rows.samples cut.samples
is 'and the same results' "$(jq -S .results rows.json)" "$(jq -S .results resumed.json)"
l2-eval perplexity -m model --kv-type f32 --window 7 --samples cut.samples --resume rows.jsonl >out 2>err
is 'a finished one computes nothing' 3 "$(sed -n 's/.*"resumed":\([0-9]*\).*/\1/p' err)"
l2-eval perplexity -m model --kv-type f32 --window 8 --samples cut.samples --resume rows.jsonl >out 2>err
is 'another window is another run' 0 "$(sed -n 's/.*"resumed":\([0-9]*\).*/\1/p' err)"
fails 2 'wants --samples' '--resume alone' l2-eval perplexity -m model --resume rows.jsonl

fails 2 'want --context <= --window' 'a context larger than its window' l2-eval perplexity -m model --window 5 --context 6 long.txt
fails 2 'want --context <= --window < ' 'a window larger than the context' l2-eval perplexity -m model --window 100000 long.txt
fails 1 'row 1: want a text as none' 'a field that is not there' l2-eval perplexity -m model --field none rows.jsonl
printf '\377' >bad.txt
fails 1 'bad.txt: not UTF-8' 'a text that is none' l2-eval perplexity -m model bad.txt
finish
