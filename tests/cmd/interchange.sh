#!/bin/sh
# Tests of files that other tools write and read: rows of token ids, RewardBench's rows, tables.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures fixtures
cd fixtures || exit 99

# ids: the records on standard input as rows of ids; back ROW...: such rows as records in JSON
ids() { l2-cat -q --json --ids "$@"; }
back() { printf '%s\n' "$@" | l2-cat -q --from-json | l2-cat -q --json; }

cat >want <<'E'
{"id":"t","prompt":[1],"completions":[{"tokens":[5,6,2]}]}
{"id":0,"prompt":[1,5],"completions":[{"tokens":[6,2]}]}
{"id":1,"prompt":[1,5],"completions":[{"tokens":[6,2]}],"meta":{"source":"x"}}
{"id":2,"prompt":[1],"completions":[{"tokens":[5,6,7,2],"spans":[0,1,3,4]}]}
{"id":3,"prompt":[1,5],"completions":[]}
{"id":4,"prompt":[1,5],"completions":[{"tokens":[6,2]},{"tokens":[7,8,2]}],"margin":0.5}
{"id":5,"prompt":[1],"completions":[{"tokens":[5]},{"tokens":[5,6]}]}
{"id":6,"prompt":[1,5],"completions":[{"tokens":[6]},{"tokens":[6,7]}]}
{"id":7,"prompt":[1,5],"completions":[{"tokens":[6]},{"tokens":[7]}]}
E
back '{"id":"t","input_ids":[1,5,6,2]}' \
    '{"id":0,"input_ids":[1,5,6,2],"labels":[-100,-100,6,2]}' \
    '{"id":1,"input_ids":[1,5,6,2],"completion_mask":[0,0,1,1],"attention_mask":[1,1,1,1],"source":"x"}' \
    '{"id":2,"input_ids":[1,5,6,7,2],"labels":[-100,5,-100,-100,2],"completion_mask":[0,1,0,0,1]}' \
    '{"id":3,"input_ids":[1,5],"completion_mask":[0,0]}' \
    '{"id":4,"chosen_ids":[1,5,6,2],"rejected_ids":[1,5,7,8,2],"margin":0.5}' \
    '{"id":5,"chosen_ids":[1,5],"rejected_ids":[1,5,6]}' \
    '{"id":6,"prompt_ids":[1,5],"chosen_ids":[6],"rejected_ids":[6,7],"margin":null}' \
    '{"id":7,"chosen_input_ids":[1,5,6],"rejected_input_ids":[1,5,7]}' >got
same 'rows of ids are read' want got
back '{"id":9,"prompt":[1],"completions":[],"meta":{"input_ids":[3]}}' >got
is 'a record that speaks of ids is none' 1 "$(grep -c '"meta":{"input_ids":\[3\]}' got)"
bad() {
    printf '%s\n' "$1" >bad.jsonl
    fails 1 "bad.jsonl:1: $2" "$1" l2-cat --from-json bad.jsonl
}
bad '{"input_ids":[1,-2]}' 'input_ids\[1\]: want an integer from 0'
bad '{"input_ids":[1,4294967296]}' 'input_ids\[1\]: want an integer'
bad '{"input_ids":"1 2"}' 'input_ids: want an array'
bad '{"input_ids":[1,2],"labels":[-100]}' 'labels: want 2 numbers, as many as ids, got 1'
bad '{"input_ids":[1,2],"labels":[-100,3]}' 'labels\[1\]: want -100 or the id'
bad '{"input_ids":[1,2],"labels":[-100,2],"completion_mask":[0,0]}' 'labels\[1\]: completion_mask says'
bad '{"input_ids":[1,2],"completion_mask":[0,2]}' 'completion_mask\[1\]: want an integer from 0 to 1'
bad '{"chosen_ids":[1,2]}' 'rejected_ids: want an array'
bad '{"chosen_ids":[1],"rejected_ids":[2],"margin":"much"}' 'margin: want a number'
bad '{"chosen_ids":[1],"rejected_ids":[2],"id":[3]}' 'id: want text or an integer'
printf '%s\n' '{"input_ids":[1,2]}' '{"input_ids":[-1]}' '{"input_ids":[1,3]}' >some.jsonl
l2-cat --from-json --skip-bad some.jsonl >some.l2s 2>summary
is 'bad rows can be left out, and are counted' '"skipped":1' "$(grep -o '"skipped":[0-9]*' summary)"
is 'the others stay' 2 "$(l2-cat -q --json some.l2s | wc -l)"

l2-tokenize -q -z tokenizer.model text.txt --lines -o text.l2s
l2-tokenize -q -z tokenizer.model pairs.jsonl | l2-score -q -m rm -o pairs.l2s
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
l2-generate -q -m model -k 2 -n 5 prompts.l2s | l2-score -q -m rm -o answers.l2s
for f in text pairs prompts; do
    ids $f.l2s >rows
    l2-cat -q --from-json <rows | ids >again
    same "$f: there and back" rows again
