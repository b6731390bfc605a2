#!/bin/sh
# Tests of --resume and --shard: whatever moment a run is killed at, going on gives what it would have
# given; what would not is refused; shards are the whole.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures fixtures
cd fixtures || exit 99

# records FILE: its records as JSON
records() { l2-cat -q --json "$1"; }
# count NAME: the number of that name in the summary line in ./summary
count() { sed -n "s/.*\"$1\":\([-0-9.e]*\).*/\1/p" summary; }

seq 60 | sed 's/.*/{"id":"r&","prompt":"One day & of them","n":&}/' >many.jsonl
ok 'prompts' l2-tokenize -q -z tokenizer.model many.jsonl -o many.l2s
generate() { l2-generate -q -m model -k 2 -n 12 "$@"; }
ok 'the whole run' generate many.l2s -o whole.l2s
records whole.l2s >whole

# Killed at any moment: after a delay that grows until the run is through.
n=0 killed=0 same=0
while [ $n -lt 12 ]; do
    n=$((n + 1))
    rm -f part.l2s
    l2-generate -q -m model -k 2 -n 12 many.l2s -o part.l2s & # itself, not a subshell around it
    pid=$!
    sleep "0.0$((n * 7 % 100 / 10))$((n * 7 % 10))"
    kill -9 $pid 2>/dev/null && killed=$((killed + 1))
    wait $pid 2>/dev/null
    generate many.l2s -o part.l2s --resume -j 1 && records part.l2s >got && cmp -s whole got &&
        same=$((same + 1))
done
is "after $killed kills of 12 runs the records are the same" 12 $same

# Cut at any byte, in or between frames.
size=$(wc -c <whole.l2s)
n=0 same=0
while [ $n -le 20 ]; do
    head -c $((size * n / 20)) whole.l2s >part.l2s
    generate many.l2s -o part.l2s --resume && records part.l2s >got && cmp -s whole got &&
        same=$((same + 1))
    n=$((n + 1))
done
is 'cut at 21 places: the same' 21 $same

# It costs what is left.
head -c $((size / 2)) whole.l2s >part.l2s
l2-generate -m model -k 2 -n 12 many.l2s -o part.l2s --resume 2>summary
is 'what was there and what was made are all' 120 $((2 * $(count resumed) + $(count completions)))
ok 'something was there' test "$(count resumed)" -gt 0
l2-generate -m model -k 2 -n 12 many.l2s -o part.l2s --resume 2>summary
is 'a whole file takes nothing' '60 0' "$(count resumed) $(count completions)"
cp part.l2s before
ok 'nor is it touched' cmp -s part.l2s before

# As they finish: the same records, and going on with them.
seq 40 | sed 's/.*/{"id":"r&","prompt":"One day & of them","completions":[]}/' >uneven.jsonl
l2-tokenize -q -z tokenizer.model uneven.jsonl | generate -n 80 --stop '[.]' --unordered -o loose.l2s
l2-tokenize -q -z tokenizer.model uneven.jsonl | generate -n 80 --stop '[.]' -o strict.l2s
records loose.l2s >got
records strict.l2s >want
ok 'without order: another one' sh -c '! cmp -s got want'
sort got >sorted
sort want | cmp -s - sorted
is 'but the same records' 0 $?
head -c $(($(wc -c <loose.l2s) / 2)) loose.l2s >part.l2s
l2-tokenize -q -z tokenizer.model uneven.jsonl | generate -n 80 --stop '[.]' --unordered -o part.l2s --resume
records part.l2s | sort >got
same 'without order: cut and resumed' sorted got

# Bytes behind what is whole go; a damaged frame ends what is whole.
{ head -c $((size / 2)) whole.l2s; echo garbage; } >part.l2s
ok 'garbage at the end' generate many.l2s -o part.l2s --resume
records part.l2s >got
same 'is cut off' whole got
{ head -c $((size / 2)) whole.l2s; printf 'XXXXXXXX'; tail -c +$((size / 2 + 9)) whole.l2s; } >part.l2s
ok 'damage in the middle' generate many.l2s -o part.l2s --resume
records part.l2s >got
same 'is made again' whole got

# What would mix two runs is refused, and the file stays.
head -c $((size / 2)) whole.l2s >part.l2s
cp part.l2s before
fails 1 "settings of l2-generate were 'max-tokens: 12' and are now 'max-tokens: 13'" 'an option' \
    l2-generate -m model -k 2 -n 13 many.l2s -o part.l2s --resume
