#!/bin/sh
# What every program must do: --help, --version, wrong usage, its manual page, missing, empty, cut and damaged
# input, full and closed output.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

programs=$(cd "$L2_BIN" && for p in l2-*; do
    case $p in *.*) continue ;; esac
    [ -f "$p" ] && [ -x "$p" ] && echo "$p"
done)

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
l2-tokenize -q -z tokenizer.model prompts.jsonl >prompts.l2s 2>/dev/null
l2-tokenize -q -z tokenizer.model pairs.jsonl >pairs.l2s 2>/dev/null
l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl >chat.l2s 2>/dev/null
l2-score -q -m rm --as r pairs.l2s >scored.l2s 2>/dev/null
l2-clean -q --lines --to stream text.txt >texts.l2s 2>/dev/null
ok 'so are streams' test -s prompts.l2s -a -s pairs.l2s -a -s scored.l2s

# subcommands PROGRAM: their names, from --help
subcommands() {
    "$@" --help 2>/dev/null | awk '/^Subcommands:/ { on = 1; next } /^[^ ]|^$/ { on = 0 }
        on && /^  [a-z]/ { print $1 }'
}

# ---- help, version, wrong usage ----

# long_options: the long options in a --help text on standard input
long_options() {
    sed -n 's/^ *\(-[A-Za-z], \)\{0,1\}\(--[a-z][a-z0-9-]*\).*/\2/p'
}

check_usage() { # PROGRAM [SUBCOMMAND]
    ok "$*: --help" "$@" --help
    cp "$L2_TMP/stdout" help
    is "$*: --help says nothing on standard error" '' "$(cat "$L2_TMP/stderr")"
    is "$*: --help begins with the usage" "Usage: $*" "$(head -n 1 help | cut -c "1-$(echo "Usage: $*" | wc -c | tr -d ' ')" | sed 's/ $//')"
    is "$*: --help fits 80 columns" '' "$(awk 'length > 80 && NF > 1' help)" # but for a long path
    is "$*: -h is --help" "$(cat help)" "$("$@" -h)"
    ok "$*: --version" "$@" --version
    is "$*: --version names program and suite" "$1 (l2)" "$(head -n 1 "$L2_TMP/stdout" | cut -d ' ' -f 1,2)"
    fails 2 'unknown option --no-such-option' "$*: an unknown option is wrong usage" "$@" --no-such-option
    is "$*: and prints nothing on standard output" '' "$(cat "$L2_TMP/stdout")"
    fails 2 'unknown option -%' "$*: an unknown letter is wrong usage" "$@" -%
    fails 2 'wants an argument' "$*: --config without a file is wrong usage" "$@" --config
    fails 1 'cannot write' "$*: --help to a full device fails" sh -c '"$@" --help >/dev/full' sh "$@"
    fails 1 'cannot write' "$*: --help to a closed output fails" sh -c '"$@" --help >&-' sh "$@"

    [ -z "$(subcommands "$@")" ] || return 0 # the rest is the subcommands' own
    printf 'no-such-key: 1\n' >bad.yaml
    fails 2 'bad.yaml:1:1: unknown key' "$*: an unknown key is named with its place" "$@" --config bad.yaml
    {
        echo 'progress: false'
        for q in $programs; do echo "$q:"; done
    } >all.yaml
    ok "$*: sections of all programs may stand in a file" "$@" --config all.yaml --print-config
    ok "$*: --print-config" "$@" --print-config
    cp "$L2_TMP/stdout" printed.yaml
    ok "$*: --config reads what --print-config wrote" "$@" --config printed.yaml --print-config
    same "$*: and the settings are the same" printed.yaml "$L2_TMP/stdout"
}

# ---- manual pages ----

# page_options FILE: the long options that its lists of options define
page_options() {
    sed -n 's/^\.It \(.*\)/\1/p' "$1" | tr ' ' '\n' | sed -n 's/^-\([a-z][a-z0-9-]*\)$/--\1/p' | sort -u
}

check_page() { # PROGRAM
    page=$L2_SRC/man/$1.1
    if [ ! -f "$page" ]; then
        fail "$1: has a manual page"
        return
    fi
    pass "$1: has a manual page"
    for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' EXAMPLES; do
        ok "$1: the page has the section $section" grep -q "^\.Sh $section" "$page"
    done
    {
        "$1" --help
        for sub in $(subcommands "$1"); do "$1" "$sub" --help; done
    } | long_options | sort -u >from-help
    page_options "$page" >from-page
    is "$1: the page tells all options of --help" '' "$(comm -23 from-help from-page)"
    sed 's/^--/--no-/; s/^--no-no-/--/' from-help | sort - from-help | uniq >with-negated
    is "$1: and no others" '' "$(comm -13 with-negated from-page)"
}

