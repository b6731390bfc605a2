# Models of every kind, read and written, against an independent implementation in numpy.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

if ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    skip "models against numpy" "python3-numpy is absent"
    finish
fi
peer() {
    /usr/bin/python3 "$L2_SRC/tests/llama_numpy.py" "$@"
}

ids="1 5 17 200 33 8 250 99 4 310 7 7 64 12 181 222 3 90 41 300 11 76 159 2 83 140 19 205 66 37 271 118"
python3 - $ids <<'E2' >text.json
import json, sys
t = [int(x) for x in sys.argv[1:]]
print(json.dumps({"id": 0, "prompt": t[:1], "completions": [{"tokens": t[1:]}]}))
E2
l2-cat -q --from-json -o text.l2s text.json

# logprobs MODEL OUT: what l2 gives, as JSON
logprobs() {
    l2-score -q --activations f32 --kv-type f32 -m "$1" --logprob sum --per-token -o out.l2s --force text.l2s &&
        l2-cat -q --json out.l2s |
        python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["completions"][0]["logprobs"]))' >"$2"
}

# agrees DESC MODEL WANT [TOLERANCE]
agrees() {
    if logprobs "$2" got.json && python3 "$L2_SRC/tests/compare.py" "${4-2e-4}" "$3" got.json; then
        pass "$1"
    else
        fail "$1"
    fi
}

kinds="plain tied biases attention-bias mlp-bias linear llama3 llama3-short head-dim mistral"
for kind in $kinds; do
    peer make $kind hf-$kind
    # shellcheck disable=SC2086
    peer logprobs hf-$kind $ids >want-$kind.json
    agrees "$kind: log-probabilities" hf-$kind want-$kind.json
done
# each kind computes something else, so that none of these agreed by accident
for kind in biases attention-bias mlp-bias linear llama3-short head-dim; do
    if python3 "$L2_SRC/tests/compare.py" 1e-2 want-plain.json want-$kind.json 2>/dev/null; then
        fail "$kind differs from plain"
    else
        pass "$kind differs from plain"
    fi
done

# written as a GGUF file, and back; both read the file alike
for kind in tied biases linear llama3 llama3-short head-dim; do
    ok "$kind: convert to GGUF" l2-model convert -q -o $kind.gguf hf-$kind
    agrees "$kind: its log-probabilities" $kind.gguf want-$kind.json
    # shellcheck disable=SC2086
    peer logprobs $kind.gguf $ids >peer.json
    ok "$kind: the peer's reader gets them, too" python3 "$L2_SRC/tests/compare.py" 2e-4 want-$kind.json peer.json
    [ $kind = llama3-short ] && continue
    ok "$kind: convert back" l2-model convert -q -o back-$kind $kind.gguf
    is "$kind: not a bit is lost" "$(l2-model hash -q hf-$kind | cut -c1-64)" "$(l2-model hash -q back-$kind | cut -c1-64)"
    # shellcheck disable=SC2086
    peer logprobs back-$kind $ids >peer.json
    ok "$kind: the peer reads the directory" python3 "$L2_SRC/tests/compare.py" 2e-4 want-$kind.json peer.json
done
fails 1 'no place in a config.json' "factors that no formula gives stay in files" \
    l2-model convert -o no llama3-short.gguf
# a factor that is no number is not covered up by those that are Llama 3.1's
/usr/bin/python3 - "$L2_SRC/tests" <<'E2'
import struct, sys
sys.path.insert(0, sys.argv[1])
from llama_numpy import open_gguf
data = bytearray(open("llama3.gguf", "rb").read())
freqs = open_gguf("llama3.gguf")[1]["rope_freqs.weight"][1].ravel()
at = data.rindex(struct.pack(f"<{len(freqs)}f", *freqs))
data[at + 8:at + 12] = struct.pack("<f", float("nan"))
open("nan.gguf", "wb").write(data)
E2
fails 1 'RoPE factor 2 is -?nan' "a RoPE factor that is no number" l2-model show nan.gguf
for dtype in F16 BF16; do
    ok "convert --dtype $dtype" l2-model convert -q --dtype $dtype --shard-size 100K -o plain-$dtype hf-plain
    # shellcheck disable=SC2086
    peer logprobs plain-$dtype $ids >peer.json
    agrees "$dtype: both readers agree" plain-$dtype peer.json
