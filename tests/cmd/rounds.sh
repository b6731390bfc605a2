#!/bin/sh
# Rejection-sampling rounds of examples/rounds.sh: what they choose and make, going on after a kill, a second run,
# changed settings, rounds that do not gain, distillation and PPO.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
l2-tokenize -q -z tokenizer.model --lines text.txt -o text.l2s

# settings FILE LINE...: settings that all runs here share, and more
settings() {
    file=$1
    shift
    printf '%s\n' 'MODEL=model HELPFUL=rm PROMPTS=prompts.l2s CHECK=prompts.l2s SFT=text.l2s' \
        'K=4 TOKENS=8 CURVE=2 CHECK_K=2 TEMPERATURES="0.7 1.3"' \
        'TRAIN="-j 1 --epochs 1 --batch 2 --lr 1e-4"' "$@" >"$file"
}
rounds() {
    sh "$L2_SRC/examples/rounds.sh" "$@"
}
# sums DIR: what a directory holds, logs and histories aside
sums() {
    (cd "$1" && find . -type f ! -name '*.jsonl' ! -name final ! -name settings ! -name '*.l2s' -exec cksum {} + | sort -k 3
    find . -name '*.l2s' | sort | while read -r f; do
        echo "$f $(l2-cat -q --json "$f" | cksum)"
    done)
}

# ---- a run, a second one ----

settings two 'ROUNDS=2'
ok 'two rounds' rounds two a
is 'the temperature is one of those' yes "$(grep -qxE '0.7|1.3' a/v1/temperature && echo yes)"
is 'K answers to every prompt' '4 4 4' "$(l2-cat -q --json a/v1/pool.l2s | jq '.completions | length' | tr '\n' ' ' | sed 's/ $//')"
is 'the best of them is kept' "$(l2-cat -q --json a/v1/pool.l2s | jq -c '[.completions[].scores.helpful] | max')" \
    "$(l2-cat -q --json a/v1/best.l2s | jq -c '.completions[0].scores.helpful')"
is 'the report has the mean of the best' yes "$(jq -s --slurpfile r a/v1/report.json \
    '(map(.completions[0].scores.helpful) | add / length) - $r[0].reward_best | fabs < 1e-6' <<JSON | sed 's/true/yes/'
$(l2-cat -q --json a/v1/best.l2s)
JSON
)"
ok 'the new model is a model' l2-model check a/v1/model
is 'it differs from the first' differ "$(cmp -s model/model.safetensors a/v1/model/model.safetensors || echo differ)"
is 'what is named is there' yes "$([ -d "$(cat a/final)" ] && echo yes)"
is 'the report says whether it gained' "$(jq '.check_after > .check_before' a/v1/report.json)" "$(jq .kept a/v1/report.json)"
is 'no file is left half made' '' "$(find a -name '*.new' -o -name '*.raw' -o -name '*.ckpt')"
find a -type f -exec ls -l --full-time {} + >before
ok 'a second run' rounds two a
find a -type f -exec ls -l --full-time {} + >after
same 'has changed nothing' before after
settings other 'ROUNDS=3'
fails 1 'made with other settings than' 'other settings are refused' rounds other a

# ---- going on ----

