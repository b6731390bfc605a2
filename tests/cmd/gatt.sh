#!/bin/sh
# Tests of l2-gatt: what its answers depend on, that only the last ones are learnt, what it measures, what it
# refuses.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures fixtures
cd fixtures || exit 99

cat >c.yaml <<'YAML'
constraints:
  - name: hobby
    instruction: "Always act as someone who enjoys {}."
    brief: "Hobby: {}."
    obeys: '(?i)\b{}\b'
    values: [tennis, {value: chess, obeys: 'the'}, "a.b*c"]
  - name: length
    instruction: Use one sentence.
    obeys: '\A[^.]*\.?\s*\z'
questions: [Who is she?, What now?, And then?]
YAML
cat >dialogues.jsonl <<'JSON'
{"id":"a","messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Tell me."},{"role":"assistant","content":"No."},{"role":"user","content":"Why?"}],"source":"x"}
{"id":"b","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"},{"role":"assistant","content":"Me."}]}
{"id":"c","messages":[{"role":"user","content":"Hi"}]}
JSON
seq 4 24 | sed 's/.*/{"id":"d&","messages":[{"role":"user","content":"Day & was"},{"role":"assistant","content":"x"},{"role":"user","content":"Why & of them?"},{"role":"assistant","content":"y"},{"role":"user","content":"Go on"}]}/' >>dialogues.jsonl
tokenize() { l2-tokenize -q -z tokenizer.model --template llama2 "$@"; }
tokenize dialogues.jsonl -o dialogues.l2s
gatt() { # make or measure
    sub=$1
    shift
    l2-gatt "$sub" -q -m model --constraints c.yaml --template llama2 -n 14 "$@"
}
records() { l2-cat -q --json "$1"; }
text() { l2-tokenize -q -z tokenizer.model -d "$@"; }
# count NAME: the number of that name in the summary line in ./stderr
count() { sed -n "s/.*\"$1\":\([-0-9.e]*\).*/\1/p" "$L2_TMP/stderr"; }

# ---- what answers depend on ----

gatt make -s 3 dialogues.l2s -o whole.l2s
records whole.l2s >whole
is 'a record for each dialogue' 24 "$(wc -l <whole | tr -d ' ')"
for options in '--batch 1' '--batch 9 -j 2' '-j 1' '--kv-memory 2M' --no-prefix-sharing; do
    # shellcheck disable=SC2086 # several options
    gatt make -s 3 $options dialogues.l2s >got.l2s
    records got.l2s >got
    same "the same with $options" whole got
done
for i in 1 2 3; do gatt make -s 3 --shard $i/3 dialogues.l2s; done >shards.l2s
records shards.l2s | sort >got
sort whole >want
same 'shards are the whole' want got
sed '1!G;h;$!d' dialogues.jsonl | tokenize --jsonl | gatt make -s 3 --unordered >got.l2s
records got.l2s | sort >got
same 'the same in another order, and as they finish' want got
gatt make -s 4 dialogues.l2s >got.l2s
records got.l2s >got
is 'another seed gives others' 1 "$(cmp -s whole got; echo $?)"
gatt measure -s 3 --turns 5 dialogues.l2s >rows
gatt measure -s 3 --turns 5 --batch 3 -j 2 dialogues.l2s >got
same 'rows are the same with --batch 3' rows got
for i in 1 2; do gatt measure -s 3 --turns 5 --shard $i/2 dialogues.l2s; done | sort >got
sort rows >want
same 'shards of them are the whole' want got

# Cut at any byte: what is missing is made.
size=$(wc -c <whole.l2s)
n=0 equal=0
while [ $n -le 12 ]; do
    head -c $((size * n / 12)) whole.l2s >part.l2s
    gatt make -s 3 -j 1 dialogues.l2s -o part.l2s --resume && records part.l2s >got && cmp -s whole got &&
        equal=$((equal + 1))
    n=$((n + 1))
done
is 'cut at 13 places and resumed: the same' 13 $equal
ok 'a whole file takes nothing' l2-gatt make -m model --constraints c.yaml --template llama2 -n 14 -s 3 \
    dialogues.l2s -o part.l2s --resume
