#!/bin/sh
# Tests of l2-generate: reference text, what completions depend on, what is refused.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

make_fixtures "$L2_TMP" || exit 99
tokenize() { l2-tokenize -q -z tokenizer.model "$@"; }
text() { l2-tokenize -q -z tokenizer.model -d "$@"; }
# generate OPTION...: quiet, and without the history, in which the options are
generate() { l2-generate -q --no-history -m model "$@"; }
# what a stream holds, header and END included, as bytes
content() { zstd -dcq "$1"; }

tokenize --no-history -o prompts.l2s prompts.jsonl

# ---- reference ----

echo '{"prompt":""}' >bos.jsonl
tokenize -o bos.l2s bos.jsonl
if [ -n "$L2_SHARED" ]; then
    generate -T 0 -n 200 bos.l2s | text --lines >got.txt
    same 'greedy decoding from BOS alone' "$L2_SHARED/data/stories260K/greedy-200.txt" got.txt
    l2-generate -q -m "$L2_SHARED/data/stories260K/stories260K.bin" -z tokenizer.model -T 0 -n 200 \
        --backend blas bos.l2s | text --lines >got.txt
    same 'the same from a llama2.c file on the other backend' \
        "$L2_SHARED/data/stories260K/greedy-200.txt" got.txt
else
    skip 'greedy decoding from BOS alone' 'the shared data is absent'
fi

# ---- what completions do not depend on ----

generate -k 9 -n 40 -s 3 -o want.l2s prompts.l2s
content want.l2s >want
for options in '--batch 1' '--batch 7 -j 2' '--batch 64 -j 1' '-j 2' '--kv-memory 2M --batch 64' --no-prefix-sharing; do
    # shellcheck disable=SC2086 # several options
    generate -k 9 -n 40 -s 3 $options -o got.l2s prompts.l2s
    content got.l2s >got
    same "the same with $options" want got
    rm -f got.l2s
done
generate -k 4 -n 40 -s 3 prompts.l2s | generate -k 5 -n 40 -s 3 -o got.l2s
content got.l2s >got
same 'the same in two runs, the second going on where the first ended' want got
awk '{ for (i = 0; i < 6; i++) printf "{\"prompt\":\"Once upon a time there was a little girl named Lily who had a red ball and a big dog named Max, and every morning before school she went out into the garden to see whether the flowers had grown, and so it was on day %d of her holidays\"}\n", i; exit }' \
    prompts.jsonl | tokenize --jsonl >alike.l2s
generate -k 2 -n 20 --no-prefix-sharing alike.l2s | zstd -dcq >want
generate -k 2 -n 20 --batch 50 alike.l2s | zstd -dcq >got
same 'the same where prompts that begin alike share what was computed' want got
head -n 1 prompts.jsonl | tokenize --jsonl >first.l2s
for options in '-T 0' '-T 0.5' '-T 1 -k 2'; do
    # shellcheck disable=SC2086
    generate $options -n 90 first.l2s | zstd -dcq >want
    # shellcheck disable=SC2086
    generate $options -n 90 --lookup 5 first.l2s | zstd -dcq >got
    same "the same with guesses ahead, $options" want got
done
for type in f32 q8; do
    generate -k 2 -n 20 --kv-type $type --no-prefix-sharing --batch 9 alike.l2s | zstd -dcq >want
    generate -k 2 -n 20 --kv-type $type -j 2 alike.l2s | zstd -dcq >got
    same "the same with keys and values in $type, whatever the batch and sharing" want got
done
text want.l2s | sort >want
sed '1!G;h;$!d' prompts.jsonl | tokenize --jsonl | generate -k 9 -n 40 -s 3 | text | sort >got
same 'the same in another order' want got
head -n 1 prompts.jsonl | tokenize --jsonl | generate -k 9 -n 40 -s 3 | text >got
text want.l2s | head -n 1 >want
same 'the same for a record by itself' want got
generate -k 9 -n 40 -s 4 prompts.l2s | text | head -n 1 >got
is 'another seed gives others' 1 "$(cmp -s want got; echo $?)"
is 'K completions differ from each other' 9 \
    "$(sed 's/"completions":\[/\n/; s/},{"/\n/g' want | grep -o '"text":".*' | sort -u | wc -l | tr -d ' ')"

# ---- fields ----

generate -k 1 -n 3 --round 2 prompts.l2s | text | head -n 1 >got
ok 'finish, k, seed, temperature, model and round' \
    grep -q '"finish":"length".*"gen":{"k":0,"seed":0,"temperature":1.0,"model":"model","round":2}' got
