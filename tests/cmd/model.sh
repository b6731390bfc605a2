# l2-model: what it writes is read by an independent reader; what it refuses.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

presets=$L2_SRC/examples/presets
golden=$L2_SRC/tests/golden
reader() {
    python3 "$L2_SRC/tests/model_reader.py" "$@"
}
init() {
    l2-model init -q --presets "$presets" "$@"
}

# init
ok "init writes a preset" init tiny -o tiny -s 7
ok "the directory holds to the specification" reader check tiny
is "its summary" '{"architecture": "LlamaForCausalLM", "dtype": "F32", "parameters": 260032, "files": 1, "eos": 2, "reward_eos": "unknown"}' \
    "$(cat stdout)"
ok "the values are the documented ones" reader random tiny 7 0.02
ok "one thread writes" init tiny -o tiny1 -s 7 -j 1
ok "three threads write" init tiny -o tiny3 -s 7 -j 3
same "the same bits" tiny1/model.safetensors tiny3/model.safetensors
same "and again" tiny1/model.safetensors tiny/model.safetensors
ok "another seed" init tiny -o tiny8 -s 8 --std 0.1
if cmp -s tiny/model.safetensors tiny8/model.safetensors; then fail "other weights"; else pass "other weights"; fi
ok "with its own values" reader random tiny8 8 0.1
for dtype in F16 BF16; do
    ok "init --dtype $dtype" init tiny -o "tiny-$dtype" -s 7 --dtype $dtype --shard-size 100K
    ok "$dtype in shards holds to the specification" reader check "tiny-$dtype"
    is "$dtype: files" 6 "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["files"])' <stdout)"
done
ok "fields replace the preset's" init tiny -o wide --dim 32 --hidden 48 --n-layers 2 --n-heads 4 \
    --n-kv-heads 1 --head-dim 16 --vocab-size 300 --context 77 --no-tied --norm-eps 1e-6 \
    --rope-theta 5e5 --bos 5 --eos 6
ok "fields are in config.json" reader check wide
ok "show --json of it" l2-model show -q --json wide
python3 - stdout <<'E2' >got
import json, sys
m = json.load(open(sys.argv[1]))
print(*[m[k] for k in ("dim", "hidden", "n_layers", "n_heads", "n_kv_heads", "head_dim", "vocab_size", "context",
                       "norm_eps", "rope_theta", "tied", "bos", "eos", "parameters", "flops_per_token")])
print(m["tensors"][2], len(m["tensors"]))
E2
cat >want <<'E2'
32 48 2 4 1 16 300 77 1e-06 500000.0 False 5 [6] 38816 58112
{'name': 'model.layers.0.self_attn.q_proj.weight', 'dtype': 'F32', 'shape': [64, 32]} 21
E2
same "show says what was asked for" want got
# 2 layers, one head of 16, and for q8 two scales
for row in '64 f32 256' '64 bf16 128' '65 bf16 128' '1 q8 80'; do
    set -- $row
    ok "show: $1 positions in $2" l2-model show -q --json --positions $1 --kv-type $2 --batch 3 wide
    is "as many bytes a position, in whole blocks" "$3 $(($3 * 64 * 3 * (($1 + 63) / 64)))" \
        "$(python3 -c 'import json, sys; m = json.load(sys.stdin); print(m["kv_bytes_per_token"], m["kv_bytes"])' <stdout)"
done
printf 'dim: 16\nhidden: 20\nn_layers: 1\nn_heads: 4\nvocab_size: 30\ncontext: 9\n' >own.yaml
ok "a preset of one's own" init ./own.yaml -o own --vocab-size 31
ok "shows it" l2-model show -q own
is "with the fields that follow" "4 4 31 false" \
    "$(awk '/^n_kv_heads|^head_dim|^vocab_size|^tied/ { printf "%s%s", s, $2; s = " " }' stdout)"
ok "init -z takes the vocabulary in" init tiny -o withvocab -z "$golden/small.model" --vocab-size 600
same "as it was" "$golden/small.model" withvocab/tokenizer.model
ok "show says which one" l2-model show -q withvocab
if grep -Eq '^vocabulary  *512 ids, sha256 [0-9a-f]{64}$' stdout; then pass "its size and hash"; else fail "its size and hash"; fi