done

# quantised: the peer decodes the blocks on its own
peer make quantisable hf-q
for type in Q8_0 Q4_K Q6_K; do
    ok "quantize --type $type" l2-model quantize -q --type $type -o q-$type.gguf hf-q
    # shellcheck disable=SC2086
    peer logprobs q-$type.gguf $ids >peer.json
    agrees "$type: log-probabilities of the decoded weights" q-$type.gguf peer.json 2e-3
    l2-model compare -q --json hf-q q-$type.gguf >errors.json
    ok "$type: errors are those of the type" python3 - $type errors.json <<'E2'
import json, sys
most = {"Q8_0": 0.0056, "Q6_K": 0.019, "Q4_K": 0.076}[sys.argv[1]]
for t in json.load(open(sys.argv[2]))["tensors"]:
    matrix = "norm" not in t["name"]
    assert t["types"] == ["F32", ("Q6_K" if sys.argv[1] == "Q4_K" and "lm_head" in t["name"] else sys.argv[1])
                          if matrix else "F32"], t
    assert (0 < t["relative"] < most) if matrix else t["max"] == 0, t
E2
done
# in memory: what a type costs, of weights alone and with activations narrowed, too
tr -cd "a-z \n" <"$L2_SRC/README.md" >letters
l2-vocab -q --size 300 -o v.model letters
kl() { l2-model compare -q -z v.model --max-tokens 600 --text letters "$@" hf-q hf-q | sed -n 's/^kl //p'; }
is "a model does not differ from itself" 0 "$(kl --activations narrow)"
for type in bf16 q8_0 q8_k q6_k q4_k; do
    echo "$type $(kl --quantize $type) $(kl --quantize $type --activations narrow)"
done >costs
ok "each type costs more than the one before, and narrow activations cost, too" awk '
    { if (!($2 > weights * 1.1 && $3 > $2)) exit 1; weights = $2 }
    END { exit NR != 5 }' costs
ok "rows that are no blocks of 256 get another type" l2-model quantize -q --type Q4_K -o small.gguf hf-plain
peer types small.gguf >types.json
is "all but vectors" 16 "$(grep -o Q8_0 types.json | wc -l)"
fails 2 'Q4_K is for files: want -o FILE.gguf' "a quantised directory" l2-model convert --dtype Q4_K -o no hf-plain
fails 1 'has no form in GGUF' "a model with labels" sh -c "
    /usr/bin/python3 '$L2_SRC/tests/llama_numpy.py' make labels hf-labels
    l2-model convert -o no.gguf hf-labels"
fails 1 'small.gguf: exists already' "an existing file" l2-model convert -o small.gguf hf-plain
ok "is replaced on request" l2-model convert -q --force -o small.gguf hf-plain

# the same file as others lay it out: version 2, another alignment, tensors in another order
for layout in "2 32" "3 8" "3 256" "2 4096"; do
    # shellcheck disable=SC2086
    ok "version and alignment $layout" /usr/bin/python3 - "$L2_SRC/tests" head-dim.gguf other.gguf $layout <<'E2'
import struct, sys
sys.path.insert(0, sys.argv[1])
from llama_numpy import TYPES, Cursor
source, out, version, align = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
data = open(source, "rb").read()
cur = Cursor(data)
cur.at = 8
n_tensors, n_values = cur.take("Q"), cur.take("Q")
start = cur.at
for _ in range(n_values):
    key = cur.string()
    cur.value(cur.take("I"))
    assert key != "general.alignment"
key = b"general.alignment"
values = data[start:cur.at] + struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, align)
infos = []
for _ in range(n_tensors):
    name = cur.string().encode()
    shape = [cur.take("Q") for _ in range(cur.take("I"))]
    infos.append((name, shape, cur.take("I"), cur.take("Q")))