cp -R model changed
weights=$(find changed -name '*.safetensors' | head -n 1)
printf '\001' | dd of="$weights" bs=1 seek=$(($(wc -c <"$weights") - 3)) conv=notrunc 2>/dev/null
fails 1 'written with another model' 'a model with another weight' \
    l2-generate -m changed -k 2 -n 12 many.l2s -o part.l2s --resume
fails 1 "kernels of l2-generate were '" 'kernels' \
    l2-generate -m model -k 2 -n 12 --backend blas many.l2s -o part.l2s --resume
sed 's/of them/of us/' many.jsonl >others.jsonl
l2-tokenize -q -z tokenizer.model others.jsonl -o others.l2s
cp part.l2s other.l2s
fails 1 'records of the earlier run are not in the input' 'another input' \
    l2-generate -m model -k 2 -n 12 others.l2s -o other.l2s --resume
same 'the file stays as it was' before part.l2s
echo 'a letter' >letter
fails 1 'not an l2 stream' 'no stream' l2-generate -m model many.l2s -o letter --resume
is 'which is left alone' 'a letter' "$(cat letter)"
fails 2 'wants a file' 'standard output' l2-generate -m model many.l2s --resume
fails 2 'contradict' 'with --force' l2-generate -m model many.l2s -o part.l2s --resume --force
fails 2 'contradict' 'with --no-history' \
    l2-generate -m model many.l2s -o part.l2s --resume --no-history
fails 1 'exists already' 'a file without --resume' l2-generate -m model many.l2s -o part.l2s

# Several segments: those that are whole are passed over.
cat many.l2s others.l2s >two.l2s
generate two.l2s -o two-whole.l2s
records two-whole.l2s >two-whole
size=$(wc -c <two-whole.l2s)
for part in 10 45 50 55 90 100; do
    head -c $((size * part / 100)) two-whole.l2s >part.l2s
    generate two.l2s -o part.l2s --resume
    records part.l2s >got
    same "two segments, cut at $part %" two-whole got
done
fails 1 'more segments than the input, which has 1' 'a segment too few' \
    l2-generate -m model -k 2 -n 12 many.l2s -o two-whole.l2s --resume

# An input that was incomplete is completed.
head -c $(($(wc -c <many.l2s) - 20)) many.l2s >cut-input.l2s
fails 1 'cut-input' 'an input that was cut' l2-generate -m model -k 2 -n 12 cut-input.l2s -o part.l2s --force
ok 'and is whole now' generate many.l2s -o part.l2s --resume
records part.l2s >got
same 'gives the whole' whole got

# The other programs.
for program in 'l2-score -q -m rm -z tokenizer.model whole.l2s' \
    'l2-embed -q -m model whole.l2s' \
    'l2-tokenize -q -z tokenizer.model many.jsonl' \
    'l2-tokenize -q -z tokenizer.model --lines many.jsonl'; do
    rm -f done.l2s
    $program -o done.l2s
    records done.l2s >want
    size=$(wc -c <done.l2s)
    for part in 0 30 60 99; do
        head -c $((size * part / 100)) done.l2s >part.l2s
        $program -o part.l2s --resume
        records part.l2s >got
        same "$program: cut at $part %" want got
    done
    for i in 1 2 3; do $program --shard $i/3 -o shard-$i.l2s --force; done
    for i in 1 2 3; do ok "$program: shard $i has some" test "$(records shard-$i.l2s | wc -l)" -gt 5; done
    cat shard-1.l2s shard-2.l2s shard-3.l2s >all.l2s
    records all.l2s | sort >got
    sort want >sorted
    same "$program: three shards are the whole" sorted got
done
generate --shard 2/3 many.l2s | l2-cat -q --json >got
l2-tokenize -q -z tokenizer.model --shard 2/3 many.jsonl | generate | l2-cat -q --json >want
same 'a shard of the input is a shard of the output' want got
if have python3; then
    python3 -c 'import hashlib, json, sys
for line in open("many.jsonl"):
    id = json.loads(line)["id"].encode()
    assert len(id) < 24
    if int(hashlib.sha256(bytes([0x60 + len(id)]) + id).hexdigest(), 16) % 3 == 1: print(id.decode())
' >want
    sed 's/{"id":"\([^"]*\).*/\1/' <got >ids
    same 'shards go by SHA-256 of the id' want ids
else
    skip 'shards go by SHA-256 of the id' 'no python3'
fi
for shard in 0/3 4/3 1 /3 1/ 1/0 -1/3 a/b; do
    fails 2 "want I/N with I from 1 to N, got '$shard'" "--shard $shard" \
        l2-generate -m model --shard "$shard" many.l2s
done
fails 2 'not with --decode' 'resuming text' \
    l2-tokenize -d -z tokenizer.model whole.l2s -o text.jsonl --resume
finish
