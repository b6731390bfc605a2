#!/bin/sh
# README.md: its pipelines run, the files that it names are there, its table has each program.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
readme=$L2_SRC/README.md

# ---- pipelines: indented blocks that begin with a program ----

ok 'the fixtures are made' make_fixtures f
cd f || exit 99
mv model chat && mv rm helpful-rm && l2-model to-reward -q -s 3 -o safety-rm chat || exit 99
awk '/^    l2-/ && !open { open = 1; print "#block" } !/^    / { open = 0 } open' "$readme" |
    awk '/^#block/ { n++; next } { print >("block" n) } END { print n > "blocks" }'
ok 'there are some' test "$(cat blocks)" -ge 3
shell=sh
have bash && shell='bash -o pipefail'
i=0
while [ $i -lt "$(cat blocks)" ]; do
    i=$((i + 1))
    # shellcheck disable=SC2086 # the shell and its option
    ok "$(sed 's/^ *//' block$i | tr '\n' ' ')" $shell -e block$i
done
is 'the best answers, of each prompt' 3 "$(jq -c 'select(.completion) | .id' best.jsonl | wc -l | tr -d ' ')"
is 'the pairs with both scores' 12 "$(jq '.completions[].scores | .helpful, .safe' scored.jsonl | grep -c '[0-9]')"
ok 'the next model' test -s chat-v2/model.safetensors

# ---- names ----

cd "$L2_TMP" || exit 99
# What is in backticks, or a link, and begins with a directory of the tree.
grep -oE '(`|\()(examples|tests|man|doc|cmd|libcore)/[-A-Za-z0-9_./]*' "$readme" | cut -c 2- | sort -u >named
grep -oE '^    sh [a-z/.]+' "$readme" | sed 's/^    sh //' | grep / >>named
ok 'files are named' test "$(wc -l <named)" -ge 5
is 'all are there' '' "$(while read -r f; do [ -e "$L2_SRC/$f" ] || echo "$f"; done <named)"
is 'each program has its row' "$(cd "$L2_BIN" && ls | grep -x 'l2-[a-z]*' | sort)" \
    "$(sed -n 's/^| `\(l2-[a-z]*\)` |.*/\1/p' "$readme" | sort)"
is 'and so has each script of the examples' "$(cd "$L2_SRC/examples" && ls *.sh recipe/run.sh | sort)" \
    "$(sed -n 's/^| `examples\/\([a-z0-9/-]*\.sh\)` |.*/\1/p' "$readme" | sort)"
is 'programs that are spoken of exist' '' "$(grep -oE '\bl2-[a-z]+\b' "$readme" | sort -u | while read -r p; do
    [ -e "$L2_SRC/cmd/$p.c" ] || [ -n "$(ls "$L2_SRC/man/$p".? 2>/dev/null)" ] || echo "$p"
done)"

# ---- the screen that it shows is what quickstart prints ----

# The figures and the answers are those of one machine: other instructions round otherwise.
if [ -d "$L2_SRC/examples/models" ]; then
    L2_BUILD=build sh "$L2_SRC/examples/quickstart.sh" >printed
    shape() {
        sed 's/^  best .*/  best/; s/^  worst .*/  worst/; s/[-+]*[0-9][0-9.]*/N/g; s/#.*//; s/  *$//; s/[0-9]* s$//' | grep -v '^$'
    }
    sed -n '/^    [0-9]* prompts, /,/^[^ ]/p' "$readme" | sed -n 's/^    //p' | shape >want
    sed -n '/^[0-9]* prompts, /,/^What more/p' printed | sed '/^What more/d' | shape >got
    ok 'README shows a screen of quickstart' test -s want
    same 'of the same lines' want got
fi
finish