# refusals
fails 1 'tiny: exists already' "an existing model is refused" init tiny -o tiny
ok "and replaced with --force" init tiny -o tiny1 -s 9 --force
ok "by a whole one" reader random tiny1 9 0.02
mkdir precious && : >precious/letter
fails 1 'precious: is not replaced: it has no config.json' "not everything is replaced" init tiny -o precious --force
if [ -e precious/letter ]; then pass "what was there stays"; else fail "what was there stays"; fi
fails 2 'no preset 8b' "an unknown preset" init 8b -o x
fails 2 'want -o PATH' "no output" init tiny
fails 2 'want one preset, got 0 operands' "no preset" init -o x
fails 2 'got 2 operands' "two presets" init tiny tiny -o x
fails 1 'dim 65 is not a multiple of 8 heads' "sizes that do not agree" init tiny --dim 65 -o x
fails 2 'vocab-size 100 is less than the vocabulary.s 512' "a vocabulary that does not fit" \
    init tiny -z "$golden/small.model" --vocab-size 100 -o x
fails 1 'nowhere/x.tmp-[0-9]*: cannot create directory: No such file' "a directory that is not there" \
    init tiny -o nowhere/x
printf 'dim: 8\nheads: 1\n' >bad.yaml
fails 1 'bad.yaml:2:1: unknown field heads' "an unknown field" init ./bad.yaml -o x
if (ulimit -f 100 && trap '' XFSZ && ! init tiny -o x 2>stderr) && grep -q 'cannot write: File too large' stderr; then
    pass "a full disk is told"
else
    fail "a full disk is told"
fi
is "nothing is left of what failed" "" "$(ls -d x ./*tmp* 2>/dev/null)"

# to-reward
ok "to-reward" l2-model to-reward -q wide -o rm -s 3 --eos present
ok "the reward model holds to the specification" reader check rm
is "its summary" '{"architecture": "LlamaForSequenceClassification", "dtype": "F32", "parameters": 29248, "files": 1, "eos": 6, "reward_eos": true}' \
    "$(cat stdout)"
ok "all else is as it was" reader same wide rm lm_head.weight
ok "to-reward of BF16 shards" l2-model to-reward -q tiny-BF16 -o rm16 --eos absent -z "$golden/small.model"
ok "stays BF16" reader same tiny-BF16 rm16
ok "shows its convention" l2-model show -q rm16
is "as absent" absent "$(awk '/^reward_eos/ { print $2 }' stdout)"
same "with the vocabulary given" "$golden/small.model" rm16/tokenizer.model
ok "to-reward keeps a vocabulary" l2-model to-reward -q withvocab -o rmv
same "of the model" "$golden/small.model" rmv/tokenizer.model
for bin in v0-untied v1-tied; do
    ok "to-reward of llama2.c $bin" l2-model to-reward -q "$golden/checkpoint/$bin.bin" -o "rm-$bin"
    ok "rows are in Hugging Face order" reader same "$golden/checkpoint/hf-f32" "rm-$bin" lm_head.weight
done
for d in hf-f32 hf-bf16-sharded; do
    if [ -n "$L2_SHARED" ]; then
        ok "to-reward of $d" l2-model to-reward -q "$L2_SHARED/golden/gqa64/$d" -o "rm-$d"
        ok "keeps its values" reader same "$L2_SHARED/golden/gqa64/$d" "rm-$d" lm_head.weight
    else
        skip "to-reward of $d" "the shared data is absent"
    fi
done
fails 1 'rm: has label scores already' "a reward model is refused" l2-model to-reward rm -o x

# what cannot be shown
fails 1 'nowhere: cannot open model: No such file' "a missing model" l2-model show nowhere
fails 1 'precious: not a model: has no config.json' "a directory that is none" l2-model show precious
cp -r tiny cut && head -c 5000 tiny/model.safetensors >cut/model.safetensors
fails 1 'cut/model.safetensors: byte 5000: .*ends (inside|past)' "a cut model" l2-model show cut
fails 1 'neither a Hugging Face directory nor a GGUF file nor a llama2.c checkpoint' "another file" l2-model show own.yaml
printf 'junk' >rmv/tokenizer.model
fails 1 'rmv/tokenizer.model' "a broken vocabulary" l2-model show rmv
finish
