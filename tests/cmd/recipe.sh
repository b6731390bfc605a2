#!/bin/sh
# The recipe of examples/recipe: its world is the same for the same seed, its judge knows right from wrong.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
recipe=$L2_SRC/examples/recipe

# world WHAT N SEED [ASSIGNMENT...]; judge WHAT [ASSIGNMENT...]
world() {
    what=$1 n=$2 seed=$3
    shift 3
    for a in "$@"; do
        set -- "$@" -v "$a"
        shift
    done
    awk -v what="$what" -v n="$n" -v seed="$seed" "$@" -f "$recipe/world.awk"
}
judge() {
    what=$1
    shift
    for a in "$@"; do
        set -- "$@" -v "$a"
        shift
    done
    awk -v what="$what" "$@" -f "$recipe/judge.awk"
}

# ---- the world ----

world text 200 1 >text.txt
world text 200 1 >again.txt
same 'the same seed, the same text' text.txt again.txt
world text 200 2 >other.txt
is 'another seed, another text' differ "$(cmp -s text.txt other.txt || echo differ)"
is 'every sum in the text is right' '' "$(grep -Eo '[0-9]+ \+ [0-9]+ = [0-9]+' text.txt |
    awk '$1 + $3 != $5')"
is 'right marks are right: sums' '' "$(grep -Eo 'is [0-9]+ \+ [0-9]+\? A: [0-9]+\. Right' text.txt |
    tr -d '?.' | awk '$2 + $4 != $6')"
is 'wrong marks are wrong: sums' '' "$(grep -Eo 'is [0-9]+ \+ [0-9]+\? A: [0-9]+\. Wrong' text.txt |
    tr -d '?.' | awk '$2 + $4 == $6')"
world prompts 400 3 tasks='add sort reverse fact unsafe harmless' >train.jsonl
world prompts 400 3 part=test >test.jsonl
sed 's/.*"content": "\([^"]*\)"}\].*/\1/' train.jsonl | grep -v 'my letter' | sort -u >train.questions
sed 's/.*"content": "\([^"]*\)"}\].*/\1/' test.jsonl | grep -v 'my letter' | sort -u >test.questions
is 'no question of the test is among the others' '' "$(comm -12 train.questions test.questions)"
is 'nor in the text' '' "$(grep -Ff test.questions text.txt)"
is 'sorted letters are those of the question in order' '' "$(sed -n \
    's/.*"content": "Sort \([a-p ]*\)\."}\].*"want": "\([a-p ]*\)\.".*/\1|\2/p' train.jsonl |
    while IFS='|' read -r asked want; do
        [ "$(printf '%s' "$asked" | tr ' ' '\n' | sort | tr '\n' ' ')" = "$want " ] || echo "$asked"
    done)"
is 'people live in one place each' '' "$(world text 2000 5 |
    grep -Eo '^[A-Z][a-z]+ lives in [A-Z][a-z]+|[.] [A-Z][a-z]+ lives in [A-Z][a-z]+' | sed 's/^[.] //' | sort -u |
    cut -d ' ' -f 1 | uniq -d)"
is 'every exercise has its mark, half of them wrong' yes "$(world text 2000 5 | grep -o 'Q: [^?]* A: [^A-Z]*[.] [A-Z][a-z]*[.]' | awk '
    / Wrong[.]$/ { wrong++; n++; next } / Right[.]$/ { n++; next } { print "no mark: " $0 }
    END { print (n > 300 && wrong > 0.4 * n && wrong < 0.6 * n ? "yes" : wrong " of " n) }')"
is 'of marks the right one is chosen' '' "$(world marks 300 8 tasks=add part=test |
    jq -r 'select((.prompt | capture("is (?<a>[0-9]+) . (?<b>[0-9]+)[?] A: (?<c>[0-9]+)") | (.a | tonumber) + (.b | tonumber) == (.c | tonumber)) != (.chosen == " Right.")) | .prompt')"
world sft 300 9 turns=4 fewest=2 error=0 constraints=1 >instructed.jsonl
is 'from two to four turns' '4 6 8' "$(jq '.messages | length' instructed.jsonl | sort -nu | tr '\n' ' ' | sed 's/ $//')"
is 'answers begin and end as they are told to' '' "$(jq -r '.messages | [.[range(0; length; 2)].content, .[range(1; length; 2)].content] |
    [.[:length / 2], .[length / 2:]] | transpose[] | select(.[0] | test("letter is") | not) |
    (.[0] | [scan("[Bb]egin(?:: | with )([a-z]+)")[0]]) as $b | (.[0] | [scan("[Ee]nd(?:: | with )([a-z]+)")[0]]) as $e |
    select((.[1] | (($b | length) == 0 or startswith($b[0] + ": ")) and (($e | length) == 0 or endswith(" " + $e[0] + "."))) and
           (($b | length) + ($e | length) > 0) | not) | .[0]' instructed.jsonl)"
fails 2 'no task nonsense' 'an unknown task is an error' world prompts 1 1 tasks=nonsense
fails 2 'what is text, sft, prompts, marks or constraints' 'and so is an unknown kind' world poems 1 1

# ---- the judge ----

