#!/bin/sh
# Tests of completion: what bash offers for every program, and that zsh takes its scripts.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

programs=$(cd "$L2_BIN" && for p in l2-*; do
    case $p in *.*) continue ;; esac
    [ -f "$p" ] && [ -x "$p" ] && echo "$p"
done)

# offered WORD...: what bash offers where the last word is being typed
offered() {
    "$1" --print-completion bash >script
    bash -c '. ./script
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "_$1"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

if have bash; then
    touch a-file
    for p in $programs; do
        "$p" --print-completion bash >script
        ok "$p: bash takes its script" bash -n script
        sub=$("$p" --help | awk '/^Subcommands:/ { on = 1; next } /^[^ ]|^$/ { on = 0 } on && /^  [a-z]/ { print $1 }')
        if [ -z "$sub" ]; then
            "$p" --help | sed -n 's/^ *\(-[A-Za-z], \)\{0,1\}\(--[a-z][a-z0-9-]*\).*/\2/p' | sort -u >want
            offered "$p" -- | sort -u >got
            same "$p: all options are offered" want got
        else
            # shellcheck disable=SC2086 # words
            is "$p: its subcommands are offered" "$(printf '%s\n' $sub --help --version | sort)" \
                "$(offered "$p" '' | sort)"
            for s in $sub; do
                "$p" "$s" --help | sed -n 's/^ *\(-[A-Za-z], \)\{0,1\}\(--[a-z][a-z0-9-]*\).*/\2/p' | sort -u >want
                offered "$p" "$s" -- | sort -u >got
                same "$p $s: all options are offered" want got
            done
        fi
    done
    is 'choices of an option' 'native' "$(offered l2-generate -m x --backend n)"
    is 'files for an option that wants one' 'a-file' "$(offered l2-generate -m a-)"
    is 'files as operands' 'a-file' "$(offered l2-cat a-)"
    is 'nothing where only the user knows' '' "$(offered l2-generate -k '')"
else
    skip 'completion in bash' 'no bash'
fi
for p in $programs; do
    "$p" --print-completion zsh >script
    is "$p: a script for zsh" "#compdef $p" "$(head -n 1 script)"
    if have zsh; then
        ok "$p: zsh takes it" zsh -n script
    fi
done
fails 2 "want bash or zsh, got 'fish'" 'another shell' l2-cat --print-completion fish
finish
