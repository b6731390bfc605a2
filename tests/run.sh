#!/bin/sh
# Builds l2 in a scratch directory and runs its tests. The last line is "N passed, N failed, N skipped".
# SPDX-License-Identifier: MIT
#
#   sh tests/run.sh          one build with the default compiler, all tests
#   sh tests/run.sh --full   also make distcheck, a build with clang, and builds with the address,
#                            undefined behaviour and thread sanitizers
#
# As root on Debian, packages that are missing are installed first. The source tree is not written
# to: it is copied. L2_SHARED names the shared data (default: ../shared beside the source tree, where it is
# there); L2_KEEP=1 keeps the scratch directory.

set -u
src=$(cd "$(dirname "$0")/.." && pwd) || exit 1
full=no
case ${1-} in
'') ;;
--full) full=yes ;;
*)
    echo "usage: sh tests/run.sh [--full]" >&2
    exit 2
    ;;
esac

if [ -z "${L2_SHARED+set}" ]; then
    L2_SHARED=
    [ -f "$src/../shared/DATA.md" ] && L2_SHARED=$(cd "$src/../shared" && pwd)
fi
export L2_SHARED

say() {
    printf '== %s\n' "$*"
}

# ---- packages ----

build_packages="gcc libc6-dev make autoconf automake pkg-config libpcre2-dev libzstd-dev libopenblas-dev
    libyaml-dev libcbor-dev libjansson-dev libutf8proc-dev"
test_packages="libcmocka-dev python3 jq zstd mandoc gnuplot-nox sentencepiece python3-sentencepiece
    manpages manpages-dev manpages-de manpages-es manpages-fr manpages-ja manpages-pl manpages-ru manpages-zh"
full_packages="clang"

# install PACKAGE...: those that are not there yet
install() {
    missing=
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' ||
            missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    # shellcheck disable=SC2086 # a list
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing \
        </dev/null >>"$scratch/apt.log" 2>&1 && return 0
    # One that does not exist must not keep out the others.
    for p in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$p" \
            </dev/null >>"$scratch/apt.log" 2>&1 || say "no package $p"
    done
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/l2-run.XXXXXX") || exit 1
cleanup() {
    if [ -n "${L2_KEEP-}" ]; then
        say "kept $scratch"
    else
        chmod -R u+w "$scratch" 2>/dev/null
        rm -rf "$scratch"
    fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    packages="$build_packages $test_packages"
    [ $full = yes ] && packages="$packages $full_packages"
    # shellcheck disable=SC2086
    if ! dpkg-query -W $packages >/dev/null 2>&1; then
        apt-get update -q </dev/null >>"$scratch/apt.log" 2>&1 || say "apt-get update failed"
        # shellcheck disable=SC2086
        install $packages
    fi
fi

# ---- sources ----

mkdir "$scratch/src" || exit 1
if [ -e "$src/.git" ] && command -v git >/dev/null 2>&1 &&
    git -c safe.directory="$src" -C "$src" ls-files -co --exclude-standard >"$scratch/files" 2>/dev/null; then
    (cd "$src" && while IFS= read -r f; do [ -f "$f" ] && printf '%s\n' "$f"; done <"$scratch/files" |
        tar cf - -T -) | (cd "$scratch/src" && tar xf -)
else
    (cd "$src" && tar cf - .) | (cd "$scratch/src" && tar xf -)
fi

passed=0 failed=0 skipped=0
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

# broken NAME LOG: a step that is not a test failed
broken() {
    failed=$((failed + 1))
    say "$1 failed; the end of its output:"
    tail -n 60 "$2"
}

# count DIRECTORY: adds up the results that make check left there
count() {
    set -- $(find "$1" -name '*.trs' -exec cat {} + | awk '
        /^:test-result: (PASS|XFAIL)/ { p++ }
        /^:test-result: (FAIL|XPASS|ERROR)/ { f++ }
        /^:test-result: SKIP/ { s++ }
        END { print p + 0, f + 0, s + 0 }')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    say "$1 passed, $2 failed, $3 skipped"
}

# check NAME CONFIGURE-ARGUMENT...: builds and tests in a directory of its own
check() {
    name=$1
    shift
    dir=$scratch/$name
    log=$scratch/$name.log
    say "$name: configure $*"
    mkdir "$dir" || exit 1
    if ! (cd "$dir" && "$scratch/src/configure" -q --enable-werror "$@") >"$log" 2>&1; then
        broken "configure ($name)" "$log"
        return
    fi
    if ! make -C "$dir" -j "$jobs" all >"$log" 2>&1; then
        broken "make ($name)" "$log"
        return
    fi
    if make -C "$dir" -j "$jobs" check >"$log" 2>&1; then
        count "$dir"
        return
    fi
    grep -E '^(FAIL|ERROR|XPASS):' "$log"
    if [ -f "$dir/test-suite.log" ]; then
        grep -v -E '^(ok|PASS|SKIP)' "$dir/test-suite.log" | tail -n 100
    fi
    before=$failed
    count "$dir"
    [ $failed -gt $before ] || broken "make check ($name)" "$log"
}

# ---- the work ----

say "bootstrap"
if ! "$scratch/src/bootstrap" >"$scratch/bootstrap.log" 2>&1; then
    broken bootstrap "$scratch/bootstrap.log"
else
    check default
    if [ $full = yes ]; then
        export L2_FULL=1 # every fault, not a sample
        check clang CC=clang
        # gcc's warnings see less under sanitizers and are wrong at times
        check sanitize --enable-sanitize --disable-werror CFLAGS='-g -O1'
        check sanitize-clang CC=clang --enable-sanitize CFLAGS='-g -O1'
        check thread CC=clang --enable-sanitize=thread CFLAGS='-g -O1'
        say "distcheck"
        if make -C "$scratch/default" -j "$jobs" distcheck >"$scratch/distcheck.log" 2>&1; then
            passed=$((passed + 1))
        else
            broken distcheck "$scratch/distcheck.log"
        fi
    fi
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
