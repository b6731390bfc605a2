#!/bin/sh
# Options from files, and the rules of the command line that all programs share.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

# setting KEY ARGUMENT...: what --print-config says of it
setting() {
    l2_key=$1
    shift
    "$@" --print-config 2>&1 | sed -n "s/^ *$l2_key: //p"
}

mkdir dir
cat >dir/run.yaml <<'YAML'
threads: 3
quiet: true
batch: 7
l2-generate:
  temperature: 0.5
  seed: 18446744073709551615
  model: models/chat
  kv-memory: 2M
  no-logprobs: true
  eos: [5, 6]
l2-score:
  model: /rm
YAML
c='--config dir/run.yaml'
# shellcheck disable=SC2086 # $c is two words
{
    is 'a key on top' 3 "$(setting threads l2-generate $c)"
    is 'reaches every program' 3 "$(setting threads l2-score $c)"
    is 'of those that have it' '' "$(setting threads l2-cat $c)"
    is 'a key of the section' 0.5 "$(setting temperature l2-generate $c)"
    is 'a size' 2097152 "$(setting kv-memory l2-generate $c)"
    is 'the largest seed' 18446744073709551615 "$(setting seed l2-generate $c)"
    is "a relative path starts at the file's directory" "\"$PWD/dir/models/chat\"" "$(setting model l2-generate $c)"
    is 'an absolute one stays' '"/rm"' "$(setting model l2-score $c)"
    is 'on the command line it starts at the working directory' "\"$PWD/x\"" "$(setting model l2-score $c -m x)"
    is 'the command line wins' 1.5 "$(setting temperature l2-generate $c -T 1.5)"
    is 'wherever --config stands' 1.5 "$(setting temperature l2-generate -T 1.5 $c)"
    is '--no-NAME takes a flag back' false "$(setting quiet l2-generate $c --no-quiet)"
    is 'and --NAME one that begins with no' false "$(setting no-logprobs l2-generate $c --logprobs)"
    is '-v wins over quiet in the file' true "$(setting verbose l2-generate $c -v)"
    printf 'l2-generate:\n  temperature: 2\n' >later.yaml
    is 'a later file wins' 2.0 "$(setting temperature l2-generate $c --config later.yaml)"
    is 'and leaves the rest' 7 "$(setting batch l2-generate $c --config later.yaml)"
    fails 2 'exclude each other' '-q and -v at once' l2-generate -q -v -m x
}
cat >sub.yaml <<'YAML'
l2-model:
  seed: 1
  init: {seed: 2, dtype: BF16}
YAML
is "a subcommand's section wins over its program's" 2 "$(setting seed l2-model init --config sub.yaml)"
is 'which counts for the other subcommands' 1 "$(setting seed l2-model to-reward --config sub.yaml)"

bad() { # LINE:COLUMN PATTERN YAML
    printf '%b' "$3" >bad.yaml
    fails 2 "^l2-generate: bad.yaml:$1: $2" "$2" l2-generate --config bad.yaml
}
bad 2:3 "unknown key 'temprature'" 'l2-generate:\n  temprature: 1\n'
bad 1:1 "unknown key 'temperature' .here stand" 'temperature: 1\n'
bad 2:16 'temperature: want a number from 0 to [0-9e+]*, got .hot' 'l2-generate:\n  temperature: hot\n'
bad 1:10 "threads: want a whole number from 1 to 1024, got '0'" 'threads: 0\n'
bad 1:1 "'config' is for the command line only" 'config: other.yaml\n'
bad 2:1 "key 'threads' is given twice" 'threads: 1\nthreads: 2\n'
bad 1:14 'want keys with values' 'l2-generate: 3\n'
bad 2:1 'not YAML' 'l2-generate: [\n'
fails 1 'no-such.yaml: cannot open' 'a file that is not there' l2-generate --config no-such.yaml
fails 1 'dir: cannot read' 'a directory' l2-generate --config dir
printf '\377\376x' >binary.yaml
fails 2 'binary.yaml' 'bytes that are not text' l2-generate --config binary.yaml
# A thousand names for one thing, ten times over, ten times over, and so on: nothing is unfolded.
{
    printf 'a: &a [x,x,x,x,x,x,x,x,x,x]\n'
    last=a
    for n in b c d e f g h i j; do
        printf '%s: &%s [*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s]\n' $n $n $last $last $last $last $last $last $last $last $last $last
        last=$n
    done
} >bomb.yaml
fails 2 "unknown key 'a'" 'aliases of aliases are not unfolded' l2-generate --config bomb.yaml

# ---- the command line ----

fails 2 "^l2-generate: --threads: want a whole number from 1 to 1024, got '0'" 'a number out of range' l2-generate -j 0
fails 2 "got '1x'" 'a number with something behind it' l2-generate -j 1x
fails 2 "got ''" 'an empty number' l2-generate -j ''
fails 2 "got '99999999999999999999'" 'a number that does not fit' l2-generate -k 99999999999999999999
fails 2 'got .nan' 'no number' l2-generate -T nan
fails 2 "--backend: want one of native, blas, got 'gpu'" 'a choice' l2-generate --backend gpu
fails 2 'option --t is ambiguous: ' 'a name cut too short' l2-generate --t 1
is 'a name cut short' 0.25 "$(setting temperature l2-generate --temp 0.25)"
is 'an option behind an operand' 0.25 "$(setting temperature l2-generate operand -T 0.25)"
fails 2 'want a model' 'a model is needed' l2-generate --level 3
fails 2 "Try 'l2-model init --help'" 'a subcommand names itself' l2-model init --no-such
fails 2 "want a subcommand out of show, init, .*, hash, got 'make'" 'an unknown subcommand' l2-model make
fails 2 'want a subcommand: show' 'no subcommand' l2-model
# What a message quotes cannot act on a terminal.
name=$(printf 'a\033[31mb\n\302\233c\377')
fails 1 "^l2-cat: a[?]\[31mb[?][?]+c[?]: cannot open" 'control characters in a message are masked' l2-cat "$name"
finish
