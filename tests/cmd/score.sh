# l2-score: rewards and log-probabilities against reference values, and what it does with records that it
# cannot score.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SHARED/golden/gqa64
compare=$L2_SRC/tests/compare.py

# A stream without a vocabulary from lines of JSON.
make_stream() {
    l2-cat -q --from-json -o "$1" -
}

# scores NAME FILE: all scores of that name, as a JSON array
scores() {
    l2-cat -q --json "$2" | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
print(json.dumps([c["scores"][sys.argv[1]] for r in rows for c in r["completions"]]))' "$1"
}

if [ -z "$L2_SHARED" ]; then
    skip "scores equal reference values" "the shared data is absent"
    finish
fi

# The reference has whole sequences; the first token is the prompt, the rest the completion.
python3 - "$golden/train.json" <<'E2' >pairs.json
import json, sys
reward = json.load(open(sys.argv[1]))["reward"]
for i, (c, r, m) in enumerate(zip(reward["chosen"], reward["rejected"], reward["margin"])):
    print(json.dumps({"id": i, "prompt": c[:1], "margin": m, "meta": {"even": i % 2 == 0},
                      "completions": [{"tokens": c[1:]}, {"tokens": r[1:]}]}))
json.dump([x for p in zip(reward["score_chosen"], reward["score_rejected"]) for x in p], open("want.json", "w"))
right = [c > r for c, r in zip(reward["score_chosen"], reward["score_rejected"])]
json.dump(sum(right) / len(right), open("accuracy.json", "w"))
E2
make_stream pairs.l2s <pairs.json

for backend in native blas; do
    ok "rewards ($backend)" l2-score -m "$golden/rm-f32" --kv-type f32 --backend $backend --as r -o $backend.l2s \
        --by-field even pairs.l2s
    cp stderr summary
    scores r $backend.l2s >got.json
    ok "rewards equal the reference ($backend)" python3 "$compare" 2e-4 want.json got.json
    ok "the summary tells of the pairs ($backend)" python3 - summary accuracy.json <<'E2'
import json, sys
report = json.loads(open(sys.argv[1]).readlines()[-1])
assert report["program"] == "l2-score", report
assert report["pairs"]["n"] == 4 and report["pairs"]["ties"] == 0, report
assert report["pairs"]["accuracy"] == json.load(open(sys.argv[2])), report
assert [m["margin"] for m in report["by_margin"]] == [1.0, 0.6666667, 0.33333334, 0.0], report
assert report["by_field"]["field"] == "even" and sum(v["n"] for v in report["by_field"]["values"]) == 4, report
assert report["score"]["n"] == 8, report
E2
done

ok "several scores add up in one record" sh -c "
    l2-score -q -m '$golden/rm-f32' --as a pairs.l2s |
    l2-score -q -m '$golden/rm-f32' --as b |
    l2-cat -q --json | python3 -c '
