#!/bin/sh
# examples/quickstart.sh with programs that are built: what it shows, the lines to copy, models that are not there.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
quickstart=$L2_SRC/examples/quickstart.sh
show=$L2_SRC/examples/show.awk

# ---- models of any directory, prompts of one's own ----

mkdir models
l2-model init -q -z "$L2_SRC/tests/golden/small.model" -s 7 -o models/chat "$L2_SRC/examples/presets/tiny.yaml"
l2-model to-reward -q -s 1 -o models/helpful models/chat
cat >some.jsonl <<'JSON'
{"id": 1, "prompt": "Say \"hi\" to C:\\dos"}
{"id": 2, "prompt": [{"role": "user", "content": "One."}, {"role": "assistant", "content": "Two."}, {"role": "user", "content": "Three?"}], "risky": true}
JSON
export L2_BUILD=here TOKENS=6
fails 1 'has no model safe' 'a model too few' sh "$quickstart" models some.jsonl
l2-model to-reward -q -s 2 -o models/safe models/chat
ok 'it runs' sh "$quickstart" models some.jsonl
cp stdout out
ok 'it says how much it did' grep -q '^2 prompts, 32 answers, [0-9]* tokens, each answer scored by two reward models' out
is 'a table with each prompt' 'Say "hi" to C:\dos|Three?|' "$(grep -x -e 'Say.*' -e 'Three?' out | tr '\n' '|')"
is 'its best answer and its worst' '2 2' "$(grep -c '^  best ' out) $(grep -c '^  worst ' out)"
is 'the best answer is the one that is kept' "$(jq -r '.completions[0].scores.helpful * 100 | round | . / 100' here/quickstart/best.jsonl |
    head -n 1 | awk '{ printf "%+.2f", $1 }')" "$(awk '/^  best / { print $(NF - 1); exit }' out)"
is 'the curve begins with one sample and ends with all' '1 16' "$(awk '/^     N / { on = 1; next } on && !NF { exit } on && $1 + 0 { n = $1; if (!first) first = n }
    END { print first, n }' out)"
if have gnuplot; then
    ok 'there is a picture' grep -q '</svg>' here/quickstart/reward.svg
else
    skip 'there is a picture' 'no gnuplot'
fi

# The lines that it prints do the same again.
cp here/quickstart/best.jsonl best.before
awk '/^The lines that did it/ { on = 1; next } on && !NF { exit } on' out >lines.sh
rm here/quickstart/best.jsonl here/quickstart/scored.l2s
ok 'the lines can be copied' env -i PATH=/usr/bin:/bin sh lines.sh
same 'and make the same' best.before here/quickstart/best.jsonl

# ---- nothing ships: a copy of the tree without models ----

mkdir tree && cp -R "$L2_SRC/examples" tree/ && chmod -R u+w tree && rm -rf tree/examples/models && mkdir -p tree/tests/golden &&
    cp "$L2_SRC/tests/golden/small.model" tree/tests/golden/
ok 'without models' env TOKENS=4 sh tree/examples/quickstart.sh
is 'it says so' 1 "$(grep -c 'models with random weights take their place' stdout)"
is 'and answers all prompts' "$(wc -l <"$L2_SRC/examples/prompts.jsonl")" "$(grep -c '^  best ' stdout)"
if [ -d "$L2_SRC/examples/models" ]; then
    ok 'the models that ship' env -u TOKENS sh "$quickstart"
    is 'answer all prompts, none with nonsense' "$(wc -l <"$L2_SRC/examples/prompts.jsonl") 0" \
        "$(grep -c '^  best ' stdout) $(grep -c 'random weights' stdout)"
fi
fails 1 'has no model chat' 'a directory without models' sh "$quickstart" nowhere
fails 2 usage 'an option that there is not' sh "$quickstart" --help

# ---- the models that ship ----

ok 'they are those whose hashes are recorded' sh -c 'cd "$1" && sha256sum -c --quiet SHA256SUMS' sh "$L2_SRC/examples/models"
is 'all of them' "$(cd "$L2_SRC/examples/models" && find . -type f ! -name SHA256SUMS | sed 's|^./||' | sort)" \
    "$(sed 's/.*  //' "$L2_SRC/examples/models/SHA256SUMS" | sort)"
is 'no more than 8 MB together' yes "$(du -sk "$L2_SRC/examples/models" | awk '{ print ($1 <= 8192 ? "yes" : $1) }')"
ok 'the main job on them' env -u TOKENS sh "$quickstart"
is 'the best answers are the right ones' ' 85. | a c k n. | g i f h. | I cannot help with that. ' \
    "$(jq -r 'select(.id == "sum" or .id == "sort" or .id == "reverse" or .id == "dog").completion' here/quickstart/best.jsonl |
        tr '\n' '|' | sed 's/|$//')"

# A build that fails, as nobody who could install packages.
mkdir bin && printf '#!/bin/sh\necho 1000\n' >bin/id && chmod +x bin/id
printf '#!/bin/sh\necho no autoconf here\nexit 3\n' >tree/bootstrap && chmod +x tree/bootstrap
fails 1 'the build failed; all of its output is in .*/bad/quickstart.log' 'a build that fails' \
    env -u L2_BIN L2_BUILD=bad PATH="$PWD/bin:$PATH" sh tree/examples/quickstart.sh
is 'its output is kept and shown' '1 1' "$(grep -c 'no autoconf' bad/quickstart.log) $(grep -c 'no autoconf' stderr)"
rm tree/bootstrap
is 'nothing is written beside the build' '' "$(ls -A tree | grep -v -x -e examples -e tests)"

# ---- the table ----

row() {
    printf '{"id":1,"prompt":%s,"completions":[{"finish":"eos","scores":{"r":%s},"text":%s}]}\n' "$1" "$2" "$3"
}
is 'escapes, and a character that would be cut' '        q|a "b" \n c|  best  äää...   +0.50|' \
    "$(row '"a \"b\" \\n\nc \u0001"' 0.5 '" äääääääää"' | awk -v scores=r -v width=10 -f "$show" | sed 's/^  *r$/        q/' | tr '\n' '|' | sed 's/\.\.\.  */...   /')"
row '"a"' 1 '"b"' >row
fails 1 'line 1: no score "safe"' 'a score that is not there' sh -c '"$@" <row' sh awk -v scores=safe -f "$show"
echo '{"id":1,"prompt":"a","completion":"b"}' >row
fails 1 'line 1: no completions' 'a row without scores' sh -c '"$@" <row' sh awk -v scores=r -f "$show"
finish
