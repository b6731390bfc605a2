# l2-embed: hidden states against reference values, in records and as .npy.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SHARED/golden/gqa64
compare=$L2_SRC/tests/compare.py

if [ -z "$L2_SHARED" ]; then
    skip "embeddings equal reference values" "the shared data is absent"
    finish
fi

# The reference's tokens as a prompt alone, and divided between prompt and completion.
python3 - "$golden" <<'E2' >text.json
import json, struct, sys
t = json.load(open(sys.argv[1] + "/forward.json"))["tokens"]
print(json.dumps({"id": "whole", "prompt": t, "completions": []}))
print(json.dumps({"id": "split", "prompt": t[:20], "completions": [{"tokens": t[20:]}]}))
with open(sys.argv[1] + "/forward.safetensors", "rb") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    head = json.loads(f.read(n))
    begin, end = head["hidden"]["data_offsets"]
    rows, dim = head["hidden"]["shape"]
    f.seek(8 + n + begin)
    v = struct.unpack(f"<{rows * dim}f", f.read(end - begin))
hidden = [v[i * dim:(i + 1) * dim] for i in range(rows)]
mean = [sum(c) / rows for c in zip(*hidden)]
norm = sum(x * x for x in mean) ** 0.5
json.dump([hidden[-1]] * 2, open("last.json", "w"))
json.dump([mean] * 2, open("mean.json", "w"))
json.dump([[x / norm for x in mean]] * 2, open("normalized.json", "w"))
json.dump([hidden] * 2, open("none.json", "w"))
E2
l2-cat -q --from-json -o text.l2s text.json

embeddings() {
    l2-cat -q --json "$1" | python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
print(json.dumps([(r["completions"] or [r])[0]["embedding"] for r in rows]))'
}

for backend in native blas; do
    for how in last mean none; do
        ok "embeds ($backend, $how)" l2-embed -m "$golden/hf-f32" --kv-type f32 --backend $backend --pooling $how \
            -o $how.$backend.l2s text.l2s
        embeddings $how.$backend.l2s >got.json
        ok "embeddings equal the reference ($backend, $how)" python3 "$compare" 2e-4 $how.json got.json
    done
done
l2-embed -q --kv-type f32 -m "$golden/hf-f32" --pooling mean --normalize -o normalized.l2s text.l2s
embeddings normalized.l2s >got.json
ok "--normalize gives vectors of length 1" python3 "$compare" 1e-4 normalized.json got.json

# the last layer's output, normed by hand, is the default
l2-embed -q --kv-type f32 -m "$golden/hf-f32" --layer 2 --pooling none -o layer.l2s text.l2s
embeddings layer.l2s >layer.json
python3 - "$golden" <<'E2'
import json, struct, sys
with open(sys.argv[1] + "/hf-f32/model.safetensors", "rb") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    head = json.loads(f.read(n))
    begin, end = head["model.norm.weight"]["data_offsets"]
    f.seek(8 + n + begin)
    w = struct.unpack(f"<{(end - begin) // 4}f", f.read(end - begin))
def norm(x):
    s = (sum(v * v for v in x) / len(x) + 1e-5) ** -0.5
    return [v * s * g for v, g in zip(x, w)]
json.dump([[norm(x) for x in m] for m in json.load(open("layer.json"))], open("normed.json", "w"))
E2
ok "--layer gives the output of a layer before the norm" python3 "$compare" 2e-4 none.json normed.json
fails 2 'layer' "a layer that the model does not have" l2-embed -m "$golden/hf-f32" --layer 3 text.l2s

ok "--npy" l2-embed -m "$golden/hf-f32" --kv-type f32 --pooling mean --npy out.npy --ids out.ids text.l2s
ok "the .npy file holds what the records would" python3 - <<'E2'
import ast, json, struct
raw = open("out.npy", "rb").read()
assert raw[:8] == b"\x93NUMPY\x01\x00"
n = struct.unpack("<H", raw[8:10])[0]
assert (10 + n) % 64 == 0
head = ast.literal_eval(raw[10:10 + n].decode())
assert head == {"descr": "<f4", "fortran_order": False, "shape": (2, 64)}, head
v = struct.unpack("<128f", raw[10 + n:])
json.dump([v[:64], v[64:]], open("got.json", "w"))
E2
ok "its values equal the reference" python3 "$compare" 2e-4 mean.json got.json
printf '{"id":"whole"}\n{"id":"split","completion":0}\n' >want.ids
same "the ids say what the rows are" want.ids out.ids
fails 2 'go together' "--npy without --ids" l2-embed -m "$golden/hf-f32" --npy x.npy text.l2s
fails 1 'exists' "an .npy file that exists is refused" \
    l2-embed -m "$golden/hf-f32" --npy out.npy --ids new.ids text.l2s

finish