done
is 'two samples are no pair' 6 "$(ids answers.l2s | grep -c completion_mask)"
is 'a margin and meta come along' 3 "$(ids pairs.l2s | grep -c '"margin":[0-9.]*,"source":')"
if have python3; then
    cat >check.py <<'E'
import csv, json, subprocess

def run(*command):
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout

def lines(*command):
    return [json.loads(line) for line in run(*command).splitlines()]

records = lines("l2-cat", "-q", "--json", "text.l2s")
rows = lines("l2-cat", "-q", "--json", "--ids", "text.l2s")
assert len(records) == len(rows) > 2
for record, row in zip(records, rows):
    prompt, answer = record["prompt"], record["completions"][0]["tokens"]
    assert row["input_ids"] == prompt + answer
    assert row["labels"] == [-100] * len(prompt) + answer
    assert row["completion_mask"] == [0] * len(prompt) + [1] * len(answer)

records = lines("l2-cat", "-q", "--json", "pairs.l2s")
rows = lines("l2-cat", "-q", "--json", "--ids", "pairs.l2s")
bench = lines("l2-tokenize", "-q", "-d", "-z", "tokenizer.model", "--rewardbench", "reward", "pairs.l2s")
source = [json.loads(line) for line in open("pairs.jsonl")]
assert len(records) == len(rows) == len(bench) == len(source) > 2
for record, row, b, s in zip(records, rows, bench, source):
    sides = [record["prompt"] + c["tokens"] for c in record["completions"]]
    assert [row["chosen_ids"], row["rejected_ids"]] == sides
    scores = [c["scores"]["reward"] for c in record["completions"]]
    assert [b["scores_chosen"], b["scores_rejected"]] == scores
    assert b["results"] == int(scores[0] > scores[1])
    assert b["prompt"] == s["prompt"] and b["text_chosen"] == s["prompt"] + s["chosen"], (b, s)
    assert b["text_rejected"] == s["prompt"] + s["rejected"] and b["source"] == s["source"]

table = list(csv.DictReader(run("l2-cat", "-q", "--scores", "csv", "answers.l2s", "pairs.l2s").splitlines()))
flat = [(r, i, c) for r in lines("l2-cat", "-q", "--json", "answers.l2s") + records
        for i, c in enumerate(r["completions"])]
assert len(table) == len(flat)
for line, (r, i, c) in zip(table, flat):
    assert line["id"] == str(r["id"]) and line["completion"] == str(i)
    assert line["tokens"] == str(len(c["tokens"])) and line["finish"] == c.get("finish", "")
    assert float(line["reward"]) == c["scores"]["reward"]
E
    ok 'what Python reads of them' python3 check.py
else
    skip 'what Python reads of them' 'no python3'
fi
cat >odd.jsonl <<'E'
{"id":"a,\"b\"\n\tc\\","prompt":[1],"completions":[{"tokens":[2],"scores":{"x,y":1.5}},{"tokens":[3],"scores":{"z":-1}},{"tokens":[4]}]}
E
l2-cat -q --from-json -o odd.l2s odd.jsonl
{
    printf 'id,completion,tokens,finish,"x,y",z\n'
    printf '"a,""b""\n\tc\\",0,1,,1.5,\n"a,""b""\n\tc\\",1,1,,,-1.0\n"a,""b""\n\tc\\",2,1,,,\n'
} >want
l2-cat -q --scores csv odd.l2s >got
same 'CSV quotes' want got
printf 'id\tcompletion\ttokens\tfinish\tx,y\tz\na,"b"\\n\\tc\\\\\t0\t1\t\t1.5\t\n' >want
l2-cat -q --scores tsv odd.l2s | head -n 2 >got
same 'TSV escapes' want got
is 'a stream without completions has a title' 'id,completion,tokens,finish' \
    "$(l2-cat -q --scores csv prompts.l2s)"
fails 1 'want two completions with the score reward' 'RewardBench wants scores' \
    l2-tokenize -d -z tokenizer.model --rewardbench reward prompts.l2s
fails 2 'wants --decode' 'and decoding' l2-tokenize -z tokenizer.model --rewardbench x prompts.jsonl
fails 2 'csv or --scores tsv' 'another form' l2-cat --scores xls prompts.l2s
fails 2 'one of --json' 'two forms' l2-cat --scores csv --stats prompts.l2s
fails 2 'with --json alone' 'ids of what' l2-cat --ids prompts.l2s
echo '{"id":1,"completions":[{"text":"a"}]}' | l2-cat -q --from-json >texts.l2s
fails 1 'has texts, no token ids' 'texts have no ids' l2-cat --json --ids texts.l2s
finish