ok 'meta stays' grep -q '"source":"a"' got
is 'the name can be given' 3 "$(generate -n 2 --as x/y prompts.l2s | text | grep -c '"model":"x/y"')"
generate -n 5 prompts.l2s | zstd -dcq >plain
generate -n 5 -T 0.7 prompts.l2s | zstd -dcq >warm
generate -n 5 --no-logprobs prompts.l2s | zstd -dcq >none
is 'log-probabilities of the model' 1 "$(grep -ac logprobs plain)"
is 'and of what was drawn from, only where that differs' 0,1 \
    "$(grep -ac sampled_logprobs plain),$(grep -ac sampled_logprobs warm)"
is 'or none' 0 "$(grep -ac logprobs none)"

# ---- what ends a completion ----

# The first character of any text matches: nothing is left, and the text says so exactly.
generate -n 20 -k 2 --stop '(?s).' prompts.l2s | text >got
is 'a stop pattern that matches at once leaves nothing' 6 \
    "$(grep -o '"text":""' got | wc -l | tr -d ' ')"
is 'and says that it stopped' 6 "$(grep -o '"finish":"stop"' got | wc -l | tr -d ' ')"
generate -n 30 -k 3 -s 5 prompts.l2s | text | sed 's/"finish":"[a-z]*"/F/g' >whole
generate -n 30 -k 3 -s 5 --stop 'zqzqzq' prompts.l2s | text | sed 's/"finish":"[a-z]*"/F/g' >got
same 'a pattern that never matches changes nothing' whole got
if [ -n "$L2_SHARED" ]; then
    # greedy from BOS: "... to play outside in the park. One day, ..."
    generate -T 0 -n 200 --stop 'sid[e] in\s' bos.l2s >stop.l2s
    is 'a match that begins inside a token: the exact text before it' \
        '"text":"Once upon a time, there was a little girl named Lily. She loved to play out"' \
        "$(text stop.l2s | grep -o '"text":"[^"]*"')"
    is 'the same as bare text' \
        'Once upon a time, there was a little girl named Lily. She loved to play out' \
        "$(text --lines stop.l2s)"
    is 'text wholly before the match: the tokens alone' \
        '"text":"Once upon a time, there was a little girl named Lily."' \
        "$(generate -T 0 -n 200 --stop '(?<=Lily\.)' bos.l2s | text | grep -o '"text":"[^"]*"')"
fi
eos=$(generate -n 1 -T 0 bos.l2s | l2-cat -q --json | sed -n 's/.*"tokens":\[\([0-9]*\)\].*/\1/p')
is '--eos ends with another token, which is kept' "\"tokens\":[$eos],\"finish\":\"eos\"" \
    "$(generate -n 9 -T 0 --no-logprobs --eos "$eos" bos.l2s | l2-cat -q --json |
        grep -o '"tokens":\[[0-9,]*\],"finish":"[a-z]*"')"
is '--ignore-eos ends by length alone' 0 \
    "$(generate -k 20 -T 3 -n 60 --ignore-eos prompts.l2s | text | grep -c '"finish":"eos"')"

# ---- a prompt longer than the context ----

awk 'BEGIN { printf "{\"id\":\"long\",\"prompt\":\""; for (i = 0; i < 9000; i++) printf "word ";
             print "end\"}" }' >long.jsonl
cat prompts.jsonl long.jsonl prompts.jsonl >mixed.jsonl
tokenize -o mixed.l2s mixed.jsonl
fails 1 'record long: a prompt of [0-9]+ tokens leaves no room in a context of [0-9]+' \
    'a prompt longer than the context' l2-generate -n 5 -m model mixed.l2s
cp stdout out.l2s
is 'what came before it is written' 3 "$(text out.l2s 2>/dev/null | wc -l | tr -d ' ')"
fails 1 'incomplete: record long' 'and END says why there is no more' \
    l2-tokenize -z tokenizer.model -d out.l2s
ok '--overlong drop' l2-generate -n 5 -m model --overlong drop -o drop.l2s mixed.l2s
is 'counts it' '"dropped":1' "$(grep -o '"dropped":[0-9]*' stderr)"
is 'and passes it on without a completion' 7,6 \
    "$(text drop.l2s | wc -l | tr -d ' '),$(text drop.l2s | grep -c '"finish"')"
ok '--overlong truncate-left' l2-generate -n 5 -m model --overlong truncate-left -o left.l2s mixed.l2s
is 'keeps the end' 1 "$(text left.l2s | grep -c 'word end"')"
ok '--overlong truncate-right' \
    l2-generate -n 5 -m model --overlong truncate-right -o right.l2s mixed.l2s
is 'keeps the beginning' 7,0 \
    "$(text right.l2s | grep -c '"finish"'),$(text right.l2s | grep -c 'word end"')"

# ---- refused, or lost ----

tokenize --no-bos bos.jsonl >nothing.l2s
fails 1 'record 0: the prompt is empty: want one token' 'an empty prompt' \
    l2-generate -m model -n 5 nothing.l2s
