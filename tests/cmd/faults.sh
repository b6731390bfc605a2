#!/bin/sh
# Tests that no allocation, read or write may fail unnoticed: each one fails in turn, in every program.
# With L2_FULL=1 every allocation does, else a sample of them.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

if grep -q '__asan_init\|__tsan_init\|__ubsan' "$L2_BIN/l2-cat"; then
    skip 'faults' 'sanitizers have an allocator of their own'
    finish
    exit
fi
# shellcheck disable=SC2086 # a command with arguments
if ! $L2_CC -shared -fPIC -o faults.so "$L2_SRC/tests/faults/faults.c" -ldl 2>/dev/null; then
    skip 'faults' 'no library to preload can be made'
    finish
    exit
fi
ok 'the fixtures are made' make_fixtures fixtures
cd fixtures || exit 99
preload=$L2_TMP/faults.so

# with FAULT COMMAND...: runs it so, output in out, errors in err
with() {
    fault=$1
    shift
    env L2_FAULT="$fault" LD_PRELOAD="$preload" "$@" >out 2>err
}

# wrong WHAT: one more thing that is not as it should be
wrong() {
    n_wrong=$((n_wrong + 1))
    [ $n_wrong -gt 3 ] || wrongs="$wrongs
$1: $(head -c 300 err)"
}

# What a failed run has written is not taken for whole, and what is in it is right so far as it goes.
# Texts (those of l2-tokenize -d, --json, --stats) have no END: they are cut.
check_part() {
    [ -s out ] && ! cmp -s good out && [ "$content" = part ] || return 0
    if head -c 4 good | cmp -s - magic; then
        ! l2-cat -q --check out 2>/dev/null || return 1
        l2-cat -q --recover out 2>/dev/null | l2-cat -q --json >part.json 2>/dev/null
        l2-cat -q --json good >good.json
        head -c "$(wc -c <part.json)" good.json | cmp -s - part.json
    else
        head -c "$(wc -c <out)" good | cmp -s - out
    fi
}
printf '\050\265\057\375' >magic

# judge FAULT STATUS PROGRAM: after a run with the fault
judge() {
    case $2 in
    0)
        cmp -s good out || wrong "$1: status 0, but another output"
        [ ! -e good.made ] || diff -r good.made "$made" >/dev/null || wrong "$1: status 0, but another directory"
        ;;
    1)
        read -r line <err
        case $line in
        "$3: "*) [ "$(wc -l <err)" -eq 1 ] || wrong "$1: more than a line" ;;
        "$3 "*": "*) [ "$(wc -l <err)" -eq 1 ] || wrong "$1: more than a line" ;;
        *) wrong "$1: no error that names the program" ;;
        esac
        check_part || wrong "$1: what is written looks whole, or is wrong"
        [ ! -e "$made" ] || diff -r good.made "$made" >/dev/null || wrong "$1: half a directory"
        n_failed=$((n_failed + 1))
        ;;
    *) wrong "$1: status $2" ;;
    esac
}

# sweep COMMAND...: lets its allocations, reads and writes fail one after the other. What it makes beside
# its output is called $made.
sweep() {
    rm -rf made* good.made
    "$@" >good 2>err || { fail "$*: without faults" && diag "$(cat err)" && return; }
    [ ! -e "$made" ] || mv "$made" good.made
    for kind in alloc read write; do
        rm -rf made*
        L2_FAULT_REPORT=$L2_TMP/calls with $kind:999999999 "$@"
        read -r total <"$L2_TMP/calls"
        n=0 n_wrong=0 n_failed=0 wrongs=
        while [ $n -lt "$total" ]; do
            # all of the first and last 12, and every 37th
            if [ -n "${L2_FULL-}" ] || [ $n -lt 12 ] || [ $((total - n)) -le 12 ]; then
                n=$((n + 1))
            else
                n=$((n + 37 < total - 12 ? n + 37 : total - 12))
            fi
            rm -rf made*
            with $kind:$n "$@"
            judge $kind:$n $? "$1"
        done
        [ $kind != alloc ] || [ $n_failed -gt 10 ] || wrong "only $n_failed failed"
        is "$*: $total x $kind" 0 $n_wrong
        [ $n_wrong -eq 0 ] || diag "$wrongs"
    done
    rm -rf made*
    with short "$@"
    judge short $? "$1"
    ok "$*: short reads and writes" cmp -s good out
}

content=part
made=made
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s
l2-generate -q -m model -k 2 -n 5 prompts.l2s -o answers.l2s
l2-score -q -m rm answers.l2s -o scored.l2s
sweep l2-tokenize -q -z tokenizer.model prompts.jsonl
sweep l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl
sweep l2-tokenize -q -d -z tokenizer.model scored.l2s
sweep l2-generate -q -j 1 -m model -k 2 -n 5 prompts.l2s
sweep l2-score -q -j 1 -m rm answers.l2s
sweep l2-embed -q -j 1 -m model answers.l2s
sweep l2-rsample -q --pool --best 1 scored.l2s
sweep l2-rsample -q --curve scored.l2s
sweep l2-cat -q --json scored.l2s
content=any # it goes on with the second file; it tells of what was read
sweep l2-cat -q scored.l2s answers.l2s
sweep l2-cat -q --stats scored.l2s
content=part
sweep l2-model show -q model
sweep l2-model to-reward -q -s 2 -o made model
sweep l2-model convert -q --dtype BF16 -o made model
sweep l2-model merge -q -o made model model
sweep l2-model check -q model
sweep l2-model hash -q model
made=made.gguf
sweep l2-model quantize -q --type Q8_0 -o made.gguf model
made=made
sweep l2-vocab -q --size 300 --byte-fallback text.txt
l2-tokenize -q -z tokenizer.model --lines text.txt -o text.l2s
l2-tokenize -q -z tokenizer.model pairs.jsonl -o pairs.l2s
sweep l2-train pretrain -q -j 1 -m model -o made --data text.l2s --context 16 --batch 2 --steps 2
sweep l2-train reward -q -j 1 -m model -o made --data pairs.l2s --batch 3
sweep l2-prefs -q --margins small --weight 2 pairs.jsonl
sweep l2-prefs -q --streams pairs.l2s
l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl -o dialogues.l2s
printf 'generic: [Be kind., Be safe.]\n' >preprompts.yaml
sweep l2-preprompt add -q -z tokenizer.model --template llama2 -f preprompts.yaml dialogues.l2s
sweep l2-preprompt add -q -z tokenizer.model --template none --text x prompts.l2s
l2-preprompt add -q -z tokenizer.model --template llama2 -f preprompts.yaml dialogues.l2s | l2-generate -q -m model -n 3 -o under.l2s
sweep l2-preprompt remove -q under.l2s
sweep l2-clean -q --lines text.txt
sweep l2-clean -q --lines --to stream text.txt
l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl -o chat.l2s
sweep l2-gatt make -q -j 1 -m model --constraints constraints.yaml --only figure --template llama2 -n 3 chat.l2s
content=any # rows
sweep l2-gatt measure -q -j 1 -m model --constraints constraints.yaml --only figure --template llama2 -n 3 chat.l2s
content=part
sweep l2-ppo -q -j 1 -m model -o made --reward rm --batch 2 -k 1 -n 3 --iterations 1 prompts.l2s
finish
