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
# dialogues of one and two turns: the second goes on from the first
python3 - <<'E1' >turns.jsonl
import json
for i in range(100):
    q = f"\n\nHuman: q{i}\n\nAssistant:"
    print(json.dumps({"chosen": q + " a", "rejected": q + " b"}))
    q += " a\n\nHuman: more\n\nAssistant:"
    print(json.dumps({"chosen": q + " c", "rejected": q + " d"}))
E1
openings() { sed 's/.*Human: \(q[0-9]*\).*/\1/' | sort | uniq -c | awk '{ print $1 }' | sort -u; }
is 'dialogues that go on from one another stay together' '2 2' \
    "$(l2-prefs -q --split 0.5 turns.jsonl | openings) $(l2-prefs -q --split 0.5 --part rest turns.jsonl | openings)"
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

# ---- weights ----
head -n 4 many.jsonl >four.jsonl
sed 4q rated.jsonl >other4.jsonl
is '--weight repeats' "$(sed p four.jsonl | cat - other4.jsonl)" "$(l2-prefs -q --weight 2 --weight 1 four.jsonl other4.jsonl)"
l2-prefs -q --weight 0.25 many.jsonl >quarter
n=$(wc -l <quarter)
ok 'a fraction is a share' test "$n" -ge 65 -a "$n" -le 135 # of 400: four deviations
is 'of the same pairs' '' "$(sort many.jsonl >sorted; sort quarter | comm -13 sorted -)"
cat four.jsonl many.jsonl | sort -u >alike.jsonl
is 'which does not depend on the others' "$(sort quarter)" "$(l2-prefs -q --weight 0.25 alike.jsonl | sort)"
fails 2 '1 weights for 2 files' 'a weight for each file' l2-prefs --weight 1 four.jsonl other4.jsonl
fails 2 'want a number from 0 to 1000' 'a weight is a number' l2-prefs --weight x four.jsonl

# ---- streams ----
python3 - <<'E2' >ids.json
import json
def row(i, prompt, a, b, **more):
    answers = [{"tokens": a}, {"tokens": b}]
    for c, s in zip(answers, more.pop("safe", [None, None])):
        if s is not None:
            c["labels"] = {"safe": s}
    print(json.dumps({"id": i, "prompt": prompt, "completions": answers, **more}))
row(1, [1, 10, 11, 20, 21, 12], [30], [40, 41, 42], spans=[3, 5], meta={"rating": "better"})
row(2, [1, 10], [30], [41], safe=[False, True])
row(3, [1, 10, 11, 20, 21, 12], [40, 41, 42], [30], spans=[3, 5], margin=0.5, meta={"rating": "better"})
row(4, [1, 13], [30, 31], [41], safe=[True, False])
E2
l2-cat -q --from-json -o ids.l2s ids.json
rows() { l2-cat -q --json "$@" | python3 -c 'import json, sys
for line in sys.stdin:
    r = json.loads(line)
    if "completions" in r:
        print(r["id"], r.get("margin"))'; }
l2-prefs --margins large -o kept.l2s ids.l2s 2>err
is 'records get margins; unsafe ones are dropped' '1 2.0 3 0.5 4 None' "$(rows kept.l2s | tr '\n' ' ' | sed 's/ $//')"
is 'and are counted' '4 3 1 1 1' "$(for f in rows kept contradictions unsafe_chosen chosen_safe_other_unsafe; do count $f; done | tr '\n' ' ' | sed 's/ $//')"
ok 'the stream is whole, with a history' sh -c 'l2-cat -q --check kept.l2s && l2-cat --stats kept.l2s | grep -q l2-prefs'
is 'from standard input' "$(rows kept.l2s)" "$(l2-prefs -q --streams --margins large <ids.l2s >in.l2s; rows in.l2s)"
is '--unique' '1 4' "$(l2-prefs -q --unique ids.l2s | l2-cat -q --json | sed -n 's/.*"id":\([0-9]*\).*/\1/p' | tr '\n' ' ' | sed 's/ $//')"
l2-prefs -q --weight 2 --weight 0 -o twice.l2s kept.l2s ids.l2s
is '--weight' '1 1 3 3 4 4' "$(rows twice.l2s | cut -d ' ' -f 1 | tr '\n' ' ' | sed 's/ $//')"
# turns 2, 2, 1; prompts of 4, 4 and 2 ids in 5 messages, answers of 2 + 1 + 3, twice, and 2 + 1 in 8
is 'statistics' '{"comparisons":3,"turns_per_dialogue":1.66666667,"tokens_per_example":6.5,"tokens_per_prompt":2.0,"tokens_per_response":1.875}' \
    "$(l2-prefs -q --stats json ids.l2s)"
printf '{"id":9,"prompt":[1],"completions":[{"tokens":[5]},{"tokens":[5]}]}\n' | l2-cat -q --from-json -o equal.l2s
fails 1 'equal.l2s.*record 9: chosen and rejected are equal' 'equal answers are named with their record' l2-prefs -o no.l2s equal.l2s
l2-prefs --skip-bad -o skipped.l2s equal.l2s ids.l2s 2>err
is '--skip-bad counts' 1 "$(count skipped)"
head -c 100 ids.l2s >cut.l2s
fails 1 'cut.l2s' 'a stream that is cut is an error' l2-prefs -o cut-out.l2s cut.l2s
fails 2 'not both' 'one form at a time' l2-prefs ids.l2s four.jsonl
fails 2 'streams hold tokens' 'no vocabulary for streams' l2-prefs --stats text -z v ids.l2s
finish