fails 2 'stop pattern: offset 4' 'a stop pattern that is none' l2-generate -m model --stop 'a(b|' bos.l2s
fails 2 'it matches the empty text' 'a stop pattern that always matches' \
    l2-generate -m model --stop 'x*' bos.l2s
fails 2 'token id' 'an EOS that is no token' l2-generate -m model --eos 99999999 bos.l2s
fails 2 'temperature' 'a negative temperature' l2-generate -m model -T -1 bos.l2s
fails 2 'top-p' 'a probability above 1' l2-generate -m model --top-p 1.5 bos.l2s
fails 2 'completions' 'no completions' l2-generate -m model -k 0 bos.l2s
fails 1 'vocabulary head' 'a reward model' l2-generate -m rm bos.l2s
if [ -n "$L2_SHARED" ]; then
    l2-tokenize -q -z "$L2_SHARED/data/llama2-tokenizer/tokenizer.model" bos.jsonl >other.l2s
    fails 1 "the stream's vocabulary is not the model's" 'a stream of another vocabulary' \
        l2-generate -m model -n 5 other.l2s
else
    skip 'a stream of another vocabulary' 'the shared data is absent'
fi

# The last weight of the file is not a number.
cp -R model broken
size=$(wc -c <broken/model.safetensors)
printf '\000\000\300\177' |
    dd of=broken/model.safetensors bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
fails 1 'record park: .*not finite .*3 in all' 'a NaN among the weights' \
    l2-generate -m broken -n 5 prompts.l2s
is 'the records pass without completions' 3,0 \
    "$(text stdout 2>/dev/null | wc -l | tr -d ' '),$(text stdout 2>/dev/null | grep -c '"finish"')"
is 'and the summary counts them' '"failed_records":3' "$(grep -o '"failed_records":[0-9]*' stderr)"

# ---- pipes ----

i=0
while [ $i -lt 400 ]; do
    echo "{\"id\":$i,\"prompt\":\"Once\"}"
    i=$((i + 1))
done >many.jsonl
tokenize -o many.l2s many.jsonl
{
    l2-generate -m model -n 60 many.l2s
    echo $? >status
} 2>err | head -c 1 >/dev/null
is 'a reader that goes away' '0 ' "$(cat status) $(cat err)"
if [ -c /dev/full ]; then
    # shellcheck disable=SC2016 # for the inner shell
    fails 1 'No space left' 'a full disk' sh -c 'l2-generate -m model -n 5 many.l2s >/dev/full'
fi

# Killed with some records out: the next stage delivers those, and says that they are not all.
mkfifo pipe
: >scored.l2s
l2-score -m rm <pipe >scored.l2s 2>err &
score=$!
l2-generate -q -m model -n 400 --ignore-eos --batch 8 many.l2s >pipe &
generate=$!
n=0
while [ "$(wc -c <scored.l2s)" -lt 3000 ] && [ $n -lt 600 ]; do
    sleep 0.05
    n=$((n + 1))
done
kill -9 $generate
wait $generate 2>/dev/null
wait $score
is 'the stage after a killed one fails' 1 $?
ok 'with one sentence' grep -q '^l2-score: .*ends' err
n=$(text scored.l2s 2>/dev/null | grep -c '"scores"')
is 'it has delivered some records, and not all' 1 "$([ "$n" -gt 0 ] && [ "$n" -lt 400 ] && echo 1)"
fails 1 'incomplete' 'its END says so' l2-tokenize -z tokenizer.model -d scored.l2s
# ---- packed weights from a file ----

for options in '--quantize q8_0' '--activations f32'; do
    # shellcheck disable=SC2086 # several options
    generate -k 2 -n 20 $options prompts.l2s >want.l2s
    for state in absent written cut stale; do
        case $state in
        cut) head -c 5000 packed >short && mv short packed ;;
        stale) l2-generate -q -m model --quantize bf16 --pack-cache packed -n 1 bos.l2s >/dev/null ;;
        esac
        # shellcheck disable=SC2086
        generate -k 2 -n 20 $options --pack-cache packed prompts.l2s >got.l2s
        same "the same with a cache that is $state, $options" want.l2s got.l2s
    done
    wc -c <packed >size
    head -c 64 packed | tail -c +41 | od -An -tu8 -N8 | tr -d ' ' >said
    is 'a cache says its size' "$(cat said)" "$(tr -d ' ' <size)"
    rm packed
done
echo 'dear diary' >diary
cp diary packed
fails 1 'not a cache of packed weights' 'a file that is no cache' generate -n 1 --pack-cache packed bos.l2s
same 'a file that is no cache stays as it is' diary packed
fails 2 'is for the native backend, not blas' 'a cache for the other backend' generate -n 1 --backend blas --pack-cache new bos.l2s

finish
