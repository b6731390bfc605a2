#!/bin/sh
# Builds l2 and runs its main job on a small model: answers to a few prompts are sampled, scored, and the
# best one of each is kept.
# SPDX-License-Identifier: MIT
#
#   sh examples/quickstart.sh
#
# As root on Debian, packages that are missing are installed first. It builds in ./build, or where
# L2_BUILD says, and writes nothing else. The model is the 260K-parameter stories260K out of the shared data
# (L2_SHARED, by default ../shared beside the source tree).

set -eu
src=$(cd "$(dirname "$0")/.." && pwd)
build=${L2_BUILD:-$src/build}
shared=${L2_SHARED-$src/../shared}
stories=$shared/data/stories260K

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

# ---- packages and build ----

packages="gcc libc6-dev make autoconf automake pkg-config libpcre2-dev libzstd-dev libopenblas-dev libyaml-dev libcbor-dev libjansson-dev libutf8proc-dev"
# shellcheck disable=SC2086 # a list
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && ! dpkg-query -W $packages >/dev/null 2>&1; then
    say "Installing what the build needs"
    apt-get update -q </dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages </dev/null
fi

say "Building in $build"
mkdir -p "$build"
log=$build/quickstart.log
(
    [ -x "$src/configure" ] || "$src/bootstrap"
    cd "$build"
    [ -f Makefile ] || "$src/configure" -q
    make -j "$(getconf _NPROCESSORS_ONLN)"
) >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "quickstart: the build failed; all of its output is in $log" >&2
    exit 1
}
PATH=$build/cmd:$PATH
l2-generate --version

# ---- a model, a reward model, prompts ----

work=$(mktemp -d "${TMPDIR:-/tmp}/l2-quickstart.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

if [ -d "$stories/hf" ]; then
    ln -s "$stories/hf" model
    cp "$stories/tok512.model" tokenizer.model
else
    say "The model stories260K is missing (looked for $stories): this run takes a model with random weights, which writes nonsense."
    cp "$src/tests/golden/small.model" tokenizer.model
    l2-model init -q -z tokenizer.model -s 1 -o model "$src/examples/presets/tiny.yaml"
fi
l2-model to-reward -q -s 1 -o rm model

cat >prompts.jsonl <<'PROMPTS'
{"id": "lily", "prompt": "Once upon a time, there was a little girl named Lily. She"}
{"id": "ball", "prompt": "Tom and Sam saw a big red ball in the park. Tom"}
{"id": "cat", "prompt": "The cat was very sad. It"}
PROMPTS

# run COMMAND-LINE: shows it, then runs it
run() {
    printf '$ %s\n' "$1"
    sh -c "$1"
}

# ---- the main job ----

say "The model"
run 'l2-model show -q model | head -n 12'

say "The prompts"
run 'cat prompts.jsonl'

say "16 completions for each, scored by a reward model (new, untrained), the best one of each kept"
run 'l2-tokenize -z tokenizer.model prompts.jsonl |
    l2-generate -m model -k 16 -n 60 -s 1 |
    l2-score -m rm --as reward |
    l2-rsample --best 1 --by reward -o best.l2s'

say "The result as text"
run 'l2-tokenize -q -d -z tokenizer.model --lines best.l2s'

say "The same as JSONL, with scores and how each was made"
run 'l2-tokenize -q -d -z tokenizer.model best.l2s | cut -c 1-300'

say "What the stream holds, and how it came about"
run 'l2-cat --stats best.l2s'

say "Next: man $src/man/l2.7, or l2-generate --help with PATH=$build/cmd:\$PATH"
