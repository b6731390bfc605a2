#!/bin/sh
# What l2-model writes, read back by others: logits of the reference in PyTorch for models merged, and converted from every format.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

if [ -z "$L2_SHARED" ]; then
    skip "logits of the reference" "the shared data is absent"
    finish
    exit
fi
if ! /usr/bin/python3 -c 'import numpy, torch' 2>/dev/null; then
    skip "logits of the reference" "python3-torch is absent"
    finish
    exit
fi
golden=$L2_SHARED/golden
# torch DESC WORD WRITTEN ARGUMENT...: a case for the reference, which is started once, at the end
torch() {
    echo "$1" >>descriptions
    shift
    echo "$@" >>cases
}
ids="1 5 17 200 33 8 250 99 4 310 7 7 64 12 181 222 3 90 41 300"

# hidden MODEL OUT.npy: l2's hidden states at every one of ids
hidden() {
    # shellcheck disable=SC2086
    printf '{"id":0,"prompt":[%s],"completions":[]}\n' "$(echo $ids | tr ' ' ',')" | l2-cat -q --from-json |
        l2-embed -q -m "$1" --pooling none --activations f32 --kv-type f32 --npy "$2" --ids "$2.ids"
}

# agrees DESC MODEL WRITTEN: the directory gives the logits that l2 computes with the model it was made from
agrees() {
    ok "$2: hidden states" hidden "$2" hidden-"$3".npy
    # shellcheck disable=SC2086
    torch "$1" hidden "$3" hidden-"$3".npy $ids
}

# Hugging Face directories
ok "F32 of F32" l2-model convert -q --dtype F32 -o f32 "$golden/gqa64/hf-f32"
torch "gives the golden logits" golden f32 logits
ok "BF16, in shards" l2-model convert -q --dtype BF16 --shard-size 60K -o bf16 "$golden/gqa64/hf-f32"
agrees "gives what l2 computes" bf16 bf16
ok "of stories, tied" l2-model convert -q --dtype F32 -o stories "$L2_SHARED/data/stories260K/hf"
agrees "gives what l2 computes" "$L2_SHARED/data/stories260K/hf" stories

# Meta's
ok "of two .pth" l2-model convert -q --dtype F32 -o meta "$golden/gqa64/meta-2shard"
torch "gives the golden logits of BF16" golden meta logits_bf16_weights
agrees "and what l2 computes" "$golden/gqa64/meta-2shard" meta

# llama2.c's
ok "of a .bin" l2-model convert -q --dtype F32 -o bin "$L2_SHARED/data/stories260K/stories260K.bin"
agrees "gives what l2 computes" "$L2_SHARED/data/stories260K/stories260K.bin" bin

# GGUF
for type in F16 Q8_0 Q4_K_M; do
    ok "of $type" l2-model convert -q --dtype F32 -o "gguf-$type" "$golden/gguf/q-$type.gguf"
    agrees "gives what l2 computes" "$golden/gguf/q-$type.gguf" "gguf-$type"
done
ok "to GGUF" l2-model convert -q --dtype F32 -o there.gguf "$golden/gqa64/hf-f32"
ok "and back" l2-model convert -q --dtype F32 -o back there.gguf
torch "gives the golden logits" golden back logits

# merged, and made a reward model
ok "merge of F32 and BF16" l2-model merge -q --dtype F32 -o merged "$golden/gqa64/hf-f32" bf16
# shellcheck disable=SC2086
torch "gives the logits of the mean" mean merged "$golden/gqa64/hf-f32" bf16 $ids
agrees "and what l2 computes" merged merged
ok "a reward model" l2-model to-reward -q -s 3 --eos absent -o reward "$golden/gqa64/hf-f32"
# shellcheck disable=SC2086
score=$(printf '{"id":0,"prompt":[1],"completions":[{"tokens":[%s]}]}\n' "$(echo ${ids#1 } | tr ' ' ',')" | l2-cat -q --from-json |
    l2-score -q -m reward --activations f32 --kv-type f32 --as r | l2-cat -q --json | grep -o '"r":[-0-9.e]*' | cut -d: -f2)
# shellcheck disable=SC2086
torch "gives the same score" score reward "$score" $ids

OMP_NUM_THREADS=1 /usr/bin/python3 "$L2_SRC/tests/torch_logits.py" "$L2_SHARED" <cases >results
is "every case has a result" "$(wc -l <cases)" "$(wc -l <results)"
paste results descriptions cases >all
while IFS='	' read -r result description case; do
    case $result in
    pass) pass "$description (${case%% [0-9]*})" ;;
    *)
        fail "$description (${case%% [0-9]*})"
        diag "$result"
        ;;
    esac
done <all
finish
