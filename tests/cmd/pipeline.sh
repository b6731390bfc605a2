#!/bin/sh
# The main job from end to end: sixteen answers to each prompt, scored, the best one kept, as text; and
# preference pairs with their scores. What the programs decide is decided again from their records.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

make_fixtures "$L2_TMP" || exit 99

# pipeline OPTION...: the options are for the programs that run a model
pipeline() {
    l2-tokenize -q --no-history -z tokenizer.model prompts.jsonl |
        l2-generate -q --no-history -m model -k 16 -n 40 -s 1 "$@" |
        l2-score -q --no-history -m rm --as r "$@" |
        tee "$L2_TMP/scored.l2s" |
        l2-rsample -q --no-history --best 1 --by r
}

ok 'prompts to the best of sixteen answers' sh -c 'l2-tokenize -z tokenizer.model prompts.jsonl |
    l2-generate -m model -k 16 -n 40 -s 1 | l2-score -m rm --as r | l2-rsample --best 1 --by r |
    l2-tokenize -d -z tokenizer.model'
is 'one answer to each prompt' 3 "$(grep -c '"completion":' stdout)"
is 'each with its score' 3 "$(grep -c '"scores":{"r":' stdout)"

pipeline >best.l2s
zstd -dcq best.l2s >want
pipeline -j 1 --batch 5 | zstd -dcq >got
same 'the same bytes with one thread and a batch of 5' want got
pipeline -j 2 --batch 200 --kv-memory 4M | zstd -dcq >got
same 'the same bytes with two threads and a batch of 200' want got

if have python3; then
    l2-cat -q --json scored.l2s >scored.json
    l2-cat -q --json best.l2s >best.json
    ok 'the best one is the best one' python3 - scored.json best.json <<'E'
import json, sys
for line, kept in zip(open(sys.argv[1]), open(sys.argv[2])):
    record, kept = json.loads(line), json.loads(kept)
    assert record["id"] == kept["id"] and record["prompt"] == kept["prompt"]
    answers = record["completions"]
    assert sorted(a["gen"]["k"] for a in answers) == list(range(16))
    best = max(a["scores"]["r"] for a in answers)
    first = min((a for a in answers if a["scores"]["r"] == best), key=lambda a: a["gen"]["k"])
    assert len(kept["completions"]) == 1 and kept["completions"][0] == first
    assert len({tuple(a["tokens"]) for a in answers}) > 8
    for a in answers:
        assert len(a["logprobs"]) == len(a["tokens"]) <= 40
        assert a["finish"] == ("eos" if a["tokens"][-1] == 2 else "length"), a["finish"]
E
    l2-score -q -m model --logprob sum --as lp --per-token scored.l2s | l2-cat -q --json >again.json
    ok 'the log-probabilities are those that scoring gives' python3 - scored.json again.json <<'E'
import json, sys
for line, again in zip(open(sys.argv[1]), open(sys.argv[2])):
    for a, b in zip(json.loads(line)["completions"], json.loads(again)["completions"]):
        assert a["logprobs"] == b["logprobs"]
        assert abs(sum(a["logprobs"]) - b["scores"]["lp"]) < 1e-4
E
else
    skip 'the best one is the best one' 'python3 is absent'
fi

# Bits per byte count the bytes of the text as it was, whatever pieces it is in.
if have python3; then
    printf 'Once upon a time, there was a dog.\nx\ncaf\303\251 \342\230\203\n' >lines.txt
    l2-tokenize -q -z tokenizer.model --lines lines.txt >lines.l2s
    l2-score -q -m model --logprob sum --as sum lines.l2s |
        l2-score -q -m model --logprob bits-per-byte --as bpb |
        l2-score -q -m model --logprob mean --as mean | l2-cat -q --json >units.json
    ok 'sum, mean and bits per byte agree' python3 - lines.txt units.json <<'E'
import json, math, sys
n = 0
for line, record in zip(open(sys.argv[1], "rb"), open(sys.argv[2])):
    (c,) = json.loads(record)["completions"]
    s = c["scores"]
    assert s["sum"] < 0
    assert math.isclose(s["bpb"], -s["sum"] / math.log(2) / len(line.rstrip(b"\n")), rel_tol=1e-12)
    assert math.isclose(s["mean"], s["sum"] / len(c["tokens"]), rel_tol=1e-12)
    n += 1
assert n == 3
E
fi

# Preference pairs: scored twice, once by a reward model and once as log-probabilities.
ok 'pairs with two scores' sh -c 'l2-tokenize -z tokenizer.model pairs.jsonl |
    l2-score -m rm --as r --by-field source | l2-score -m model --logprob mean |
    l2-tokenize -d -z tokenizer.model'
is 'they come out as they came in' 3 \
    "$(grep -c '"chosen":".*"rejected":".*"scores":{"r":.*"logprob":.*"margin":' stdout)"

if [ -n "$L2_SHARED" ] && have python3; then
    gzip -dc "$L2_SHARED/data/hh-rlhf/harmless-a.jsonl.gz" | head -n 60 >hh.jsonl
    ok 'real preference pairs' l2-tokenize -z tokenizer.model -o hh.l2s hh.jsonl
    ok 'are scored' l2-score -m rm --as r --overlong truncate-left -o hh-scored.l2s hh.l2s
    cp stderr summary
    l2-cat -q --json hh-scored.l2s >hh.json
    ok 'and the accuracy is that of their scores' python3 - hh.json summary <<'E'
import json, sys
pairs = [[c["scores"]["r"] for c in json.loads(line)["completions"]] for line in open(sys.argv[1])]
assert len(pairs) == 60
report = json.loads(open(sys.argv[2]).readlines()[-1])
assert report["pairs"]["n"] == 60
assert abs(report["pairs"]["accuracy"] - sum(c > r for c, r in pairs) / 60) < 1e-9
assert report["pairs"]["ties"] == sum(c == r for c, r in pairs)
flat = [s for p in pairs for s in p]
assert abs(report["score"]["mean"] - sum(flat) / 120) < 1e-6
E
    l2-tokenize -q -z tokenizer.model -d hh-scored.l2s >hh.out
    ok 'their text is what it was' python3 - hh.jsonl hh.out <<'E'
import json, sys
for a, b in zip(open(sys.argv[1]), open(sys.argv[2])):
    a, b = json.loads(a), json.loads(b)
    assert a["chosen"] == b["chosen"] and a["rejected"] == b["rejected"], (a, b)
E
else
    skip 'real preference pairs' 'the shared data or python3 is absent'
fi
finish