base = -(-cur.at // 32) * 32
head, body = b"", b""
for name, shape, kind, at in reversed(infos):
    _, per, size = TYPES[kind]
    n = size
    for i, x in enumerate(shape):
        n *= x // per if i == 0 else x
    head += struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body))
    body += data[base + at:base + at + n]
    body += bytes(-len(body) % align)
head = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values + 1) + values + head
open(out, "wb").write(head + bytes(-len(head) % align) + body)
E2
    is "is the same model" "$(l2-model hash -q hf-head-dim | cut -c1-64)" "$(l2-model hash -q other.gguf | cut -c1-64)"
done
agrees "its log-probabilities" other.gguf want-head-dim.json
/usr/bin/python3 - other.gguf <<'E2'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
at = b.index(b"general.alignment") + 17 + 4
b[at:at + 4] = (48).to_bytes(4, "little")
open("odd.gguf", "wb").write(b)
b[4:8] = (1).to_bytes(4, "little")
open("first.gguf", "wb").write(b)
E2
fails 1 'general.alignment is 48, want a power of two' "an alignment that is none" l2-model show odd.gguf
fails 1 'GGUF version 1 is not supported' "version 1" l2-model show first.gguf

# every EOS of a list ends a completion, in a directory and in a file
printf '{"id":0,"prompt":[1,5,17],"completions":[]}\n' | l2-cat -q --from-json -o prompt.l2s
finish_of() {
    l2-generate -q -m "$1" -T 0 -n 3 prompt.l2s | l2-cat -q --json | grep -o '"finish":"[a-z]*"'
}
is "no EOS is met" '"finish":"length"' "$(finish_of hf-plain)"
second=$(l2-generate -q -m hf-plain -T 0 -n 3 prompt.l2s | l2-cat -q --json | sed 's/.*"tokens":.[0-9]*,\([0-9]*\),.*/\1/')
cp -R hf-plain hf-eos
printf '{"eos_token_id": [2, 319, %s], "do_sample": true}' "$second" >hf-eos/generation_config.json
is "the third of generation_config.json is" '"finish":"eos"' "$(finish_of hf-eos)"
l2-model convert -q -o eos.gguf hf-eos
is "and in a file" '"finish":"eos"' "$(finish_of eos.gguf)"
l2-model convert -q -o eos-back eos.gguf
is "and back" '"finish":"eos"' "$(finish_of eos-back)"

# several labels
# shellcheck disable=SC2086
peer scores hf-labels $ids >want-labels.json
ok "three labels: scores" l2-score -q --activations f32 --kv-type f32 -m hf-labels --as s -o labels.l2s text.l2s
l2-cat -q --json labels.l2s | python3 -c '
import json, sys
s = json.load(sys.stdin)["completions"][0]["scores"]
assert sorted(s) == ["s.0", "s.1", "s.2"], s
print(json.dumps([s["s.%d" % i] for i in range(3)]))' >got-labels.json
ok "three labels: each under a name of its own" python3 "$L2_SRC/tests/compare.py" 2e-4 want-labels.json got-labels.json

# the mean, what is not finite, differing shapes
l2-model init -q --presets "$L2_SRC/examples/presets" tiny -s 1 -o a
l2-model init -q --presets "$L2_SRC/examples/presets" tiny -s 2 -o b
ok "merge" l2-model merge -q --weight 1 --weight 3 -o mean a b
ok "is the weighted mean" /usr/bin/python3 - "$L2_SRC/tests" <<'E2'
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from llama_numpy import read_hf
a, b, m = (read_hf(d)[1] for d in ("a", "b", "mean"))
for k in a:
    assert np.array_equal(((a[k] + 3 * b[k]) / 4).astype(np.float32), m[k].astype(np.float32)), k
