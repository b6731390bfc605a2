#!/bin/sh
# l2-eval task: each task that is installed, on rows in the form that its project distributes.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
tasks=$L2_SRC/examples/tasks

# preset NAME ROWS TARGET CONTEXT OPTION... FILE...: runs it; the target and the context of the first row, without
# examples, are as given, and all ROWS rows are measured.
tried=
preset() {
    l2_name=$1 l2_rows=$2 l2_target=$3 l2_context=$4
    shift 4
    tried="$tried $l2_name.yaml"
    rm -f s.jsonl
    ok "$l2_name: runs" l2-eval task -m model --tasks "$tasks" -t "$l2_name" --shots 0 --samples s.jsonl --overlong truncate-left "$@"
    is "$l2_name: measures all rows" "$l2_rows" "$(jq -s 'map(.doc_id) | unique | length' s.jsonl)"
    is "$l2_name: the target" "$l2_target" "$(head -n 1 s.jsonl | jq -c .target)"
    is "$l2_name: the context" "$l2_context" "$(head -n 1 s.jsonl | jq -r .arguments.gen_args_0.arg_0)"
}
# continuations NAME TEXT...: what is measured of the first row's choices
continuations() {
    l2_name=$1
    shift
    is "$l2_name: what is measured" "$(printf '%s\n' "$@")" "$(head -n 1 s.jsonl | jq -r '.arguments[].arg_1')"
}

printf '"Which is ""red"", of all?",sky,"blood, fresh",grass,snow,B\r\nOne and one?,1,2,3,4,B\n' >mmlu.csv
preset mmlu 2 '"B"' 'Which is "red", of all?
A. sky
B. blood, fresh
C. grass
D. snow
Answer:' mmlu.csv
continuations mmlu ' A' ' B' ' C' ' D'
ok 'mmlu: with examples' l2-eval task -m model --tasks "$tasks" -t mmlu --shots 1 --samples few.jsonl mmlu.csv
is 'mmlu: an example' 'One and one?
A. 1
B. 2
C. 3
D. 4
Answer: B' "$(head -n 1 few.jsonl | jq -r .arguments.gen_args_0.arg_0 | head -n 6)"

echo '{"canary":"c","examples":[{"input":"not ( True ) is","target":"False"},{"input":"True and True is","target":"True"}]}' >bbh.json
preset bbh 2 '["False"]' 'Q: not ( True ) is
A:' -n 4 bbh.json

cat >agieval.jsonl <<'TEXT'
{"passage":null,"question":"Which number is even?","options":["(A)1","(B)2","(C)3","(D)5","(E)7"],"label":"B","answer":null}
{"passage":"Al runs. ","question":"Who runs?","options":["(A)Al","(B)Bo","(C)Cy","(D)Di","(E)Ed"],"label":"A","answer":null}
TEXT
preset agieval 2 '"B"' 'Q: Which number is even?
Answer Choices: (A)1 (B)2 (C)3 (D)5 (E)7
A: Among A through E, the answer is' agieval.jsonl

cat >hellaswag.jsonl <<'TEXT'
{"ind":1,"activity_label":"Washing a cat","ctx_a":"A cat sits [header] in a tub.","ctx_b":"the cat","ctx":"A cat sits","endings":["runs away.","sings.","reads.","cooks."],"label":0,"split":"val"}
{"ind":2,"activity_label":"Baking","ctx_a":"A man mixes flour.","ctx_b":"he","ctx":"A man mixes flour. he","endings":["swims.","bakes.","flies.","naps."],"label":1,"split":"val"}
TEXT
preset hellaswag 2 0 'Washing a cat: A cat sits in a tub. The cat' hellaswag.jsonl
continuations hellaswag ' runs away.' ' sings.' ' reads.' ' cooks.'

printf '{"goal":"Dry a cup","sol1":"Use a towel","sol2":"Use water"}\n{"goal":"Cut bread","sol1":"Use a spoon","sol2":"Use a knife"}\n' >piqa.jsonl
printf '0\n1\n' >piqa.lst
preset piqa 2 0 'Question: Dry a cup
Answer:' --labels piqa.lst piqa.jsonl
continuations piqa ' Use a towel' ' Use water'
printf '0\n' >short.lst
fails 1 'short.lst: 1 labels for 2 documents' 'piqa: too few labels' l2-eval task -m model --tasks "$tasks" -t piqa --labels short.lst piqa.jsonl

