# Example inputs for whole-command tests; sourced after lib.sh.
# SPDX-License-Identifier: MIT

# make_fixtures DIR: puts into DIR
#   tokenizer.model  a vocabulary of 512 pieces
#   model/  rm/      a language model with that vocabulary, and a reward model made from it
#   text.txt  prompts.jsonl  chat.jsonl  pairs.jsonl  constraints.yaml
# The model is the one in the shared data, or has random weights where that is absent. Non-zero when a
# program failed.
make_fixtures() (
    mkdir -p "$1" && cd "$1" || exit 1
    if [ -n "$L2_SHARED" ]; then
        stories=$L2_SHARED/data/stories260K
        cp "$stories/tok512.model" tokenizer.model &&
            mkdir model && cp "$stories"/hf/* model/ || exit 1
    else
        cp "$L2_SRC/tests/golden/small.model" tokenizer.model &&
            l2-model init -q -z tokenizer.model -s 1 -o model "$L2_SRC/examples/presets/tiny.yaml" || exit 1
    fi
    chmod -R u+w tokenizer.model model &&
        l2-model to-reward -q -s 2 -o rm model || exit 1

    cp "$L2_SRC/examples/gatt/constraints.yaml" . && chmod u+w constraints.yaml || exit 1
    cat >text.txt <<'TEXT'
Once upon a time, there was a little girl named Lily.
She loved to play outside in the park.

One day, she saw a big, red ball. "Can I have it?", she asked.
TEXT
    cat >prompts.jsonl <<'TEXT'
{"id":"park","prompt":"Once upon a time, there was a little girl named Lily. She loved to","source":"a"}
{"id":"ball","prompt":"One day, Tom saw a big","source":"b"}
{"id":7,"prompt":"The dog was","source":"a"}
TEXT
    cat >choices.jsonl <<'TEXT'
{"id":0,"context":"Once upon a time, there was a little","choices":["girl","of","and"],"gold":0}
{"id":1,"context":"The sun is ","choices":["big and warm.","a the of."],"gold":0}
TEXT
    cat >task.yaml <<'TEXT'
task: colours
doc_to_text: "Q: {{question}}\nA:"
doc_to_target: "{{answers}}"
generation_kwargs: {until: ["\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, ignore_case: true}]
TEXT
    cat >questions.jsonl <<'TEXT'
{"question":"What is the sun?","answers":["big","a ball"]}
{"question":"Where is Lily?","answers":["In the park."]}
TEXT
    cat >chat.jsonl <<'TEXT'
{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Tell me about a dog."}]}
{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"}]}
TEXT
    cat >pairs.jsonl <<'TEXT'
{"prompt":"Tom has a ball. What does Tom do?","chosen":" He plays with the ball.","rejected":" No.","margin":1.5,"source":"a"}
{"prompt":"The sun is","chosen":" big and warm.","rejected":" a the of.","margin":0.5,"source":"b"}
{"prompt":"Lily was sad. Her mom said","chosen":" \"It is okay.\"","rejected":" nothing nothing","margin":1,"source":"a"}
TEXT
)