import json, sys
for line in sys.stdin:
    for c in json.loads(line)[\"completions\"]:
        assert sorted(c[\"scores\"]) == [\"a\", \"b\"] and c[\"scores\"][\"a\"] == c[\"scores\"][\"b\"]
'"

# bits do not depend on batch and threads
l2-score -q -m "$golden/rm-f32" --as r --no-history -j 1 --batch 3 -o one.l2s pairs.l2s
l2-score -q -m "$golden/rm-f32" --as r --no-history -j 2 --batch 256 -o two.l2s pairs.l2s
l2-cat -q --json one.l2s >one.json
l2-cat -q --json two.l2s >two.json
same "the same bits with other batches and threads" one.json two.json

# a shared prompt gives what single completions give
python3 - <<'E2' >group.json
import json
prompt = [1] + [3 + (7 * i) % 300 for i in range(150)]
done = [[5 + (11 * i * (j + 1)) % 300 for i in range(j * 9)] for j in range(6)]
print(json.dumps({"id": "all", "prompt": prompt, "completions": [{"tokens": t} for t in done]}))
for j, t in enumerate(done):
    print(json.dumps({"id": j, "prompt": prompt, "completions": [{"tokens": t}]}))
E2
make_stream group.l2s <group.json
for args in "--as x" "--logprob sum --as x --per-token"; do
    case $args in *logprob*) model=$golden/hf-f32 ;; *) model=$golden/rm-f32 ;; esac
    ok "a shared prompt changes nothing ($args)" sh -c "
        l2-score -q -m '$model' $args group.l2s | l2-cat -q --json | python3 -c '
import json, sys
rows = [json.loads(line)[\"completions\"] for line in sys.stdin]
assert len(rows[0]) == 6 and rows[0] == [r[0] for r in rows[1:]], rows
assert all(\"x\" in c[\"scores\"] for c in rows[0])
'"
done

# log-probabilities
python3 - "$golden/forward.json" <<'E2' >text.json
import json, math, sys
ref = json.load(open(sys.argv[1]))
t, lp = ref["tokens"], ref["next_token_logprob"]
print(json.dumps({"id": 0, "prompt": t[:1], "completions": [{"tokens": t[1:]}]}))
json.dump(lp, open("lp.json", "w"))
json.dump([math.fsum(lp)], open("sum.json", "w"))
json.dump([-ref["nll_mean"]], open("mean.json", "w"))
E2
make_stream text.l2s <text.json
for backend in native blas; do
    for unit in sum mean; do
        l2-score -q -m "$golden/hf-f32" --kv-type f32 --backend $backend --logprob $unit --per-token -o lp.$backend.$unit.l2s \
            text.l2s
        scores logprob lp.$backend.$unit.l2s >got.json
        ok "log-probability equals the reference ($backend, $unit)" python3 "$compare" 2e-3 $unit.json got.json
    done
    l2-cat -q --json lp.$backend.sum.l2s |
        python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["completions"][0]["logprobs"]))' >got.json
    ok "log-probabilities of the tokens equal the reference ($backend)" python3 "$compare" 2e-4 lp.json got.json
done

# what rounded keys and values cost: types, tolerance of a token's log-probability
for row in bf16:0.02 q8:0.05; do
    type=${row%:*}
    l2-score -q -m "$golden/hf-f32" --kv-type $type --logprob sum --per-token -o lp.$type.l2s text.l2s
    l2-cat -q --json lp.$type.l2s |
        python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["completions"][0]["logprobs"]))' >got.json
    ok "log-probabilities with keys and values in $type" python3 "$compare" ${row#*:} lp.json got.json
    fails 1 'largest difference' "which are not exact ($type)" python3 "$compare" 1e-5 lp.json got.json
done

# what cannot be scored
fails 2 'not a reward model' "a model without a score head" l2-score -m "$golden/hf-f32" text.l2s
fails 2 'want a vocabulary head' "log-probabilities of a reward model" \
    l2-score -m "$golden/rm-f32" --logprob sum text.l2s
fails 2 'per-token wants --logprob' "--per-token alone" l2-score -m "$golden/rm-f32" --per-token text.l2s
fails 2 'no model|-m' "no model" l2-score text.l2s

python3 - <<'E2' >long.json
import json
print(json.dumps({"id": "short", "prompt": [1], "completions": [{"tokens": [5, 6]}]}))
print(json.dumps({"id": "long one", "prompt": [1] + [7] * 300, "completions": [{"tokens": [5, 6]}]}))
print(json.dumps({"id": "after", "prompt": [1], "completions": [{"tokens": [5, 6]}]}))
E2
make_stream long.l2s <long.json
fails 1 'record long one: too long for the context: want at most 256 tokens' "a record longer than the context" \
    l2-score -m "$golden/rm-f32" -o cut.l2s long.l2s
fails 1 'incomplete|complete' "its stream says that it is incomplete" l2-cat --check cut.l2s
is "what came before it is there" 1 "$(l2-cat -q --json cut.l2s 2>/dev/null | grep -c '"scores"')"
ok "--overlong drop passes it on" l2-score -m "$golden/rm-f32" --overlong drop -o drop.l2s long.l2s
is "and counts it" 1 "$(grep -c '"dropped": *1' stderr)"
is "without a score" 2 "$(l2-cat -q --json drop.l2s | grep -c '"scores"')"
for side in left right; do
    ok "--overlong truncate-$side scores it" l2-score -m "$golden/rm-f32" --overlong truncate-$side \
        -o trunc.$side.l2s long.l2s
    is "and counts it (truncate-$side)" 1 "$(grep -c '"truncated": *1' stderr)"
    is "with a score (truncate-$side)" 3 "$(l2-cat -q --json trunc.$side.l2s | grep -c '"scores"')"
done

l2-cat -q --json long.l2s | sed 's/"long one"/"full"/' | l2-cat -q --from-json -o full.l2s -
fails 1 'full.*nothing of it is left' "a completion that truncation leaves nothing of has no log-probability" \
    l2-score -m "$golden/hf-f32" --logprob sum --overlong truncate-right -o /dev/null --force full.l2s

# the prompt's oldest tokens are left out, and BOS stays
python3 - <<'E2' >left.json
import json
tail = [10 + 7 * i % 290 for i in range(253)]
print(json.dumps({"id": 0, "prompt": [1] + [9] * 50 + tail, "completions": [{"tokens": [5, 6]}]}))
print(json.dumps({"id": 1, "prompt": [1] + tail, "completions": [{"tokens": [5, 6]}]}))
print(json.dumps({"id": 2, "prompt": [9] * 50 + [8] + tail, "completions": [{"tokens": [5, 6]}]}))
print(json.dumps({"id": 3, "prompt": [8] + tail, "completions": [{"tokens": [5, 6]}]}))
E2
make_stream left.l2s <left.json
l2-score -q -m "$golden/rm-f32" --as r --overlong truncate-left -o left.out.l2s left.l2s
scores r left.out.l2s >got.json
ok "truncate-left keeps BOS and the newest tokens" python3 -c '
import json
r = json.load(open("got.json"))
assert r[0] == r[1] and r[2] == r[3] and r[0] != r[2], r'

# a weight that is not a number
cp -r "$golden/rm-f32" nan && chmod -R u+w nan
python3 - nan/model.safetensors <<'E2'
import json, struct, sys
with open(sys.argv[1], "r+b") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    head = json.loads(f.read(n))
    begin = head["model.embed_tokens.weight"]["data_offsets"][0]
    f.seek(8 + n + begin + 4 * 64 * 7)  # the row of token 7
    f.write(b"\0\0\xc0\x7f")
E2
printf '%s\n' '{"id":"good","prompt":[1],"completions":[{"tokens":[5,6]}]}' \
    '{"id":"bad","prompt":[1],"completions":[{"tokens":[5,7]},{"tokens":[5,6]}]}' | make_stream seven.l2s
fails 1 'bad.*not finite' "a weight that is not a number: the record is named" \
    l2-score -m nan -o nan.l2s --as r seven.l2s
is "the record passes without that score" '[1, 0, 1]' "$(l2-cat -q --json nan.l2s 2>/dev/null | python3 -c '
import json, sys
print([len(c.get("scores", {})) for line in sys.stdin for c in json.loads(line)["completions"]])')"
ok "and nothing that is not finite is on the wire" sh -c "l2-cat -q --json nan.l2s | grep -vi nan"

finish