printf '{"context":"Jo fell.","question":"How would Jo feel?","answerA":"hurt","answerB":"glad","answerC":"rich"}\n' >siqa.jsonl
printf '1\n' >siqa.lst
preset siqa 1 0 'Q: Jo fell. How would Jo feel?
A:' --labels siqa.lst siqa.jsonl

cat >winogrande.jsonl <<'TEXT'
{"qID":"a-1","sentence":"The ball hit the glass and the _ broke.","option1":"ball","option2":"glass","answer":"2"}
{"qID":"a-2","sentence":"Ann paid Bea since _ owed money.","option1":"Ann","option2":"Bea","answer":"1"}
TEXT
preset winogrande 2 1 'The ball hit the glass and the ball' winogrande.jsonl
continuations winogrande ' broke.' ' broke.'
is 'winogrande: the other context' 'The ball hit the glass and the glass' "$(head -n 1 s.jsonl | jq -r .arguments.gen_args_1.arg_0)"

cat >arc.jsonl <<'TEXT'
{"id":"q1","question":{"stem":"What melts?","choices":[{"text":"stone","label":"1"},{"text":"ice","label":"2"},{"text":"sand","label":"3"}]},"answerKey":"2"}
{"id":"q2","question":{"stem":"What flies?","choices":[{"text":"a bird","label":"A"},{"text":"a rock","label":"B"}]},"answerKey":"A"}
TEXT
preset arc 2 1 'Question: What melts?
Answer:' arc.jsonl
continuations arc ' stone' ' ice' ' sand'
preset openbookqa 2 1 'What melts?' arc.jsonl
preset commonsenseqa 2 '"2"' 'Question: What melts?
A. stone
B. ice
C. sand
Answer:' arc.jsonl

printf '{"question":"is snow cold","title":"Snow","answer":true,"passage":"Snow is ice."}\n{"question":"is it hot","title":"S","answer":false,"passage":"It is not."}\n' >boolq.jsonl
preset boolq 2 true 'Snow is ice.
Question: is snow cold?
Answer:' boolq.jsonl
continuations boolq ' no' ' yes'

cat >squad.json <<'TEXT'
{"version":"v2.0","data":[{"title":"Rain","paragraphs":[{"context":"Rain is water.","qas":[
 {"question":"What is rain?","id":"1","answers":[{"text":"water","answer_start":8},{"text":"Water","answer_start":8}],"is_impossible":false},
 {"question":"Who made it?","id":"2","answers":[],"is_impossible":true}]}]}]}
TEXT
preset squad 2 '["water","Water"]' 'Title: Rain

Background: Rain is water.

Question: What is rain?

Answer:' -n 4 squad.json
is 'squad: no answer' '["unanswerable"]' "$(tail -n 1 s.jsonl | jq -c .target)"

cat >quac.json <<'TEXT'
{"data":[{"title":"Max","paragraphs":[{"id":"C_1","context":"Max sang in May. CANNOTANSWER","qas":[
 {"followup":"y","yesno":"x","question":"When did he sing?","id":"C_1_q#0","answers":[{"text":"in May","answer_start":9}],"orig_answer":{"text":"in May","answer_start":9}}]}]}]}
TEXT
preset quac 1 '["in May"]' 'Background: Max sang in May.

Question: When did he sing?

Answer:' -n 4 quac.json

echo '{"Data":[{"QuestionId":"a","Question":"Where is Rome","Answer":{"Value":"Italy","Aliases":["Italy","Italia"],"NormalizedAliases":["italy","italia"]}}],"Domain":"Web"}' >trivia.json
preset triviaqa 1 '["Italy","Italia"]' 'Question: Where is Rome?
Answer:' -n 4 trivia.json

printf '{"question":"where is rome","answer":["Italy","in Italy"]}\n' >nq.jsonl
preset naturalquestions 1 '["Italy","in Italy"]' 'Answer these questions:

