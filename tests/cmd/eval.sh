#!/bin/sh
# l2-eval choices: log-likelihoods and metrics against an independent model, and what does not change them.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

cat >rows.jsonl <<'TEXT'
{"id":1,"context":"Once upon a time, there was a little","choices":["girl","of","boy named Tim","and"],"gold":0}
{"id":2,"context":"The sun is  ","choices":["big and warm.","a the of."],"gold":0}
{"id":3,"context":"Lily was sad. Her mom said","choices":["no","\"It is okay.\"","caf\u00e9 \u732b"],"gold":[1,2]}
{"id":4,"context":"","choices":["One day, a dog ran.","zzz"],"gold":1}
{"id":5,"context":"Tom ran to the park.\n","choices":["He","was","She"],"gold":0}
TEXT

for batch in 3 256; do
    for j in 1 2; do
        ok "choices, batch $batch, $j threads" \
            l2-eval choices -m model --kv-type f32 --batch $batch -j $j --json -o $batch.$j.json rows.jsonl
        jq -S .results $batch.$j.json >$batch.$j.results
    done
done
same 'the same results with another batch' 3.1.results 256.1.results
same 'and other threads' 3.1.results 256.2.results

ok 'a table' l2-eval choices -m model rows.jsonl
cp "$L2_TMP/stdout" table
ok 'which has metrics and errors' grep -q '^choices  *0 none  *acc_norm  *[01]\.[0-9]\{4\}  *0\.[0-9]\{4\}$' table

if [ -z "$L2_SHARED" ] || ! /usr/bin/python3 -c 'import numpy, sentencepiece' 2>/dev/null; then
    skip 'metrics equal an independent calculation' 'no shared data, numpy or sentencepiece'
else
    ok 'metrics equal an independent calculation' /usr/bin/python3 "$L2_SRC/tests/eval_choices.py" \
        model tokenizer.model rows.jsonl 3.1.json
fi

# computed FILE: positions that were computed
computed() {
    l2-eval choices -m model --delimiter '' "$1" 2>&1 >/dev/null | tail -n 1 | jq .tokens_computed
}
echo '{"context":"One day, a dog ran","choices":["."],"gold":0}' >one.jsonl
echo '{"context":"One day, a dog ran","choices":[".","!","?","4"],"gold":0}' >four.jsonl
echo '{"context":"One day, a dog ran","choices":[".","!!"],"gold":0}' >more.jsonl
is 'choices of one token cost nothing more' "$(computed one.jsonl)" "$(computed four.jsonl)"
is 'those of two cost one position' $(($(computed one.jsonl) + 1)) "$(computed more.jsonl)"

for bad in '{"context":"a","choices":[],"gold":0}' '{"context":"a","choices":["b"],"gold":1}' \
    '{"choices":["b"],"gold":0}' '{"context":"a","choices":[""],"gold":0}' \
    '{"context":"a","choices":["b"]}' '{"context":"a","choices":["b"],"gold":[]}'; do
    echo "$bad" >bad.jsonl
    fails 1 'document 1: ' "refused: $bad" l2-eval choices -m model bad.jsonl
done
echo '[1]' >bad.jsonl
fails 1 'bad.jsonl:1:1: want an object' 'a row that is no object' l2-eval choices -m model bad.jsonl
python3 -c 'print("{\"context\":\"" + "a b " * 2000 + "\",\"choices\":[\"c\"],\"gold\":0}")' >long.jsonl
fails 1 'context' 'a context that is too long' l2-eval choices -m model long.jsonl
cat long.jsonl rows.jsonl >both.jsonl
ok 'may be left out' l2-eval choices -m model --overlong drop --json both.jsonl
is 'and is counted' '6 5' "$(jq -r '."n-samples".choices | "\(.original) \(.effective)"' "$L2_TMP/stdout")"
finish