for p in $programs; do
    check_usage "$p"
    for sub in $(subcommands "$p"); do check_usage "$p" "$sub"; done
    check_page "$p"
done

for page in "$L2_SRC"/man/*.[1-9]; do
    if have mandoc; then
        is "${page##*/}: mandoc finds nothing" '' "$(mandoc -Tlint -Wwarning "$page" 2>&1)"
    else
        skip "${page##*/}: mandoc finds nothing" 'mandoc is not installed'
    fi
done

# ---- input and output ----

# quietly_closed COMMAND...: status of the command when its reader has gone away before it begins
quietly_closed() {
    rm -f gate fifo status
    mkfifo gate fifo || exit 99
    {
        : <fifo
        echo gone >gate
    } &
    {
        read -r _ <gate
        "$@" 2>err
        echo $? >status
    } >fifo
    wait
    cat status
}

# check_summary NAME: standard error of the last ok is one summary line
check_summary() {
    is "$1: one summary line" "1 {\"program\":\"${1%% *}\"" \
        "$(grep -c '^{' "$L2_TMP/stderr") $(grep '^{' "$L2_TMP/stderr" | cut -d , -f 1)"
    if have python3; then
        grep '^{' "$L2_TMP/stderr" >summary
        ok "$1: it is JSON" python3 -c 'import json, sys; json.load(open(sys.argv[1]))' summary
    else
        skip "$1: it is JSON" 'python3 is not installed'
    fi
}

