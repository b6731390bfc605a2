#!/bin/sh
# l2-eval task: answers, filters and metrics against an independent calculation, examples, --resume, --check.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

cat >sums.jsonl <<'TEXT'
{"q":"Tom has 2 balls and finds 3.","s":"5","a":["0","the only oil"],"n":2}
{"q":"Lily has 10 dolls. She gives 4 away. How many are left?","s":"6","a":["Anna!","rem","because"],"n":4}
{"q":"A dog eats 1,000 bones. Then","s":"1000","a":"years old","n":3}
{"q":"The sun is","s":"big","a":["2","The 150.","a tree"],"n":1}
{"q":"One day, a girl","s":"He","a":["5","sam","2 and you heard the noise"],"n":9}
TEXT
cat >sums.yaml <<'TEXT'
task: sums
description: "Answer.\n"
doc_to_text: "{{q | strip}} {{n}}"
doc_to_target: '{{a}}'
fewshot_target: '{{s}}'
num_fewshot: 2
fewshot_delimiter: "\n"
generation_kwargs: {until: [".", "\n\n"], max_gen_toks: 12, temperature: 0.9}
repeats: 4
filter_list:
  - name: word
    filter: [{function: regex, regex_pattern: '([A-Z]\w*)|(\d+)'}, {function: lowercase}]
  - name: last
    filter: [{function: regex, regex_pattern: '\w+', group_select: -1, fallback: none}]
  - name: all
    filter: [{function: strip}]
metric_list:
  - {metric: exact_match, ignore_case: true, ignore_punctuation: true}
  - {metric: numeric_match}
  - {metric: f1}
  - {metric: em}
  - {metric: maj@3, ignore_case: true}
  - {metric: pass@1, ignore_case: true}
  - {metric: pass@3, ignore_case: true}
TEXT

ok 'a task' l2-eval task -m model -t ./sums.yaml --json --samples samples.jsonl -j 1 --batch 3 -o results.json sums.jsonl
if have python3; then
    ok 'its metrics equal an independent calculation' python3 "$L2_SRC/tests/eval_answers.py" \
        "${L2_SHARED:+right}" samples.jsonl results.json
else
    skip 'its metrics equal an independent calculation' 'no python3'
fi
ok 'with another batch and threads' \
    l2-eval task -m model -t ./sums.yaml --json --samples again.jsonl -j 2 --batch 256 -o again.json sums.jsonl
same 'the samples are the same' samples.jsonl again.jsonl
is 'and the results' "$(jq -S .results results.json)" "$(jq -S .results again.json)"
is 'rows are in the order of documents and filters' "$(seq 0 4 | sed 'p;p')" "$(jq .doc_id samples.jsonl)"
is 'an answer ends before its stop text' 0 "$(jq '[.resps[][] | select(test("[.]|\n\n"))] | length' samples.jsonl | sort -u)"
is 'examples are two other documents, and their answers' 5 "$(jq -r '.arguments.gen_args_0.arg_0' samples.jsonl |
    awk '/^Answer/ { n++ } END { print n / 3 }')"
is 'never the document itself' 0 "$(jq -s '[.[] | . as $r | .arguments.gen_args_0.arg_0 | split("\n")[1:3][] |
    select(startswith($r.doc.q))] | length' samples.jsonl)"
ok 'another seed' l2-eval task -m model -t ./sums.yaml -s 1 --samples other.jsonl sums.jsonl
is 'draws other examples' 1 "$(test "$(jq -c .arguments other.jsonl)" != "$(jq -c .arguments samples.jsonl)" && echo 1)"
printf '{"q":"X","s":"y","n":0}\n{"q":"Z","s":"w","n":0}\n' >train.jsonl
sed 's/^num_fewshot/fewshot: first\n&/' sums.yaml >first.yaml
ok 'examples from a file' l2-eval task -m model -t ./first.yaml --shots-from train.jsonl --samples from.jsonl --limit 1 sums.jsonl
is 'in its order' 'Answer.
X 0 y
Z 0 w
Tom has 2 balls and finds 3. 2' "$(head -n 1 from.jsonl | jq -r .arguments.gen_args_0.arg_0)"

# ---- what was done is not done again ----

head -c $(($(wc -c <samples.jsonl) - 900)) samples.jsonl >part.jsonl
n=$(wc -l <part.jsonl | tr -d ' ')
ok 'a run that was stopped goes on' l2-eval task -m model -t ./sums.yaml --json --samples part.jsonl --resume -o part.json sums.jsonl
is 'without what it had' $(((n + 2) / 3)) "$(tail -n 1 "$L2_TMP/stderr" | jq .resumed)"
same 'and has the same rows' samples.jsonl part.jsonl
is 'and results' "$(jq -S .results results.json)" "$(jq -S .results part.json)"
cp samples.jsonl changed.jsonl
ok 'another temperature' l2-eval task -m model -t ./sums.yaml -T 0.5 --samples changed.jsonl --resume sums.jsonl
is 'is another run' 0 "$(tail -n 1 "$L2_TMP/stderr" | jq .resumed)"
ok 'a new file' l2-eval task -m model -t ./sums.yaml --samples new.jsonl --resume sums.jsonl
same 'is begun' samples.jsonl new.jsonl
fails 1 'samples.jsonl.*exists' 'an old file is not overwritten' l2-eval task -m model -t ./sums.yaml --samples samples.jsonl sums.jsonl
echo '{"a":1}' >strange.jsonl
fails 1 'strange.jsonl:1:1: not a sample row' 'other files are refused' \
    l2-eval task -m model -t ./sums.yaml --samples strange.jsonl --resume sums.jsonl
