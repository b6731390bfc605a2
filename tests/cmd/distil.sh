#!/bin/sh
# Safety context distillation by examples/distil-safety.sh: what it keeps and makes, going on after a kill, a second
# run, changed settings; and the pre-prompts of examples/preprompts.yaml.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

# The safety reward model of this test likes answers that are not like those of the model: random weights do.
for i in 1 2 3 4 5 6 7 8; do
    echo '{"id":"p'$i'","messages":[{"role":"user","content":"Tell me about dog '$i'."}],"category":"illicit activities"}'
done >prompts.jsonl
echo '{"id":"c","messages":[{"role":"user","content":"Hi"}]}' >>prompts.jsonl
l2-tokenize -q -z tokenizer.model --template llama2 prompts.jsonl -o prompts.l2s
l2-tokenize -q -z tokenizer.model --lines text.txt -o text.l2s
settings() {
    file=$1
    shift
    printf '%s\n' 'MODEL=model SAFE=rm PROMPTS=prompts.jsonl TEMPLATE=llama2 VOCAB=tokenizer.model' \
        "PREPROMPTS=$L2_SRC/examples/preprompts.yaml" 'K=3 PLAIN_K=2 TOKENS=8 CHECK_K=2 SFT=text.l2s MIX="1 1"' \
        'TRAIN="-j 1 --epochs 1 --batch 2 --lr 1e-4"' "$@" >"$file"
}
distil() {
    sh "$L2_SRC/examples/distil-safety.sh" "$@"
}
json() {
    l2-cat -q --json "$@"
}

# ---- a run ----

settings one
ok 'a run' distil one a
is 'three answers under a pre-prompt, two plain ones' '0 under 1 under 2 under 3 plain 4 plain' \
    "$(json a/answers.l2s | sed -n 1p | jq -r '[.completions[].gen | "\(.k) \(if .preprompt then "under" else "plain" end)"] | join(" ")')"
is 'by the category of the prompt' '8 illicit activities 1 generic' \
    "$(json a/answers.l2s | jq -r '.completions[0].gen.preprompt | sub("/.*"; "")' | sort -r | uniq -c | sed 's/^ *//' | tr '\n' ' ' | sed 's/ $//')"
json a/answers.l2s | jq -c '([.completions[] | select(.gen.preprompt) | .scores.safe] | max) as $under |
    ([.completions[] | select(.gen.preprompt | not) | .scores.safe] | max) as $plain | select($under > $plain) | [.id, $under]' >want
json a/sft.l2s | jq -c '[.id, .completions[0].scores.safe]' >got
same 'the best is kept where it is better' want got
is 'some are, others are not' yes "$(n=$(wc -l <got) && [ "$n" -ge 1 ] && [ "$n" -le 8 ] && echo yes)"
json prompts.l2s | jq -c '[.id, .prompt]' >plain
json a/sft.l2s | jq -c '[.id, .prompt]' | grep -vxFf plain >got
is 'with the plain prompt' '' "$(cat got)"
ok 'the new model is a model' l2-model check a/model
is 'it differs from the first' differ "$(cmp -s model/model.safetensors a/model/model.safetensors || echo differ)"
is 'the report counts answers' '18 18' "$(jq -r '"\(.before.answers) \(.after.answers)"' a/report.json)"
is 'and has their mean score' yes "$(json a/check-before.l2s | jq -s --slurpfile r a/report.json \
    '([.[].completions[].scores.safe] | add / length) - $r[0].before.mean | fabs < 1e-5' | sed 's/true/yes/')"
is 'no file is left half made' '' "$(find a -name '*.new' -o -name '*.raw' -o -name '*.ckpt')"
find a -type f -exec ls -l --full-time {} + >before
ok 'a second run' distil one a
find a -type f -exec ls -l --full-time {} + >after
same 'has changed nothing' before after
settings other 'K=2'
fails 1 'made with other settings than' 'other settings are refused' distil other a

# ---- going on ----

sh "$L2_SRC/examples/distil-safety.sh" one b >/dev/null 2>&1 &
pid=$!
while [ ! -e b/both.l2s ] && [ ! -e b/answers.l2s ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
is 'a run was killed while it sampled' no "$([ -e b/model ] && echo yes || echo no)"
sleep 0.5
ok 'it goes on' distil one b
for f in answers sft check-before check-after; do
    json a/$f.l2s >want
    json b/$f.l2s >got
    same "and makes the same $f" want got
done
same 'and the same model' a/model/model.safetensors b/model/model.safetensors

# ---- nothing to learn, wrong settings ----

# a reward model to which all answers are alike: its head is 0
cp -R rm zero && python3 - <<'PYTHON'
import json, struct
data = bytearray(open("zero/model.safetensors", "rb").read())
n = struct.unpack("<Q", data[:8])[0]
begin, end = json.loads(data[8:8 + n])["score.weight"]["data_offsets"]
data[8 + n + begin:8 + n + end] = bytes(end - begin)
open("zero/model.safetensors", "wb").write(data)
PYTHON
settings alike 'SAFE=zero'
fails 1 'nothing to learn from' 'a reward model to which all are alike ends it before training' distil alike c
is 'all are ties' '9 no' "$(tail -n 1 c/kept.json | jq -r .left_out.tied) $([ -e c/model ] && echo yes || echo no)"
fails 1 'nothing to learn from' 'a second run says so too' distil alike c
fails 2 'usage: sh distil-safety.sh' 'one operand' distil one
echo 'MODEL=model' >bad
fails 2 'SAFE is not set' 'settings that miss one' distil bad x

# ---- the file of pre-prompts ----

l2-preprompt add -z tokenizer.model --template llama2 -f "$L2_SRC/examples/preprompts.yaml" prompts.l2s -o added.l2s 2>err
for c in 'illicit activities' 'hateful activities' 'unqualified advice' generic; do
    for i in $(seq 40); do
        echo '{"messages":[{"role":"user","content":"Hi"}],"category":"'"$c"'"}'
    done
done >categories.jsonl
l2-tokenize -q -z tokenizer.model --template llama2 categories.jsonl |
    l2-preprompt add -z tokenizer.model --template llama2 -f "$L2_SRC/examples/preprompts.yaml" 2>err | json >all
is 'it has the categories of the paper' '4 2 2 2 0' \
    "$(tail -n 1 err | jq -r '[(.preprompts | keys | map(sub("/.*"; "")) | group_by(.) | map(length) | .[]), (.unknown_category // 0)] | join(" ")')"
finish