check_output() { # NAME INPUT COMMAND...
    name=$1 input=$2
    shift 2
    ok "$name: runs" "$@" "$input"
    cp "$L2_TMP/stdout" good.out
    check_summary "$name"
    ok "$name: reads standard input" sh -c 'cat "$1" | { shift; "$@"; }' sh "$input" "$@"
    ok "$name: -q" "$@" -q "$input"
    is "$name: and then nothing on standard error" '' "$(cat "$L2_TMP/stderr")"
    ok "$name: --progress" "$@" --progress "$input"
    is "$name: which ends at a hundred per cent" 1 "$(grep -c "^${name%% *}[a-z ]*: \[#*\] 100% .*/s\$" "$L2_TMP/stderr")"
    fails 1 'standard output: .*No space left on device' "$name: a full device" sh -c 'exec "$@" >/dev/full' sh "$@" "$input"
    is "$name: a reader that went away is no failure" 0 "$(quietly_closed "$@" "$input")"
    is "$name: and not worth a word" '' "$(cat err)"
    fails 1 'no-such-file: cannot open: No such file' "$name: a missing file" "$@" no-such-file
    fails 1 'Is a directory' "$name: a directory" "$@" .
    rm -f out
    ok "$name: -o FILE" "$@" -o out "$input"
    cp out before
    fails 1 'exists already' "$name: a file that exists is refused" "$@" -o out "$input"
    same "$name: and left alone" before out
    ok "$name: --force overwrites it" "$@" --force -o out "$input"
    cp "$input" both
    fails 1 'input and output at once' "$name: not onto its own input" "$@" --force -o both both
    same "$name: which is left alone" "$input" both
}

# What a stream filter does with a stream that is not whole.
check_damage() { # NAME INPUT COMMAND...
    name=$1 input=$2
    shift 2
    size=$(wc -c <"$input" | tr -d ' ')
    fails 1 'empty|ends' "$name: empty input" "$@" /dev/null
    for n in 1 3 10 $((size / 3)) $((size / 2)) $((size - 1)); do
        head -c "$n" "$input" >cut
        fails 1 'cut|standard input' "$name: input cut after $n of $size bytes" "$@" cut
        is "$name: that is said in one line" 1 "$(grep -vc '^{' "$L2_TMP/stderr")"
    done
    for at in 5 $((size / 3)) $((size / 2)) $((size - 10)); do
        {
            head -c "$at" "$input"
            printf '\377\376\375\374'
            tail -c "+$((at + 5))" "$input"
        } >flipped
        cmp -s "$input" flipped && continue
        fails 1 'flipped' "$name: damage at byte $at" "$@" flipped
    done
    printf 'hello, world\n' >plain
    fails 1 'plain' "$name: something else than a stream" "$@" plain
    fails 1 'no-such-file' "$name: goes on behind a missing file" "$@" no-such-file "$input"
    cp "$L2_TMP/stdout" delivered
    ok "$name: and delivers what there is" test -s delivered
}

# What a stream filter writes of a stream that is not whole is marked so.
check_marks() { # NAME INPUT COMMAND...
    name=$1 input=$2
    shift 2
    size=$(wc -c <"$input" | tr -d ' ')
    ok "$name: what it writes is a whole stream" l2-cat --check good.out
    is "$name: that zstd finds in order" '' "$(have zstd && zstd -tq good.out 2>&1)"
    head -c $((size - 1)) "$input" >cut
    "$@" cut >cut.out 2>/dev/null
    fails 1 'incomplete' "$name: output of a cut stream is marked incomplete" l2-cat --check cut.out
    cat "$input" "$input" >twice
    ok "$name: two segments" "$@" twice
}

for p in $programs; do
    case $p in
    l2-cat)
        check_output "$p" pairs.l2s l2-cat
        check_damage "$p" pairs.l2s l2-cat
        check_marks "$p" pairs.l2s l2-cat
        ;;
    l2-clean)
        check_output "$p" text.txt l2-clean --lines
        check_output "$p" texts.l2s l2-clean
        check_damage "$p" texts.l2s l2-clean --partial
        check_marks "$p" texts.l2s l2-clean --partial
        ;;
    l2-embed)
        check_output "$p" pairs.l2s l2-embed -m model
        check_damage "$p" pairs.l2s l2-embed -m model
        check_marks "$p" pairs.l2s l2-embed -m model
        ;;
    l2-eval)
        printf '{"context":"Once upon","choices":["a time","the dog"],"gold":0}\n' >choices.jsonl
        check_output "$p choices" choices.jsonl l2-eval choices -m model
        check_output "$p perplexity" text.txt l2-eval perplexity -m model
        check_output "$p task" questions.jsonl l2-eval task -m model -t ./task.yaml
        fails 1 'no-such-file' "$p choices: a missing file" l2-eval choices -m model no-such-file
        fails 1 'empty' "$p choices: empty input" l2-eval choices -m model /dev/null
        fails 1 'plain' "$p choices: something else than JSON" l2-eval choices -m model plain
        printf '{"id":1,"turn":1,"obeys":true,"violation":false,"rating":1,"scores_chosen":1,"scores_rejected":0,"responses":["a","b"]}\n' >judged.jsonl
        for sub in prefs wins safety turns diversity 'contam --test judged.jsonl'; do
            check_output "$p $sub" judged.jsonl l2-eval $sub --jsonl
            fails 1 'no-such-file' "$p $sub: a missing file" l2-eval $sub no-such-file
            fails 1 'empty' "$p $sub: empty input" l2-eval $sub --jsonl /dev/null
            fails 1 'plain' "$p $sub: something else than JSON" l2-eval $sub --jsonl plain
        done
        ;;
    l2-gatt)
        check_output "$p make" chat.l2s l2-gatt make -m model --constraints constraints.yaml --template llama2 -n 4
        check_damage "$p make" chat.l2s l2-gatt make -m model --constraints constraints.yaml --template llama2 -n 4
        check_marks "$p make" chat.l2s l2-gatt make -m model --constraints constraints.yaml --template llama2 -n 4
        check_output "$p measure" chat.l2s l2-gatt measure -m model --constraints constraints.yaml --template llama2 -n 4
        check_damage "$p measure" chat.l2s l2-gatt measure -m model --constraints constraints.yaml --template llama2 -n 4
        ;;
    l2-generate)
        check_output "$p" prompts.l2s l2-generate -m model -n 4
        check_damage "$p" prompts.l2s l2-generate -m model -n 4
        check_marks "$p" prompts.l2s l2-generate -m model -n 4
        ;;
    l2-rsample)
        check_output "$p" scored.l2s l2-rsample --best 1 --by r
        check_damage "$p" scored.l2s l2-rsample --best 1 --by r
        check_marks "$p" scored.l2s l2-rsample --best 1 --by r
        ;;
    l2-score)
        check_output "$p" pairs.l2s l2-score -m rm
        check_damage "$p" pairs.l2s l2-score -m rm
        check_marks "$p" pairs.l2s l2-score -m rm
        ;;
    l2-tokenize)
        check_output "$p" prompts.jsonl l2-tokenize --jsonl -z tokenizer.model
        check_output "$p -d" pairs.l2s l2-tokenize -z tokenizer.model -d
        check_damage "$p -d" pairs.l2s l2-tokenize -z tokenizer.model -d
        ;;
    l2-model)
        ok "$p show: runs" l2-model show model
        check_summary "$p show"
        fails 1 'No space left on device' "$p show: a full device" sh -c 'exec l2-model show model >/dev/full'
        is "$p show: a reader that went away is no failure" 0 "$(quietly_closed l2-model show model)"
        fails 1 'no-such-file' "$p show: a missing model" l2-model show no-such-file
        fails 2 'want one model' "$p show: no operand" l2-model show
        mkdir -p cutmodel && cp model/* cutmodel/
        size=$(wc -c <model/model.safetensors | tr -d ' ')
        for n in 0 7 100 $((size / 2)) $((size - 1)); do
            head -c "$n" model/model.safetensors >cutmodel/model.safetensors
            fails 1 'model.safetensors' "$p show: a model cut after $n of $size bytes" l2-model show cutmodel
        done
        fails 1 'model exists|exists' "$p to-reward: a directory that exists is refused" l2-model to-reward -o rm model
        ;;
    l2-train)
        ok "$p: runs" l2-train reward -m model -o trained --data pairs.l2s --batch 3
        check_summary "$p"
        for sub in pretrain sft reward; do
            fails 1 'empty' "$p $sub: empty input" l2-train $sub -m model -o x --data /dev/null
            fails 1 'no-such-file' "$p $sub: a missing file" l2-train $sub -m model -o x --data no-such-file
            fails 1 'plain' "$p $sub: something else than a stream" l2-train $sub -m model -o x --data plain
            fails 1 'cut' "$p $sub: a cut stream" l2-train $sub -m model -o x --data cut
        done
        fails 1 'No space left on device' "$p: a log on a full device" l2-train reward -m model -o x \
            --data pairs.l2s --batch 3 --log /dev/full
        ;;
    l2-ppo)
        ok "$p: runs" l2-ppo -m model -o policy --reward rm --batch 4 -k 2 -n 4 --iterations 1 prompts.l2s
        check_summary "$p"
        fails 1 'empty' "$p: empty input" l2-ppo -m model -o x --reward rm /dev/null
        fails 1 'no-such-file' "$p: a missing file" l2-ppo -m model -o x --reward rm no-such-file
        fails 1 'plain' "$p: something else than a stream" l2-ppo -m model -o x --reward rm plain
        fails 1 'cut' "$p: a cut stream" l2-ppo -m model -o x --reward rm cut
        fails 1 'No space left on device' "$p: a log on a full device" l2-ppo -m model -o x --reward rm \
            --batch 4 -k 2 -n 4 --iterations 1 --log /dev/full prompts.l2s
        ;;
    l2-plot)
        l2-train reward -q -m model -o logged --data pairs.l2s --batch 3 --log log.jsonl 2>/dev/null
        check_output "$p log" log.jsonl l2-plot log --script
        for sub in log curve scores accuracy wins; do
            fails 1 'empty' "$p $sub: empty input" l2-plot $sub /dev/null
            fails 1 'no-such-file' "$p $sub: a missing file" l2-plot $sub no-such-file
            fails 1 'plain' "$p $sub: something else than JSON" l2-plot $sub plain
        done
        fails 1 'cut' "$p scores: a cut stream" l2-plot scores --score r cut
        ;;
    l2-prefs)
        check_output "$p" pairs.jsonl l2-prefs
        fails 1 'no-such-file' "$p: a missing file" l2-prefs no-such-file
        ok "$p: empty input has no pairs" l2-prefs /dev/null
        ;;
    l2-preprompt)
        l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl >dialogues.l2s
        check_output "$p add" dialogues.l2s l2-preprompt add -z tokenizer.model --template llama2 --text x
        check_damage "$p add" dialogues.l2s l2-preprompt add -z tokenizer.model --template llama2 --text x
        check_marks "$p add" dialogues.l2s l2-preprompt add -z tokenizer.model --template llama2 --text x
        l2-preprompt add -q -z tokenizer.model --template llama2 --text x dialogues.l2s >added.l2s
        check_output "$p remove" added.l2s l2-preprompt remove
        check_damage "$p remove" added.l2s l2-preprompt remove
        check_marks "$p remove" added.l2s l2-preprompt remove
        ;;
    l2-vocab)
        check_output "$p" text.txt l2-vocab --size 270 --coverage 0.5
        fails 1 'nothing to train on' "$p: empty input" l2-vocab /dev/null
        fails 1 'no-such-file' "$p: a missing file" l2-vocab no-such-file
        ;;
    *) fail "$p: tests/cmd/all-programs.sh does not know how to run it" ;;
    esac
done

# ---- terminals ----

if have script; then
    script -qec 'l2-cat pairs.l2s; echo "status $?"' /dev/null >typed 2>&1 </dev/null
    ok 'binary output to a terminal is refused' grep -q 'is a terminal' typed
    ok 'as wrong usage' grep -q 'status 2' typed
    script -qec 'l2-cat --json; echo "status $?"' /dev/null >typed 2>&1 </dev/null
    ok 'a terminal as input without a word is wrong usage' grep -q 'status 2' typed
else
    skip 'binary output to a terminal is refused' 'script is not installed'
fi
finish
