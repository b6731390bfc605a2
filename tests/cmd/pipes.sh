#!/bin/sh
# How stages of a pipe behave towards each other: records flow as soon as they are done, a stage that is
# killed does not go unnoticed, a reader that goes away is no failure.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures f
cd f || exit 99
l2-tokenize -q -z tokenizer.model prompts.jsonl >prompts.l2s

# wait_for COMMAND...: until it is true, for half a minute at most; false when it never was
wait_for() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || return 1
        sleep 0.05
    done
}

# has_records FILE N: the stream, whole or not, holds N records
has_records() {
    [ "$(l2-cat -q --json "$1" 2>/dev/null | grep -c '^{')" -eq "$2" ]
}

# The stream without its END, which is the last frame.
end=$(grep -abo -P '\x28\xb5\x2f\xfd' prompts.l2s 2>/dev/null | tail -n 1 | cut -d : -f 1)
if [ -z "$end" ]; then
    skip 'records flow while the input is open' 'grep -P is needed'
    skip 'a stage that is killed' 'grep -P is needed'
else
    head -c "$end" prompts.l2s >open.l2s

    mkfifo in
    {
        trap - EXIT
        sh -c 'echo $$ >pid; exec l2-generate -q -m model -k 2 -n 4 <in 2>generate.err' | {
            l2-score -q -m rm --as r -o scored.l2s 2>score.err
            echo $? >score.status
        }
    } 2>/dev/null &
    exec 9>in
    cat open.l2s >&9
    ok 'records flow through two stages while the input stays open' wait_for has_records scored.l2s 3
    ok 'and nobody has given up' test ! -e score.status
    kill -KILL "$(cat pid)"
    ok 'a stage that is killed: the next one ends' wait_for test -s score.status
    exec 9>&-
    wait
    is 'with status 1' 1 "$(cat score.status)"
    is 'and one sentence' 1 "$(grep -c 'standard input: .*END' score.err)"
    ok 'what had arrived is delivered' has_records scored.l2s 3
    fails 1 'incomplete' 'and marked incomplete' l2-cat --check scored.l2s
    l2-cat -q scored.l2s >again.l2s 2>again.err
    is 'the mark and its reason travel on' "$(sed -n 's/.*\(standard input: .*\)/\1/p' score.err)" \
        "$(sed -n 's/.*incomplete: \(.*\)/\1/p' again.err)"
fi

# Three stages whose last reader wants one line; each leaves its status and messages.
stages() {
    sh -c '{ l2-tokenize -q -z tokenizer.model --lines many.txt; echo $? >s1; } 2>e1 |
        { l2-cat -q; echo $? >s2; } 2>e2 |
        { l2-tokenize -q -d -z tokenizer.model; echo $? >s3; } 2>e3 | head -n 1'
}
i=0
while [ $i -lt 20000 ]; do
    echo "This is line $i of a text that is long enough to fill every pipe on the way."
    i=$((i + 1))
done >many.txt
ok '... | head -n 1 ends' stages
is 'with one line' 1 "$(wc -l <"$L2_TMP/stdout" | tr -d ' ')"
is 'and status 0 of every stage' '0 0 0' "$(cat s1 s2 s3 | tr '\n' ' ' | sed 's/ $//')"
is 'without a word' '' "$(cat e1 e2 e3)"

# ---- segments ----

l2-tokenize -q -z tokenizer.model pairs.jsonl >pairs.l2s
cat prompts.l2s pairs.l2s >both.l2s
ok 'a filter mirrors segments' sh -c 'l2-score -q -m rm both.l2s >scored2.l2s && l2-cat -q --check scored2.l2s'
is 'as many as there were' 2 "$(l2-cat -q --stats scored2.l2s | sed -n 's/^segments *//p')"
ok 'several operands are read in turn' sh -c 'l2-score -q -m rm prompts.l2s pairs.l2s | l2-cat -q --json >a &&
    l2-cat -q --json scored2.l2s >b'
same 'with the same result' a b
ok 'the history names every program with its arguments' sh -c 'l2-score -q -m rm --as x pairs.l2s | zstd -dqc | grep -aq l2-score'
ok '--no-history leaves this run out' sh -c '! l2-score -q -m rm --as x --no-history pairs.l2s | zstd -dqc | grep -aq l2-score'
ok 'the level changes the bytes' sh -c 'l2-score -q -m rm --level 19 pairs.l2s >l19; l2-score -q -m rm --level -5 pairs.l2s >l5; ! cmp -s l19 l5'

bad=$(printf 'gone\377')
for order in "prompts.l2s $bad" "$bad prompts.l2s"; do
    # shellcheck disable=SC2086 # two operands
    fails 1 'gone[?]: cannot open: No such file' "operands $order: the failure is told" l2-score -m rm $order
    cp "$L2_TMP/stdout" marked.l2s
    ok 'what there is is delivered' has_records marked.l2s 3
    fails 1 'incomplete.*gone.*: cannot open' 'and the stream says that more was wanted' l2-cat --check marked.l2s
done

# ---- vocabularies ----

cp "$L2_SRC/tests/golden/small.model" other.model
if cmp -s other.model tokenizer.model; then
    l2-model init -q -s 3 --vocab-size 300 -o short "$L2_SRC/examples/presets/tiny.yaml"
    fails 1 'vocabulary is not the model' 'ids of more pieces than the model has rows are refused' \
        l2-score -m short --logprob sum prompts.l2s
else
    l2-tokenize -q -z other.model prompts.jsonl >other.l2s
    fails 1 'vocabulary is not the model' 'a stream of another vocabulary is refused' l2-generate -m model -n 1 other.l2s
    cat prompts.l2s other.l2s >mixed.l2s
    fails 1 'vocabulary is not the model' 'also behind one that fits' l2-generate -m model -n 1 mixed.l2s
    cp "$L2_TMP/stdout" partly.l2s
    ok 'what came before it is delivered' has_records partly.l2s 3
    fails 1 'vocabular' 'text of a stream is not decoded with another vocabulary' l2-tokenize -d -z other.model prompts.l2s
    cp -R model bare && rm -f bare/tokenizer.*
    ok 'a model without a vocabulary takes what fits by size' l2-generate -m bare -n 1 other.l2s
    is 'and says so in the summary' 1 "$(grep -c '"vocabulary":"size only"' "$L2_TMP/stderr")"
    fails 1 'vocabulary is not the model' 'unless -z names one' l2-generate -m bare -z tokenizer.model -n 1 other.l2s
fi
finish