is 'no answer was drawn' '24 0' "$(count resumed) $(count answers)"
cp c.yaml moved.yaml
ok 'a file of constraints may have moved' l2-gatt make -q -m model --constraints moved.yaml --template llama2 -n 14 \
    -s 3 dialogues.l2s -o part.l2s --resume
echo '# changed' >>moved.yaml
fails 1 'settings|options|constraints' 'but not have changed' l2-gatt make -q -m model --constraints moved.yaml \
    --template llama2 -n 14 -s 3 dialogues.l2s -o part.l2s --resume

# ---- the record ----

text whole.l2s >text
is 'the instruction stands once' 24 \
    "$(grep -c -E '^[^{]*\{("id":"[a-z0-9]*"),"prompt":\[(\{"role":"system","content":"Be kind."\},)?\{"role":"user","content":"(Always act|Hobby|Use one)[^"]*\\n(Tell me\.|Hi|Day [0-9]* was)"' text)"
is 'and not again' 24 "$(sed 's/\(Always act as someone who enjoys\|Hobby\|Use one\).*\\n\(Tell\|Hi\|Day\)//' text | grep -c -v -E 'Always|Hobby:|Use one sentence')"
is 'it is brief or full, for some each' '1 1' "$(grep -c 'Always act' text | awk '{ print ($1 > 2) }') $(grep -c 'Hobby: ' text | awk '{ print ($1 > 2) }')"
ok 'labels and meta' grep -q '"labels":{"constraint":"[a-z:; .*]*","turn":2}.*"meta":{"source":"x"}' text
is 'no spans' '' "$(grep '"spans"' whole)"
gatt make -s 3 --system --brief 1 --only hobby dialogues.l2s | text >text
is 'with --system it is the system turn' 24 "$(grep -c '"prompt":\[{"role":"system","content":"\(Be kind.\\n\)\{0,1\}Hobby: [^"]*\."},{"role":"user","content":"\(Tell\|Hi\|Day\)' text)"
gatt make -s 3 --combine 1 --brief 0 dialogues.l2s | text >text
is 'one constraint each with --combine 1' 0 "$(grep -c 'Always act.*Use one\|Use one.*Always act' text)"
gatt make --turns 2 -s 3 dialogues.l2s | text >text
is 'dialogues are cut to --turns' 24 "$(grep -c '"turn":2' text)"
ok 'or go on with the questions of the file' grep -q '"id":"c".*\(Who is she?\|What now?\|And then?\)"}\],"completion"' text
is 'the answers that were there are not' '' "$(grep 'Hello\.' text)"

# The answers are those of l2-generate for the rendered dialogue, by id, seed and turn.
printf '%s\n' '{"id":"c","messages":[{"role":"user","content":"Use one sentence.\nHi"}]}' | tokenize --jsonl |
    l2-generate -q --no-history -m model -s 3 -n 14 | records - | grep -o '"tokens":.*"gen"' >want
gatt make -s 3 --only length dialogues.l2s >length.l2s
records length.l2s | grep '"id":"c"' | sed 's/,"labels":{[^}]*}//' | grep -o '"tokens":.*"gen"' >got
same 'the answer is what l2-generate draws' want got

# Only the last answers are learnt: the loss is the likelihood of those alone.
records whole.l2s >/dev/null
l2-train sft -q -m model --data whole.l2s -o sft --epochs 1 --batch 24 --context 480 --log log.jsonl
l2-train sft -q -m model --data whole.l2s -o sft2 --epochs 1 --batch 24 --context 480 --log log2.jsonl --earlier-turns
l2-score -q -m model --logprob sum --kv-type f32 --activations f32 --as lp whole.l2s | l2-cat -q --json |
    sed 's/.*"tokens":\[\([^]]*\)\].*"lp":\([-0-9.e]*\).*/\2 \1/' |
    awk '{ n += split($2, a, ","); s += $1 } END { printf "%.4f\n", -s / n }' >want
loss() { sed -n '1s/.*"loss":\([0-9.]*\).*/\1/p' "$1"; }
loss log.jsonl | awk '{ printf "%.4f\n", $1 }' >got
is 'one step takes all of them' 1 "$(wc -l <log.jsonl | tr -d ' ')"
same 'the loss is the last answers alone' want got
is 'so it is with --earlier-turns' "$(loss log.jsonl)" "$(loss log2.jsonl)"

# ---- the measure ----

# What the patterns say, said by awk: words of the value (chess: "the"), or one sentence.
judged() {
    awk '{
        answer = $0; sub(/.*"answer":"/, "", answer); sub(/","finish".*/, "", answer)
        gsub(/\\[nt"\\]/, " ", answer)
        label = $0; sub(/.*"constraint":"/, "", label); sub(/".*/, "", label)
        says = $0; sub(/.*"obeys":/, "", says); sub(/,.*/, "", says)
        obeys = 1
        if (label ~ /tennis/ && tolower(answer) !~ /(^|[^a-z0-9_])tennis([^a-z0-9_]|$)/) obeys = 0
        if (label ~ /chess/ && answer !~ /the/) obeys = 0
        if (label ~ /a\.b/ && tolower(answer) !~ /a\.b\*c/) obeys = 0
        if (label ~ /length/ && answer !~ /^[^.]*\.? *$/) obeys = 0
        n++; right += (says == (obeys ? "true" : "false")); yes += obeys
    } END { print n, right, (yes > 0) }'
}
is 'patterns are judged as they say' '119 119 1' "$(judged <rows)"
is 'a row for each turn, as far as there are questions' 119 "$(wc -l <rows | tr -d ' ')"
l2-eval turns -q --jsonl --json rows >table
awk '{ t = $0; sub(/.*"turn":/, "", t); t += 0; n[t]++; yes[t] += /"obeys":true/ }
    END { for (t = 1; t <= 5; t++) print t, n[t], yes[t] }' rows >want
sed 's/.*"turn": *\([0-9]*\).*"answers": *\([0-9]*\).*"obey": *\([0-9]*\).*/\1 \2 \3/' table >got
same 'l2-eval turns counts the same' want got
ok 'each of several constraints has its word' grep -q '"each":{"[a-z]*":\(true\|false\),"[a-z]*":\(true\|false\)}' rows

# A reward model's word: the scores that l2-score gives the same answers.
gatt make --brief 0 -T 0 --turns 1 dialogues.l2s | l2-score -q -m rm --as r | l2-cat -q --json |
    sed 's/.*"r":\([-0-9.e]*\).*/\1/' >want
gatt measure --reward rm -T 0 --turns 1 --threshold 0.5 dialogues.l2s >scored
sed 's/.*"score":\([-0-9.e]*\).*/\1/' scored >got
same 'scores are those of l2-score' want got
is 'and obey from the threshold on' 0 \
    "$(awk '{ s = $0; sub(/.*"score":/, "", s); print ((s + 0 >= 0.5) != /"obeys":true/) }' scored | grep -c 1)"

# ---- the end of the context ----

ok 'dialogues end where the context does' l2-gatt measure -m model --constraints c.yaml --template llama2 -n 100 \
    --ignore-eos --turns 6 --only length dialogues.l2s
is 'and are counted' '1 1' "$(count ended_early | awk '{ print ($1 > 0) }') $(count answers | awk '{ print ($1 > 24 && $1 < 144) }')"
awk 'BEGIN { s = "word"; for (i = 0; i < 600; i++) s = s " again"; printf "{\"id\":\"long\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}\n", s }' >long.jsonl
tokenize long.jsonl dialogues.jsonl -o long.l2s
fails 1 'record long: .*leaves no room' 'a first turn that is too long is an error' gatt make long.l2s
ok 'or is left out' l2-gatt make -m model --constraints c.yaml --template llama2 -n 14 -s 3 --overlong drop long.l2s
is 'and counted' '1 1 24' "$(count left_out) $(count dropped) $(count dialogues)"
ok 'or is cut' gatt make --overlong truncate-left long.l2s

# ---- what is refused ----

bad() { # PATTERN DESC YAML
    printf '%s\n' "$3" >bad.yaml
    fails 1 "$1" "$2" l2-gatt make -q -m model --constraints bad.yaml --template llama2 dialogues.l2s
}
bad 'bad.yaml:2:5: .*unknown key .colour' 'an unknown key' 'constraints:
  - colour: red'
bad 'bad.yaml:1:1: .*unknown key .constraint.' 'an unknown section' 'constraint: []'
bad 'empty' 'an empty file' ''
bad 'want constraints' 'no constraints' 'questions: [a]'
bad 'bad.yaml:2:5: .*wants an instruction' 'no instruction' 'constraints:
  - name: a'
bad 'bad.yaml:2:5: .*wants a name' 'no name' 'constraints:
  - instruction: a'
bad 'wants values' 'no values' 'constraints: [{name: a, instruction: "do {}"}]'
bad 'empty list' 'an empty list of values' 'constraints: [{name: a, instruction: "do {}", values: []}]'
bad 'no \{\}' 'values that stand nowhere' 'constraints: [{name: a, instruction: do, values: [x]}]'
bad 'bad.yaml:2:44: pattern: ' 'a bad pattern' 'constraints:
  - {name: a, instruction: "do it", obeys: "("}'
bad 'second constraint' 'a name twice' 'constraints: [{name: a, instruction: b}, {name: a, instruction: c}]'
bad 'given twice' 'a key twice' 'constraints: [{name: a, name: b, instruction: c}]'
bad 'second document' 'two documents' 'constraints: [{name: a, instruction: b}]
---
a: b'
bad 'not YAML' 'no YAML' 'a: [b'
bad 'want a single value' 'a list for a text' 'constraints: [{name: [a], instruction: b}]'
fails 1 'no-such-file' 'a missing file' l2-gatt make -m model --constraints no-such-file dialogues.l2s
fails 2 'want constraints' 'no file' l2-gatt make -m model dialogues.l2s
fails 2 'no constraint .no-such' 'an unknown name' gatt make --only no-such dialogues.l2s
fails 2 'no-such' 'an unknown template' l2-gatt make -m model --constraints c.yaml --template no-such dialogues.l2s
fails 2 'resume' 'a measure is not resumed' gatt measure --resume dialogues.l2s -o x
fails 1 'not a reward model' 'a judge that is none' gatt measure --reward model dialogues.l2s
printf 'constraints: [{name: a, instruction: b}]\n' >mute.yaml
fails 1 'mute.yaml:1: .*no pattern' 'nothing to judge by' l2-gatt measure -m model --constraints mute.yaml --template llama2 \
    dialogues.l2s
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
fails 1 'record park: want messages' 'no dialogues' gatt make prompts.l2s
printf '%s\n' '{"id":"odd","messages":[{"role":"user","content":"a"}]}' | tokenize --jsonl | records - |
    sed 's/"role":"user"/"role":"tool"/' | l2-cat -q --from-json >odd.l2s
fails 1 'record odd: message 1: want role user, got tool' 'other roles' gatt make odd.l2s

# ---- HH's dialogues, in which one side may speak twice in a row ----

cat >hh.jsonl <<'JSON'
{"id":"h","chosen":"\n\nHuman: Hi.\n\nHuman: Who are you?\n\nAssistant: I am a dog.\n\nAssistant: Woof.\n\nHuman: Why?\n\nAssistant: So.","rejected":"\n\nHuman: Hi.\n\nHuman: Who are you?\n\nAssistant: I am a dog.\n\nAssistant: Woof.\n\nHuman: Why?\n\nAssistant: No."}
JSON
tokenize hh.jsonl -o hh.l2s
gatt make --only length --brief 0 hh.l2s | text >text
ok 'what is said in a row is one turn' grep -q '"prompt":\[{"role":"user","content":"Use one sentence.\\nHi.\\n\\nWho are you?"},{"role":"assistant","content":"[^"]*"},{"role":"user","content":"Why?"}\],"completion":' text

if [ -n "$L2_SHARED" ]; then
    fails 1 'says no chat template' 'no template is known' l2-gatt make -q -m model --constraints c.yaml dialogues.l2s
else
    skip 'no template is known' 'the shared data is absent'
fi
finish
