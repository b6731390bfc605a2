#!/bin/sh
# Builds l2 and runs its main job: answers to a few prompts are sampled, scored by two reward models, and the best
# one of each is kept.
# SPDX-License-Identifier: MIT
#
#   sh examples/quickstart.sh [MODELS [PROMPTS.jsonl]]
#
# As root on Debian, packages that are missing are installed first. It builds in ./build, or where
# L2_BUILD says, leaves its results in quickstart/ there, and writes nothing else. With L2_BIN, a directory of programs
# that are built already, it installs and builds nothing.
#
# MODELS is a directory with the model chat and the reward models helpful and safe, by default the small ones of
# examples/models. TEMPLATE names their chat template, TOKENS how long an answer may be.

set -eu
export LC_ALL=C
src=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${L2_BUILD:-$src/build}"
build=$(cd "${L2_BUILD:-$src/build}" && pwd)
template=${TEMPLATE:-llama2}
case ${1-} in
-*) echo "usage: sh quickstart.sh [models [prompts.jsonl]]" >&2 && exit 2 ;;
esac
models=${1:-$src/examples/models} prompts=${2:-$src/examples/prompts.jsonl}
if [ $# -gt 0 ]; then
    for m in chat helpful safe; do
        [ -f "$models/$m/config.json" ] || { echo "quickstart: $models has no model $m" >&2 && exit 1; }
    done
    models=$(cd "$models" && pwd)
fi

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

# ---- packages and build ----

packages="gcc libc6-dev make autoconf automake pkg-config libpcre2-dev libzstd-dev libopenblas-dev libyaml-dev libcbor-dev libjansson-dev libutf8proc-dev gnuplot-nox"
log=$build/quickstart.log
: >"$log"

# logged WHAT COMMAND...: its output goes to the log, of which the end is shown when it fails
logged() {
    what=$1
    shift
    "$@" >>"$log" 2>&1 </dev/null || {
        tail -n 30 "$log" >&2
        echo "quickstart: $what failed; all of its output is in $log" >&2
        exit 1
    }
}

programs=$build/cmd
if [ -n "${L2_BIN-}" ]; then
    programs=$(cd "$L2_BIN" && pwd)
else
    # shellcheck disable=SC2086 # a list
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && ! dpkg-query -W $packages >/dev/null 2>&1; then
        say "Installing the packages that the build needs"
        logged 'apt-get update' apt-get update -q
        logged 'apt-get install' env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages
    fi

    say "Building in $build, which takes a minute"
    # set -e is off in a function that || follows, so it is a shell of its own.
    export src build
    logged 'the build' sh -ec '
        [ -x "$src/configure" ] || "$src/bootstrap"
        cd "$build"
        [ -f Makefile ] || "$src/configure" -q
        make -j "$(getconf _NPROCESSORS_ONLN)"'
fi
PATH=$programs:$PATH

# ---- models and prompts ----

mkdir -p "$build/quickstart"
cp "$prompts" "$build/quickstart/prompts.jsonl"
cd "$build/quickstart"
rm -rf models
if [ -d "$models" ]; then
    ln -s "$models" models
else
    say "The models that ship with l2 are not in $models: models with random weights take their place, which write nonsense."
    mkdir models
    l2-model init -q -z "$src/tests/golden/small.model" -s 1 -o models/chat "$src/examples/presets/tiny.yaml"
    l2-model to-reward -q -s 1 -o models/helpful models/chat
    l2-model to-reward -q -s 2 -o models/safe models/chat
fi

# ---- the main job ----

job="l2-tokenize -z models/chat --template $template prompts.jsonl |
  l2-generate -m models/chat -k 16 -n ${TOKENS:-32} -s 1 |
  l2-score -m models/helpful --as helpful |
  l2-score -m models/safe --as safe --force -o scored.l2s"
best="l2-rsample --by llama2:safe,helpful --safety-tag risky scored.l2s |
  l2-tokenize -d -z models/chat --force -o best.jsonl"
# Summaries come on standard error, errors, too: they are shown when something fails.
{ sh -c "$job" && sh -c "$best"; } 2>log || { cat log >&2 && exit 1; }

summary=$(sed -n 's/.*"program":"l2-generate","records":\([0-9]*\),.*"completions":\([0-9]*\),"new_tokens":\([0-9]*\),.*/\1 prompts, \2 answers, \3 tokens/p' log)
# The stages run at the same time: the last of them ends as late as all.
seconds=$(sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p' log | sort -n | tail -n 1)
say "$summary, each answer scored by two reward models: $seconds s"
l2-rsample -q --best 16 --by llama2:safe,helpful --safety-tag risky scored.l2s | l2-tokenize -q -d -z models/chat |
    awk -v scores="helpful safe" -v width=50 -f "$src/examples/show.awk"

say "What more samples bring: the reward of the best of N answers, and of the median one"
l2-rsample -q --curve --by llama2:safe,helpful --safety-tag risky scored.l2s >curve.jsonl
awk '
    function field(name) {
        return match($0, "\"" name "\":[-+.0-9eE]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : 0
    }
    NR == 1 { print "     N     best   median" }
    { n[NR] = field("n"); max[NR] = field("max"); median[NR] = field("median") }
    END {
        low = median[1]
        for (i = 1; i <= NR; i++) if (median[i] < low) low = median[i]
        step = (max[NR] - low) / 40
        for (i = 1; i <= NR; i++) {
            bar = sprintf("%*s", 1 + (step > 0 ? (max[i] - low) / step : 0), "")
            gsub(/ /, "#", bar)
            printf "%6d %+8.2f %+8.2f  %s\n", n[i], max[i], median[i], bar
        }
    }' curve.jsonl
if command -v gnuplot >/dev/null; then
    l2-plot curve -q --title "Reward of the best of N" --force -o reward.svg curve.jsonl
    echo "The same as a picture: $build/quickstart/reward.svg"
else
    echo "With gnuplot installed there would be a picture of this, too."
fi

say "The lines that did it, to copy; the answers are in best.jsonl"
printf '  cd %s && PATH=%s:$PATH\n' "$build/quickstart" "$programs"
printf '%s\n%s\n' "$job" "$best" | sed 's/^/  /'

say "Next: man $src/man/l2.7, README.md, examples/rounds.sh"
