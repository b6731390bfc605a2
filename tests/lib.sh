# What the whole-command tests share: results as TAP, a scratch directory, the programs on PATH.
# SPDX-License-Identifier: MIT
#
# A test script begins with
#     . "${L2_SRC:?}/tests/lib.sh"
# and ends with finish. Environment: L2_SRC the source tree, L2_BIN the directory of the programs,
# L2_SHARED the shared data or empty, L2_CC a C compiler, L2_FULL=1 for all of what is else sampled.
# The script runs in L2_TMP, an empty scratch directory.

set -u
: "${L2_SRC:?is not set: run the tests with make check}" "${L2_BIN:?is not set}"
L2_CC=${L2_CC-cc}
L2_SHARED=${L2_SHARED-}
PATH=$L2_BIN:$PATH
LC_ALL=C
# A sanitizer's finding is never taken for an expected failure.
ASAN_OPTIONS=exitcode=99${ASAN_OPTIONS:+:$ASAN_OPTIONS}
UBSAN_OPTIONS=exitcode=99:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}
TSAN_OPTIONS=exitcode=99${TSAN_OPTIONS:+:$TSAN_OPTIONS}
export PATH LC_ALL L2_SRC L2_BIN L2_SHARED ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

L2_TMP=$(mktemp -d "${TMPDIR:-/tmp}/l2-test.XXXXXX") || exit 99
export L2_TMP
trap 'rm -rf "$L2_TMP"' EXIT
trap 'exit 99' HUP INT TERM
cd "$L2_TMP" || exit 99

# The number of results so far is in a file, so that a result in a subshell or a pipe counts, too.
echo 0 >"$L2_TMP/.results"

# next_result: counts one more, in l2_count
next_result() {
    read -r l2_count <"$L2_TMP/.results"
    l2_count=$((l2_count + 1))
    echo "$l2_count" >"$L2_TMP/.results"
}

# pass DESC; fail DESC: one result
pass() {
    next_result
    printf 'ok %d - %s\n' "$l2_count" "$1"
}

fail() {
    next_result
    printf 'not ok %d - %s\n' "$l2_count" "$1"
}

# diag TEXT...: lines of explanation after a result
diag() {
    printf '%s\n' "$@" | sed 's/^/# /'
}

# skip DESC WHY
skip() {
    next_result
    printf 'ok %d - %s # SKIP %s\n' "$l2_count" "$1" "$2"
}

# ok DESC COMMAND...: passes when the command exits with 0. What it prints is in ./stdout and ./stderr
# of L2_TMP afterwards.
ok() {
    l2_desc=$1
    shift
    l2_status=0
    "$@" >"$L2_TMP/stdout" 2>"$L2_TMP/stderr" || l2_status=$?
    if [ "$l2_status" -eq 0 ]; then
        pass "$l2_desc"
    else
        fail "$l2_desc"
        diag "exit status $l2_status: $*"
        head -n 20 "$L2_TMP/stderr" | sed 's/^/#   /'
    fi
}

# is DESC EXPECTED ACTUAL: passes when the two strings are equal
is() {
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1"
        diag "expected: $2" "     got: $3"
    fi
}

# same DESC EXPECTED_FILE ACTUAL_FILE: passes when the two files are equal
same() {
    if cmp -s "$2" "$3"; then
        pass "$1"
    else
        fail "$1"
        diff -u "$2" "$3" 2>&1 | head -n 20 | sed 's/^/#   /'
    fi
}

# fails STATUS PATTERN DESC COMMAND...: passes when the command exits with that status and some line on
# its standard error matches the extended regular expression. Output as with ok.
fails() {
    l2_want=$1 l2_pattern=$2 l2_desc=$3
    shift 3
    l2_status=0
    "$@" >"$L2_TMP/stdout" 2>"$L2_TMP/stderr" || l2_status=$?
    if [ "$l2_status" -ne "$l2_want" ]; then
        fail "$l2_desc"
        diag "expected exit status $l2_want, got $l2_status: $*"
        head -n 20 "$L2_TMP/stderr" | sed 's/^/#   /'
    elif ! grep -Eq -e "$l2_pattern" "$L2_TMP/stderr"; then
        fail "$l2_desc"
        diag "no line of standard error matches: $l2_pattern"
        head -n 20 "$L2_TMP/stderr" | sed 's/^/#   /'
    else
        pass "$l2_desc"
    fi
}

# have COMMAND: true when it is installed
have() {
    command -v "$1" >/dev/null 2>&1
}

# finish: prints the plan. The verdict is in the lines above it, so the status is 0.
finish() {
    read -r l2_count <"$L2_TMP/.results"
    printf '1..%d\n' "$l2_count"
    exit 0
}