sh "$L2_SRC/examples/rounds.sh" two b >/dev/null 2>&1 &
pid=$!
while [ ! -e b/v1/temperature ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
is 'a run was killed in its first round' no "$([ -e b/final ] && echo yes || echo no)"
sleep 0.5
ok 'it goes on' rounds two b
sums a >a.sums
sums b | sed 's|b/|a/|g' >b.sums
same 'and makes what a whole run makes' a.sums b.sums
rm -r a/final a/v1/model a/v1/report.json
ok 'a model and a report that are gone' rounds two a
sums a >again.sums
same 'are made again as they were' a.sums again.sums

# ---- rounds that do not gain ----

settings judged 'ROUNDS=2' 'JUDGE="cat >/dev/null; echo 1"'
ok 'a judge to whom all answers are alike' rounds judged c
is 'ends the first round before training' 'false no' "$(jq .kept c/v1/report.json) $([ -e c/v1/model ] && echo yes || echo no)"
is 'and the first model stays' model "$(cat c/final)"

# ---- distillation, PPO ----

# towards STREAM OLD NEW: whether the answers are more likely under NEW
towards() {
    for model in "$2" "$3"; do
        l2-score -q -m "$model" --logprob sum --as p "$1" | l2-cat -q --json | jq '.completions[].scores.p'
    done | jq -s '(.[length / 2:] | add) > (.[:length / 2] | add)' | sed 's/true/yes/'
}
json_scores() {
    l2-cat -q --json | jq -c '[.completions[].scores[]]'
}
l2-model init -q "$L2_SRC/examples/presets/tiny.yaml" --n-layers 1 -z tokenizer.model -s 3 -o small
settings distil 'START=small ROUNDS=1 TEMPERATURES=1' 'PPO="-j 1 --batch 6 -k 2 --mini-batch 6 --iterations 1 --lr 1e-4"'
ok 'a smaller model learns from a larger one' rounds distil d
is 'from answers of the larger one' '"model"' "$(l2-cat -q --json d/v1/pool.l2s | jq -c '.completions[].gen.model' | sort -u)"
is 'and stays small' 1 "$(jq .num_hidden_layers d/v1/model/config.json)"
is 'it is measured against itself' "$(l2-generate -q -m small -k 2 -n 8 -s 1 prompts.l2s | l2-score -q -m rm | json_scores)" \
    "$(l2-cat -q --json d/check.l2s | jq -c '[.completions[].scores.helpful]')"
is 'and has moved towards the answers' yes "$(towards d/v1/best.l2s small d/v1/model)"
ok 'PPO on the last' l2-model check d/ppo/model
is 'with a report' '"ppo"' "$(jq -c .round d/ppo/report.json)"

settings safe 'SAFE=rm2 TAG=risky ROUNDS=1 TEMPERATURES=1 SFT='
l2-model to-reward -q -s 5 -o rm2 model
ok 'two reward models' rounds safe e
is 'both have scored' '["helpful","safe"]' "$(l2-cat -q --json e/v1/best.l2s | jq -c '.completions[0].scores | keys' | sort -u)"

# ---- newer reward models ----

cat >newer.sh <<'SH'
echo "$ROUND $LATEST $HELPFUL" >>asked
cp -r rm2 "$OUT/helpful"
SH
settings newer 'ROUNDS=2 TEMPERATURES=1' 'PREFER="sh newer.sh"' 'PPO="-j 1 --batch 6 -k 2 --mini-batch 6 --iterations 1 --lr 1e-4"'
ok 'newer reward models in between' rounds newer h
is 'PREFER is told the round, the latest model and the reward model' yes "$(if [ -d h/v2 ]; then
    [ "$(cat asked)" = "2 h/v1/model rm
ppo $(sed -n '/"kept": true/s/.*"round": \([0-9]*\).*/h\/v\1\/model/p' h/v*/report.json | tail -n 1) h/v2/helpful" ] && echo yes
else
    [ "$(cat asked)" = 'ppo model rm' ] && echo yes
fi || cat asked)"
is 'rewards names the last ones' h/ppo/helpful "$(cat h/rewards)"
# again OLD NEW: NEW is OLD with the scores of the newer reward model
again() {
    is "which have scored $1 again" "$(l2-score -q -m rm2 --as helpful "$1" | json_scores)" "$(json_scores <"$2")"
}
kept=$(sed -n '/"kept": true/s/.*"round": \([0-9]*\).*/v\1\//p' h/v*/report.json | tail -n 1)
again "h/${kept}check.l2s" h/ppo/before.l2s
[ ! -d h/v2 ] || again h/v1/pool.l2s h/v2/pool-1.l2s
cp asked before
ok 'a second run' rounds newer h
same 'asks for no more' before asked
settings none 'ROUNDS=0' 'PREFER=true' 'PPO="--iterations 1"'
fails 1 'PREFER has not made' 'none made' rounds none i

# ---- a teacher of all rounds; options from YAML ----

cat >options.yaml <<'YAML'
threads: 1
l2-generate:
  max-tokens: 5
l2-train:
  sft: {batch: 3}
l2-ppo: {batch: 6, completions: 2, mini-batch: 6, iterations: 2, max-tokens: 4}
YAML
settings teacher 'START=small TEACHER=1 ROUNDS=2 TEMPERATURES=1 TOKENS= CONFIG=options.yaml PPO=yes' \
    'TRAIN="--epochs 2 --lr 1e-3"' 'SFT='
ok 'a larger model answers in all rounds' rounds teacher g
is 'in each that there was' '"model"' "$(for f in g/v*/pool.l2s; do l2-cat -q --json "$f"; done | jq -c '.completions[].gen.model' | sort -u)"
is 'the length is that of the YAML' 5 "$(l2-cat -q --json g/v1/pool.l2s | jq '.completions[].tokens | length' | sort -n | tail -n 1)"
is 'and PPO as well' '2 true' \
    "$(wc -l <g/ppo/log.jsonl | tr -d ' ') $(jq -s 'all(.[]; .["completions/mean_length"] <= 4 and .["completions/mean_length"] > 0)' g/ppo/log.jsonl)"
ok 'a second run' rounds teacher g
echo 'l2-generate: {max-tokens: 6}' >options.yaml
fails 1 'made with other settings than options.yaml' 'another YAML is refused' rounds teacher g
for p in l2-generate l2-score 'l2-train sft' l2-ppo; do
    # shellcheck disable=SC2086 # with its subcommand
    ok "$p reads rounds.yaml" $p --config "$L2_SRC/examples/rounds.yaml" --print-config
done

fails 2 'usage: sh rounds.sh' 'two operands' rounds two
echo 'MODEL=model' >bad
fails 2 'HELPFUL is not set' 'settings that miss one' rounds bad x

finish
