#!/bin/sh
# Runs the fuzz targets on their corpora and on good files: whole, cut and with bits flipped.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

golden=$L2_SRC/tests/golden
targets=$L2_BIN/../tests/fuzz
if "$targets/fuzz_stream" 0 0 /dev/null 2>&1 | grep -q INFO; then
    skip 'corpora' 'the targets are linked with libFuzzer'
    finish
    exit
fi
prefixes=150 flips=300
[ -z "${L2_FULL-}" ] || prefixes=100000 flips=10000

# replay TARGET FILE...: the files, and those of the target's corpus
replay() {
    target=$1
    shift
    for f in "$L2_SRC/tests/fuzz/corpus/$target"/*; do
        [ -f "$f" ] && set -- "$@" "$f"
    done
    ok "$target: $# files" "$targets/fuzz_$target" $prefixes $flips "$@"
}

l2-cat -q --from-json -o small.l2s "$golden/stream.jsonl"
cat small.l2s small.l2s >two.l2s
# the format's promise is for every bit of a small stream
ok 'stream: every prefix and 10,000 flips' "$targets/fuzz_stream" 100000 10000 small.l2s
replay stream two.l2s
zstd -q -d -c small.l2s 2>/dev/null | head -c 100000 >items
replay record items
i=0
while IFS= read -r line; do
    i=$((i + 1))
    printf '%s\n' "$line" >"line-$i.json"
done <"$golden/stream.jsonl"
replay json line-*.json
replay vocab "$golden/small.model" "$golden"/tokenizer/*.json
replay safetensors "$golden"/checkpoint/*/*.safetensors
replay config "$golden"/checkpoint/*/config.json
for type in F32 BF16 Q8_0; do
    l2-model convert -q --dtype $type -z "$golden/small.model" -o checkpoint-$type.gguf "$golden/checkpoint/hf-f32" 2>/dev/null ||
        l2-model convert -q --dtype $type -o checkpoint-$type.gguf "$golden/checkpoint/hf-f32"
done
replay model "$golden"/checkpoint/*.bin
replay gguf checkpoint-*.gguf
replay meta "$golden/tiny.pth"
replay template
replay tokjson "$golden"/tokenizer/*.json
printf 'tagged || "a b" < logit(0.15) ? min(r, 2, -x) : sigmoid(length / 1e2) * 3' >expression
replay expr expression
replay rules "$L2_SRC"/examples/rules/*.yaml
replay constraints "$L2_SRC/examples/gatt/constraints.yaml"
replay preprompts "$L2_SRC/examples/preprompts.yaml"
replay near "$L2_SRC/README.md"
finish
