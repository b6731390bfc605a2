#!/bin/sh
# Tests of size and pace: memory does not grow with the number of records, and slow neighbours in a
# pipe change nothing.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures fixtures
cd fixtures || exit 99

# ---- memory ----

if grep -q '__asan_init\|__tsan_init' "$L2_BIN/l2-cat"; then
    skip 'memory' 'sanitizers keep what was freed'
elif ! have python3; then
    skip 'memory' 'no python3'
else
    cat >memory.py <<'E'
"""usage: memory.py COMMAND...: the largest resident size of the command, in KiB"""
import os, sys
pid = os.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=open("memory", "w"))
sys.exit(os.waitstatus_to_exitcode(status))
E
    for n in 2000 40000; do
        seq $n | sed 's/.*/{"id":&,"prompt":"One day & of them","completions":[{"text":" ran","scores":{"r":&}},{"text":" sat","scores":{"r":-1}}]}/' >"$n.jsonl"
        python3 memory.py l2-tokenize -q -z tokenizer.model "$n.jsonl" >"$n.l2s"
        cp memory "memory-tokenize-$n"
        for what in 'l2-cat -q' 'l2-cat -q --json' 'l2-cat -q --json --ids' 'l2-cat -q --check' \
            'l2-rsample -q --by r' 'l2-rsample -q --by r --curve' 'l2-tokenize -q -d -z tokenizer.model'; do
            # shellcheck disable=SC2086 # a command with arguments
            python3 memory.py $what "$n.l2s" >out
            cp memory "memory-$(echo "$what" | tr -c 'a-z\n' _)-$n"
        done
    done
    for small in memory-*-2000; do
        large=${small%-2000}-40000
        # 38000 records of 100 bytes or more would be 3800 KiB and more
        ok "${small%-2000}: $(cat "$small") KiB for 2000 records, $(cat "$large") for 40000" \
            test $(($(cat "$large") - $(cat "$small"))) -lt 2500
    done
fi

# One record with many completions, longer than a frame.
ok 'a prompt with 3000 completions' sh -c \
    "head -n 1 prompts.jsonl | l2-tokenize -q -z tokenizer.model --jsonl | l2-generate -q -m model -k 3000 -n 2 -o many.l2s"
ok 'scored' l2-score -q -m rm -o scored.l2s many.l2s
is 'all of them' 3000 "$(l2-cat -q --scores csv scored.l2s | tail -n +2 | grep -c '[0-9]$')"

# ---- pace ----

l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
l2-generate -q -m model -k 2 -n 4 prompts.l2s | l2-cat -q --json >want

# Byte by byte from the writer, and to a reader that takes its time.
trickle() {
    size=$(wc -c <"$1") at=0
    while [ $at -lt "$size" ]; do
        dd if="$1" bs=61 skip=$((at / 61)) count=1 2>/dev/null
        at=$((at + 61))
    done
}
trickle prompts.l2s | l2-generate -q -m model -k 2 -n 4 | l2-cat -q --json >got
same 'a slow writer' want got
l2-generate -q -m model -k 2 -n 4 prompts.l2s | { sleep 0.3; l2-cat -q --json; } >got
same 'a reader that is late' want got
# more than a pipe holds
seq 4000 | sed 's/.*/Line & of a text that is long enough to fill a pipe./' >many.txt
l2-tokenize -q -z tokenizer.model --lines many.txt | l2-cat -q --json >want
l2-tokenize -q -z tokenizer.model --lines many.txt | { sleep 0.3; l2-cat -q --json; } >got
same 'a reader that is late, and more than a pipe holds' want got

# As with tail -f: what is appended to a file comes out at the end, while everything stays open.
wait_for() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || return 1
        sleep 0.05
    done
}
has_lines() { [ "$(wc -l <"$1")" -eq "$2" ]; }
mkfifo fifo
: >answers
sh -c 'l2-tokenize -q -z tokenizer.model --jsonl <fifo | l2-generate -q -m model -k 1 -n 4 |
    l2-tokenize -q -d -z tokenizer.model >answers' &
exec 9>fifo
for n in 1 2 3; do
    echo '{"id":'$n',"prompt":"One day"}' >&9
    ok "line $n is answered while the pipe stays open" wait_for has_lines answers $n
done
exec 9>&-
wait
is 'and nothing is lost at the end' 3 "$(wc -l <answers | tr -d ' ')"
finish