Q: where is rome?
A:' -n 4 nq.jsonl

printf '{"question":"Al has 2 hats and buys 3. How many?","answer":"2+3=<<2+3=5>>5\\n#### 1,005"}\n' >gsm.jsonl
preset gsm8k 1 '["1,005"]' 'Question: Al has 2 hats and buys 3. How many?
Answer:' -n 4 gsm.jsonl

printf '{"problem":"What is $1+1$?","level":"Level 1","type":"Algebra","solution":"It is $\\\\frac{4}{2}=\\\\boxed{\\\\frac{4}{2}}$."}\n' >math1.json
preset math 2 '["\\frac{4}{2}"]' 'Problem:
What is $1+1$?

Solution:' -n 4 math1.json math1.json

cat >humaneval.jsonl <<'TEXT'
{"task_id":"T/0","prompt":"def one():\n","entry_point":"one","canonical_solution":"    return 1\n","test":"def check(f):\n    assert f() == 1\n"}
TEXT
printf 'cat >got\nfalse\n' >check.sh
preset humaneval 1 '[]' 'def one():' --check 'sh check.sh' -n 3 -T 0 humaneval.jsonl
is 'humaneval: what is checked' 'def one():|def check(f):|    assert f() == 1|check(one)' "$(sed -n '1p;/^def check/,$p' got | grep . | paste -s -d '|' -)"

cat >mbpp.jsonl <<'TEXT'
{"text":"Write a function that adds.","code":"def add(a, b):\n    return a + b","task_id":11,"test_setup_code":"","test_list":["assert add(1, 2) == 3","assert add(0, 0) == 0"],"challenge_test_list":[]}
TEXT
preset mbpp 1 '["def add(a, b):\n    return a + b"]' 'You are an expert Python programmer, and here is your task: Write a function that adds. Your code should pass these tests:

assert add(1, 2) == 3
assert add(0, 0) == 0
[BEGIN]' --check 'sh check.sh' -n 3 mbpp.jsonl
is 'mbpp: the tests are checked' 2 "$(grep -c '^assert add' got)"

echo '[{"question":"Do pigs fly?","mc1_targets":{"They do.":0,"They do not.":1},"mc2_targets":{"No.":1,"They do not.":1,"Yes.":0}}]' >truth.json
preset truthfulqa 1 '[1]' 'Q: Do pigs fly?
A:' truth.json
continuations truthfulqa ' They do.' ' They do not.'
preset truthfulqa-mc2 1 '[0,1]' 'Q: Do pigs fly?
A:' truth.json
ok 'truthfulqa-mc2: a share of the probability' jq -e '.mc2 > 0 and .mc2 < 1' s.jsonl

printf 'text,target_group,toxicity_ai\n"many people, of all kinds",all,1.0\n' >toxigen.csv
preset toxigen 1 '[]' 'many people, of all kinds' --check true -n 4 toxigen.csv
echo '{"American_actors":{"Jo_Doe":["Jo Doe is an actor who "]},"American_actresses":{"Al_Roe":["Al Roe was born in ","Al Roe is "]}}' >bold.json
preset bold 3 '[]' 'Jo Doe is an actor who ' --check true -n 4 bold.json
is 'bold: the group and the name' '["American_actors","Jo_Doe"]' "$(head -n 1 s.jsonl | jq -c '[.doc.key0,.doc.key1]')"

# shellcheck disable=SC2086 # words
is 'all tasks were tried' "$(cd "$tasks" && ls -- *.yaml)" "$(printf '%s\n' $tried | sort)"
printf '"open\n' >bad.csv
fails 1 'bad.csv:1: a cell in quotes' 'a CSV that ends in a cell' l2-eval task -m model --tasks "$tasks" -t mmlu bad.csv
printf 'a,b,c\n' >bad.csv
fails 1 'bad.csv:1: want 6 cells, got 3' 'a CSV of other columns' l2-eval task -m model --tasks "$tasks" -t mmlu bad.csv
fails 1 'bbh.json.*records .data' 'JSON of another form' l2-eval task -m model --tasks "$tasks" -t squad bbh.json
finish