fails 2 'wants --samples' '--resume alone' l2-eval task -m model -t ./sums.yaml --resume sums.jsonl

# ---- GSM8K's own rows, with the solutions in place of what a model wrote ----

if [ -n "$L2_SHARED" ] && have python3; then
    gzip -dc "$L2_SHARED/data/text/gsm8k-a.jsonl.gz" | head -n 60 >gsm8k.jsonl
    ok 'GSM8K runs' sh -c 'l2-eval task -m model --tasks "$L2_SRC/examples/tasks" -t gsm8k --shots 0 -n 2 \
        --samples gsm.jsonl --overlong truncate-left --json -o gsm.json - <gsm8k.jsonl'
    is 'a model of stories solves none of it' 0 "$(jq '.results.gsm8k."exact_match,strict-match"' gsm.json)"
    python3 -c 'import json, sys
for row in map(json.loads, open("gsm.jsonl")):
    row["resps"] = [[" " + row["doc"]["answer"]]]
    print(json.dumps(row))' >solved.jsonl
    ok 'GSM8K with its solutions' l2-eval task -m model --tasks "$L2_SRC/examples/tasks" -t gsm8k --shots 0 -n 2 \
        --samples solved.jsonl --resume --overlong truncate-left --json -o solved.json gsm8k.jsonl
    is 'is solved by every filter' '1 1 1 1' "$(jq -r '.results.gsm8k | [."exact_match,strict-match",
        ."exact_match,flexible-extract", ."numeric_match,strict-match", ."numeric_match,flexible-extract"] |
        map(tostring) | join(" ")' solved.json | sed 's/1\.0/1/g')"
else
    skip 'GSM8K runs' 'no shared data or python3'
fi

# ---- answers that a command verifies ----

cat >code.yaml <<'TEXT'
task: code
doc_to_text: '{{q}}'
generation_kwargs: {max_gen_toks: 4, temperature: 1}
repeats: 5
metric_list: [{metric: pass@1}, {metric: pass@2}]
check: "{{n}}|{{choice}}\n"
TEXT
fails 2 'wants --check' 'a task of code wants a command' l2-eval task -m model -t ./code.yaml sums.jsonl
cat >checker.sh <<'TEXT'
IFS= read -r line
printf '%s\n' "$line" >>seen
case $line in [34]*) exit 0 ;; 9*) exec sleep 60 ;; *) echo no; echo no >&2; exit 1 ;; esac
TEXT
ok 'a command decides' l2-eval task -m model -t ./code.yaml --check 'sh checker.sh' --check-limit 0.3 --json -o code.json sums.jsonl
is 'what passes' '0.4 0.4' "$(jq -r '.results.code | "\(."pass@1,none") \(."pass@2,none")"' code.json)"
is 'it reads every answer once' 25 "$(grep -c '^[0-9]|' seen)"
fails 2 'cannot be run' 'a command that is not there' l2-eval task -m model -t ./code.yaml --check ./no-such-command sums.jsonl
fails 2 'pass@2 wants 2 answers' 'too few answers' l2-eval task -m model -t ./code.yaml -k 1 --check true sums.jsonl

# ---- bad tasks ----

# bad_task PATTERN LINE...
bad_task() {
    l2_wanted=$1
    shift
    printf '%s\n' 'task: t' "$@" >bad.yaml
    fails 1 "$l2_wanted" "refused: $*" l2-eval task -m model -t ./bad.yaml sums.jsonl
}
bad_task "unknown key 'colour'" 'doc_to_text: x' 'colour: red'
bad_task 'doc_to_text: want a template'
bad_task 'bad.yaml:3' 'doc_to_text: x' 'doc_to_text: y'
bad_task 'bad.yaml:3' 'doc_to_text: [' 'x: y: z'
bad_task 'metric_list\[0\].metric: want' 'doc_to_text: x' 'metric_list: [{metric: bleu}]'
bad_task 'filter_list\[0\].filter\[0\].regex_pattern: pattern' 'doc_to_text: x' \
    "filter_list: [{name: a, filter: [{function: regex, regex_pattern: '('}]}]"
bad_task 'filter_list\[0\].filter\[0\].function: want one of' 'doc_to_text: x' \
    'filter_list: [{name: a, filter: [{function: guess}]}]'
bad_task 'output_type: want one of' 'doc_to_text: x' 'output_type: loglikelihood'
bad_task 'doc_to_choice: want a template' 'doc_to_text: x' 'output_type: multiple_choice'
bad_task 'repeats: want' 'doc_to_text: x' 'repeats: 0'
bad_task 'document 1: template: the document has no \{\{zz\}\}' "doc_to_text: '{{zz}}'"
bad_task 'no filter is called .bend.' "doc_to_text: '{{q | bend}}'"
bad_task '\{\{ without \}\}' "doc_to_text: '{{q'"
bad_task 'nested too deep' 'doc_to_text: x' 'data: [[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]'
bad_task 'nested too deep' 'doc_to_text: x' 'a: &a [x,x,x,x,x,x,x,x,x,x]' 'b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]' \
    'c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]' 'd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]' \
    'e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]' 'f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]'
fails 2 'want a task' 'no task' l2-eval task -m model sums.jsonl
fails 1 'no-such-task.yaml' 'a task that is not installed' l2-eval task -m model -t no-such-task sums.jsonl
fails 2 'want 9 examples, and there are 4' 'too many examples' l2-eval task -m model -t ./sums.yaml --shots 9 sums.jsonl
finish