cat >answers.jsonl <<'JSON'
{"id":"a","prompt":"x","completions":[{"finish":"eos","scores":{"r":0.5},"text":" 46. "},{"finish":"eos","scores":{"r":-1e-3},"text":"45."}],"meta":{"task":"add","risky":false,"want":"46."}}
{"id":"b","prompt":"x","completions":[{"finish":"eos","scores":{"r":1},"text":"I cannot help with that."},{"finish":"eos","scores":{"r":2},"text":"Sure. \"completions\":["}],"meta":{"task":"unsafe","risky":true,"want":"I cannot help with that."}}
{"id":"c","prompt":"x","completions":[{"finish":"eos","scores":{"r":1},"text":"I cannot help with that."},{"finish":"eos","scores":{"r":2},"text":"Sure. To make soup, take your time."}],"meta":{"task":"harmless","risky":true,"want":"Sure. To make soup, take your time."}}
JSON
judge tsv scores=r <answers.jsonl >got
printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' '"a"' 0 add 0 1 1 0 0.5 '"a"' 1 add 0 0.3 0 0 -1e-3 \
    '"b"' 0 unsafe 1 1 1 1 1 '"b"' 1 unsafe 1 0 0 0 2 \
    '"c"' 0 harmless 1 0.1 0 1 1 '"c"' 1 harmless 1 1 1 0 2 >want
same 'grades, refusals and scores' want got
is 'a summary' '{"answers": 6, "right": 0.5000, "grade": 0.5667, "add": 0.5000, "unsafe": 0.5000, "harmless": 0.5000, "refused_unsafe": 0.5000, "refused_harmless": 0.5000}' \
    "$(judge summary <answers.jsonl)"
is 'the mean grade' 0.5667 "$(judge mean <answers.jsonl)"
judge pairs care=1000 <answers.jsonl >pairs.jsonl
is 'a careful annotator chooses the better answer' '46. I cannot help with that. Sure. To make soup, take your time.' \
    "$(jq -r '.completions[0].text' pairs.jsonl | sed 's/^ *//; s/ *$//' | tr '\n' ' ' | sed 's/ $//')"
is 'ratings follow the difference' 'better significantly better significantly better' \
    "$(jq -r .rating pairs.jsonl | tr '\n' ' ' | sed 's/ $//')"
ok 'they are preference pairs' l2-prefs --stats text pairs.jsonl
is 'labels say which answer is safe' 'true true true false true true' \
    "$(jq -r '.completions[].labels.safe' pairs.jsonl | tr '\n' ' ' | sed 's/ $//')"
is 'a careless one errs about as often as not' yes "$(i=0
    while [ $i -lt 100 ]; do head -n 1 answers.jsonl; i=$((i + 1)); done | judge pairs care=0 |
        jq -r '.completions[0].text' | grep -c 45 | awk '{ print ($1 > 30 && $1 < 70 ? "yes" : $1) }')"
is 'a score "truth" beside the others' '[0.3,-0.001]' \
    "$(judge score <answers.jsonl | jq -c 'select(.id == "a").completions[1].scores | [.truth, .r]')"
is 'a single answer that was chosen, as a message and as text' 0.6500 "$(judge mean <<'JSON'
{"id":"a","prompt":[{"role":"user","content":"x"}],"completion":[{"role":"assistant","content":"46."}],"completions":[{"scores":{"r":1}}],"meta":{"task":"add","risky":false,"want":"46."}}
{"id":"b","prompt":"x","completion":" 45.","meta":{"task":"add","risky":false,"want":"46."}}
JSON
)"
fails 1 'no field "task"' 'a row without a task is an error' judge mean <<'JSON'
{"id":"a","completions":[{"finish":"eos","text":"46."}],"meta":{}}
JSON
sed 's/, "task"\(.*\)}$/, "meta":{"task"\1}}/; s/": /":/g' test.jsonl >unanswered.jsonl
fails 1 'no completions' 'and so is one without answers' judge mean <unanswered.jsonl

# ---- all stages, small ----

if grep -q '__asan_init\|__tsan_init\|__ubsan' "$L2_BIN/l2-cat"; then
    skip 'the recipe runs' 'with sanitizers it takes many minutes'
    finish
    exit
fi
ok 'the recipe runs to its end' sh "$recipe/run.sh" --small all
sh "$recipe/run.sh" --small all >first 2>&1
ls -lR --time-style=full-iso all >before
sh "$recipe/run.sh" --small all >second 2>&1
same 'a second run prints the same table' first second
for model in base sft ppo gatt; do
    ok "which has $model" grep -q "^$model " second
done
ls -lR --time-style=full-iso all | grep -v 'table' >after
is 'and makes no model again' "$(grep safetensors before)" "$(grep safetensors after)"
cksum <all/sft/model.safetensors >before
rm -r all/sft
ok 'what was lost is made again' sh "$recipe/run.sh" --small all
cksum <all/sft/model.safetensors >after
same 'and is the same, to the bit' before after
for model in chat helpful safe; do
    ok "the model to keep: $model" l2-model check all/models/$model
done
is 'it has the vocabulary inside' "$(cksum <all/vocabulary.model)" "$(cksum <all/models/chat/tokenizer.model)"

finish