E2
fails 1 "are not those of a" "other hyper-parameters do not merge" l2-model merge -o no a hf-plain
fails 2 'at least two models' "one model does not merge" l2-model merge -o no a
fails 2 '1 weights for 2 models' "a weight for each" l2-model merge --weight 1 -o no a b
fails 1 'has not the shape of a' "other shapes do not compare" l2-model compare a hf-plain
ok "check" l2-model check a
cp -r a broken
python3 - <<'E2'
b = bytearray(open("broken/model.safetensors", "rb").read())
b[-4:] = b"\0\0\x80\x7f"
open("broken/model.safetensors", "wb").write(b)
E2
fails 1 'broken: 1 values are not finite' "check finds an infinity" l2-model check broken
cp stderr said
ok "and says where" grep -q 'model.norm.weight: 1 of' said
fails 1 'holds a value too large|not finite' "which has no quantised form" sh -c '
    l2-model quantize --type Q8_0 -o no.gguf broken && l2-model check no.gguf'
if [ "$(l2-model hash -q a)" = "$(l2-model hash -q b)" ]; then fail "hashes differ"; else pass "hashes differ"; fi

# Meta's checkpoints: 1 to 8 files, shared and strided storages
if ! /usr/bin/python3 -c 'import torch' 2>/dev/null; then
    skip "Meta's checkpoints" "python3-torch is absent"
    finish
fi
want=$(l2-model hash -q plain-BF16 | cut -c1-64)
for n in 1 2 4; do
    peer pth hf-plain pth-$n $n
    is "$n files: every bit is that of the directory" "$want" "$(l2-model hash -q pth-$n | cut -c1-64)"
done
# shellcheck disable=SC2086
peer logprobs plain-BF16 $ids >peer.json
agrees "log-probabilities" pth-2 peer.json
ok "convert" l2-model convert -q -o from-pth.gguf pth-4
is "it lost nothing" "$want" "$(l2-model hash -q from-pth.gguf | cut -c1-64)"
if [ -n "$L2_SHARED" ]; then
    is "the shared checkpoint of two files" "$(l2-model hash -q "$L2_SHARED/golden/gqa64/hf-bf16-sharded" | cut -c1-64)" \
        "$(l2-model hash -q "$L2_SHARED/golden/gqa64/meta-2shard" | cut -c1-64)"
fi

# refused by name
spoil() {
    rm -rf spoilt
    cp -R pth-1 spoilt
    /usr/bin/python3 - "$@" <<'E2'
import collections, json, os, pickle, sys, zipfile
import torch
what, path = sys.argv[1], "spoilt/consolidated.00.pth"
if what == "key":
    p = json.load(open("spoilt/params.json"))
    p["moe_args"] = {}
    json.dump(p, open("spoilt/params.json", "w"))
elif what == "double":
    s = torch.load(path)
    s["norm.weight"] = s["norm.weight"].double()
    torch.save(s, path)
elif what == "extra":
    s = torch.load(path)
    s["adapter.weight"] = torch.ones(3, 3)
    torch.save(s, path)
elif what == "nested":
    torch.save({"model": torch.load(path), "step": 3}, path)
else:
    old = zipfile.ZipFile(path)
    entries = {n: old.read(n) for n in old.namelist()}
    kind = zipfile.ZIP_DEFLATED if what == "deflated" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as z:
        for name, data in entries.items():
            if what == "evil" and name.endswith("data.pkl"):
                data = b"cos\nsystem\n(S'touch owned'\ntR."
            if what == "opcode" and name.endswith("data.pkl"):
                data = b"\x80\x02(I5\n."
            if what == "short" and "/data/" in name:
                data = data[:-2]
            z.writestr(name, data)
E2
}
refuses() {
    spoil "$1"
    fails 1 "$2" "$3" l2-model show spoilt
}
refuses key 'key moe_args is not supported' "a key that is not known"
refuses double 'torch.DoubleStorage, which is refused' "another type"
refuses extra 'tensor adapter.weight has no place' "a tensor without a place"
refuses deflated 'is deflated: only stored' "a compressed archive"
refuses evil 'the pickle wants os.system, which is refused' "a pickle that calls"
is "nothing was called" no "$([ -e owned ] && echo yes || echo no)"
refuses opcode 'opcode 0x49 is refused' "an opcode of other pickles"
refuses short 'its storage of .* values has' "a storage that is too short"
spoil nested
is "a dictionary under model is found" "$want" "$(l2-model hash -q spoilt | cut -c1-64)"
finish
