#!/bin/sh
# l2-prefs: bad rows, margins, safety, repetitions, splits and statistics.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

pair() { printf '{"prompt":"%s","chosen":"%s","rejected":"%s"%s}\n' "$@"; }
count() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" err; }

# ---- margins: the first column is what the paper's table 27 says ----
i=0
for r in 'significantly better' better slightly_better unsure; do
    i=$((i + 1))
    pair p$i a b ",\"rating\":\"$r\""
done >rated.jsonl
is 'small margins' '1 0.6666667 0.33333334 0' "$(l2-prefs -q --margins small rated.jsonl |
    sed 's/.*"margin":\(.*\)}/\1/' | tr '\n' ' ' | sed 's/\.0 / /g; s/ $//; s/\.0$//')"
is 'large margins' '3 2 1 0' "$(l2-prefs -q --margins large rated.jsonl |
    sed 's/.*"margin":\(.*\)}/\1/' | tr '\n' ' ' | sed 's/\.0 / /g; s/ $//; s/\.0$//')"
is 'without margins rows pass as they are' "$(cat rated.jsonl)" "$(l2-prefs -q rated.jsonl)"
pair p a b ',"rating":"better","margin":7' >own.jsonl
is 'a margin of its own stays' "$(cat own.jsonl)" "$(l2-prefs -q --margins large own.jsonl)"

# ---- bad rows ----
{ pair p a b ''; pair p a a ''; pair p a b ',"rating":"best"'; echo '{"chosen":'; pair q a b ''; } >bad.jsonl
fails 1 'bad.jsonl:2.*chosen and rejected are equal' 'equal answers are named with their line' l2-prefs bad.jsonl
sed 2d bad.jsonl >bad2.jsonl
fails 1 'bad2.jsonl:2.*unknown rating .best.' 'an unknown rating too' l2-prefs bad2.jsonl
pair p a b ',"chosen_safe":1' >bad3.jsonl
fails 1 'bad3.jsonl:1.*true or false as chosen_safe' 'safety is true or false' l2-prefs bad3.jsonl
l2-prefs --skip-bad bad.jsonl >out 2>err
is '--skip-bad keeps the good rows' "$(sed -n '1p;5p' bad.jsonl)" "$(cat out)"
is 'and counts the bad' 3 "$(count skipped)"

# ---- safety ----
for s in 'true false' 'true true' 'false false' 'false true'; do
    pair "$s" a b ",\"chosen_safe\":${s% *},\"rejected_safe\":${s#* }"
done >safe.jsonl
l2-prefs safe.jsonl >out 2>err
is 'unsafe answers chosen before safe ones are dropped' "$(head -n 3 safe.jsonl)" "$(cat out)"
is 'each bin is counted' '1 1 1 1' "$(count chosen_safe_other_unsafe) $(count both_safe) $(count both_unsafe) $(count unsafe_chosen)"

# ---- repetitions ----
{ pair p a b ''; pair p b a ''; pair p a b ''; pair q a b ''; } >again.jsonl
l2-prefs --unique again.jsonl >out 2>err
is '--unique keeps the first of a pair' "$(sed -n '1p;4p' again.jsonl)" "$(cat out)"
is 'duplicates and contradictions are told apart' '1 1' "$(count duplicates) $(count contradictions)"

# ---- splits ----
i=0
while [ $i -lt 400 ]; do
    pair "p$((i / 2))" "a$i" b ''
    i=$((i + 1))
done >many.jsonl
l2-prefs -q --split 0.75 many.jsonl >first
l2-prefs -q --split 0.75 --part rest many.jsonl >rest
is 'the parts are the whole' "$(sort many.jsonl)" "$(sort first rest)"
prompts() { sed 's/","chosen.*//' "$1" | sort -u; }
prompts first >pf
prompts rest >pr
is 'no prompt is in both' '' "$(comm -12 pf pr)"
n=$(wc -l <pf)
ok 'the share is about right' test "$n" -ge 125 -a "$n" -le 175 # of 200: four deviations
l2-prefs -q --split 0.75 -s 1 many.jsonl >other
ok 'another seed, another split' sh -c '! cmp -s first other'
fails 2 'wants --split' '--part alone is wrong usage' l2-prefs --part rest many.jsonl

# ---- statistics ----
is 'statistics count comparisons and turns' '{"comparisons":400,"turns_per_dialogue":1.0}' \
    "$(l2-prefs -q --stats json many.jsonl)"
hh=$L2_SHARED/data/hh-rlhf/harmless-a.jsonl.gz
if [ -n "$L2_SHARED" ] && [ -f "$hh" ] && have python3; then
    gzip -dc "$hh" >hh.jsonl
    l2-prefs --skip-bad hh.jsonl >out 2>err
    is 'of real pairs those with equal answers are bad' \
        "$(python3 -c 'import json
print(sum(r["chosen"] == r["rejected"] for r in map(json.loads, open("hh.jsonl"))))')" "$(count skipped)"
    vocab=$L2_SHARED/data/llama2-tokenizer/tokenizer.model
    if [ -f "$vocab" ] && /usr/bin/python3 -c 'import sentencepiece' 2>/dev/null; then
        /usr/bin/python3 "$L2_SRC/tests/prefs_table.py" "$vocab" hh.jsonl >want
        l2-prefs -q --stats json -z "$vocab" hh.jsonl >got
        ok 'the statistics are those of an independent count' python3 -c 'import json
a, b = (json.load(open(f)) for f in ("want", "got"))
assert a.keys() == b.keys() and all(abs(a[k] - b[k]) <= 1e-6 * b[k] for k in a), (a, b)'
    else
        skip 'the statistics are those of an independent count' 'no sentencepiece'
    fi
else
    skip 'of real pairs those with equal answers are bad' 'no data'
fi
finish
