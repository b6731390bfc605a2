#!/bin/sh
# Small files that claim to be large, or to hold many things: an error at once, and no memory for what is not there.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

cat >claims.py <<'E'
import json, os, random, struct, subprocess, sys

sys.path.insert(0, os.path.join(os.environ["L2_SRC"], "tests"))
import meta_writer as meta

HUGE = 1 << 60


def run(path, command=("l2-model", "show", "-q")):
    """Exit status, what it said, and the most memory that it had at a time, in MiB."""
    p = subprocess.Popen([*command, path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    return p.returncode, said, usage.ru_maxrss / 1024


base = run("/dev/null")[2]


def refused(name, path, *says, command=("l2-model", "show", "-q")):
    model = path.startswith(("hf/", "meta-"))
    code, said, memory = run(path.split("/")[0] if model else path, command)
    assert code == 1 and path in said and any(s in said for s in says), (name, code, said)
    assert memory < base + 64, (name, memory, base)


def put(path, data, size=4096):
    with open(path, "wb") as f:
        f.write(data + bytes(max(0, size - len(data))))
    return path


# ---- GGUF ----

def string(s):
    return struct.pack("<Q", len(s)) + s.encode()


def value(key, kind, data):
    return string(key) + struct.pack("<I", kind) + data


ARCHITECTURE = value("general.architecture", 8, string("llama"))


def gguf(tensors, values, body):
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + body


def u32(key, n):
    return value("llama." + key, 4, struct.pack("<I", n))


def small_gguf(layers, shape=None):
    """A model of dim 2 whose tensors all lie in the same place."""
    keys = [ARCHITECTURE, u32("context_length", 16), u32("embedding_length", 2), u32("block_count", layers),
            u32("feed_forward_length", 2), u32("attention.head_count", 1),
            value("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))]
    names = [("token_embd", (2, 4)), ("output", (2, 4)), ("output_norm", (2,))]
    for i in range(layers):
        names += [(f"blk.{i}.{n}", (2,)) for n in ("attn_norm", "ffn_norm")]
        names += [(f"blk.{i}.{n}", (2, 2)) for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")]
    infos = []
    for name, dims in names:
        dims = shape if shape and name == "token_embd" else dims
        infos.append(string(name + ".weight") + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, 0))
    out = gguf(len(names), len(keys), b"".join(keys + infos))
    return out + bytes(-len(out) % 32 + 32)


def test_gguf():
    refused("tensors", put("tensors.gguf", gguf(HUGE, 0, b"")), "claims 1152921504606846976 tensors")
    refused("values", put("values.gguf", gguf(0, HUGE, b"")), "1152921504606846976 values")
    refused("string", put("string.gguf", gguf(0, 1, string("k") + struct.pack("<IQ", 8, HUGE))), "ends past the file")
    for kind in (0, 6, 8, 10):
        array = string("k") + struct.pack("<IIQ", 9, kind, HUGE)
        refused(f"array of type {kind}", put("array.gguf", gguf(0, 1, array)), "ends past the file")
    for shape in ((HUGE, 2), (2, HUGE), (1 << 32, 1 << 32), (2, 1 << 24)):
        refused(f"shape {shape}", put("shape.gguf", small_gguf(1, shape)), "ends past the file", "too many", "more than", "want")
    refused("a vocabulary", put("vocabulary.gguf", gguf(0, 1, string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, HUGE))),
            "ends past the file", command=("l2-tokenize", "-q", "--lines", "/dev/null", "-z"))
    # as many tensors as there may be: the time grows with their number, not with its square
    code, said, _ = run(put("layers.gguf", small_gguf(4096), 0))
    assert code == 0, said


# ---- safetensors ----

def test_safetensors():
    os.makedirs("hf")
    config = dict(meta.CONFIG)
    put("hf/config.json", json.dumps(config).encode(), 0)

    def header(tensors):
        text = json.dumps(tensors).encode()
        return put("hf/model.safetensors", struct.pack("<Q", len(text)) + text)

    refused("header", put("hf/model.safetensors", struct.pack("<Q", HUGE) + b"{}"), "its header would have 1152921504606846976 bytes")
    for shape in ([HUGE], [HUGE, HUGE], [1 << 32, 1 << 32]):
        header({"model.norm.weight": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 2 * HUGE]}})
        refused(f"shape {shape}", "hf/model.safetensors", "too large", "ends past the file", "its shape wants")
    header({"a%d" % i: {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]} for i in range(50)})
    refused("empty tensors", "hf/model.safetensors", "bytes after the last tensor", "has no place")
    for key in ("num_hidden_layers", "vocab_size", "hidden_size", "intermediate_size"):
        put("hf/config.json", json.dumps({**config, key: HUGE}).encode(), 0)
        refused(key, "hf/config.json", key)
        put("hf/config.json", json.dumps({**config, key: 4096}).encode(), 0)
        code, said, memory = run("hf")
        assert code == 1 and "hf" in said and memory < base + 64, (key, said)


# ---- Meta's checkpoints ----

def checkpoint(name, shards, edit):
    """A whole checkpoint whose entries edit changes: it gets the pickle and the storages of a file."""
    os.makedirs(name)
    put(name + "/params.json", json.dumps(meta.PARAMS).encode(), 0)
    for s in range(shards):
        pickle, raw = edit(*meta.shard(MODEL, s, shards))
        entries = [("data.pkl", pickle)] + [(f"data/{i}", x) for i, x in enumerate(raw)]
        meta.write_zip(f"{name}/consolidated.{s:02d}.pth", entries, False)
    return name


def with_tensor(name, shape, stride, numel=None):
    """Puts another shape and other strides to a tensor, over a storage of its own of 128 values."""
    def edit(pickle, raw):
        at = pickle.index(meta.text(name)) + len(meta.text(name))
        end = pickle.index(b"RtR", at) + 3
        mine = meta.tensor(b"BFloat16", len(raw), numel or 128, 0, shape, stride)
        return pickle[:at] + mine + pickle[end:], raw + [bytes(256)]
    return edit


def test_meta():
    gate, up, embedding = "layers.0.feed_forward.w1.weight", "layers.0.feed_forward.w3.weight", "tok_embeddings.weight"
    cases = {
        # the rows of four files add up to 96 in 64 bits
        "wrapped": (4, with_tensor(up, ((1 << 62) + 24, 64), (0, 1))),
        "columns": (4, with_tensor("layers.0.attention.wo.weight", (64, (1 << 62) + 16), (1, 0))),
        "repeated": (1, with_tensor(embedding, (1 << 24, 64), (0, 1))),
        "one-value": (2, with_tensor(embedding, (1 << 24, 32), (0, 0))),
        "storage": (1, with_tensor(gate, (96, 64), (64, 1), HUGE)),
        "stride": (1, with_tensor(gate, (96, 64), (HUGE, HUGE))),
        "empty": (1, with_tensor(gate, (0, 64), (64, 1))),
        "memo": (1, lambda p, raw: (b"\x80\x02}r\xff\xff\xff\x7f.", raw)),
        "twice": (1, lambda p, raw: (p[:-2] + p[p.index(meta.text("norm.weight")):p.index(meta.text("output.weight"))] + p[-2:], raw)),
        "deep": (1, lambda p, raw: (b"\x80\x02" + b"(" * (5 << 20), raw)),
    }
    for name, (shards, edit) in cases.items():
        checkpoint("meta-" + name, shards, edit)
        refused(name, "meta-" + name, "reaches past its storage", "its storage of", "numbered higher", "is there twice", "data.pkl has")
    # 2^60 entries of an archive
    name = "meta-entries/consolidated.00.pth"
    checkpoint("meta-entries", 1, lambda p, raw: (b"\x80\x02}.", []))
    data = open(name, "rb").read()
    end, at = data[-22:], len(data) - 22
    more = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, HUGE, HUGE, 46, 0)
    put(name, data[:at] + b"PK\6\6" + more + b"PK\6\7" + struct.pack("<IQI", 0, at, 1) + end, 0)
    refused("entries", name, "does not fit before its end")
    # two entries of one name
    checkpoint("meta-names", 1, lambda p, raw: (p, raw))
    path = "meta-names/consolidated.00.pth"
    data = open(path, "rb").read()
    put(path, data.replace(b"archive/data/1PK", b"archive/data/0PK").replace(b"archive/data/1", b"archive/data/0"), 0)
    refused("names", path, "two entries are called archive/data/0")


# ---- others ----

def test_others():
    big = struct.pack("<7i", *[(1 << 31) - 1] * 7)
    refused("llama2.c", put("sizes.bin", big), "neither a Hugging Face", "want")
    refused("llama2.c, tensors", put("tensors.bin", struct.pack("<7i", 1 << 14, 1 << 16, 80, 64, 64, 32000, 4096)), "ends inside its tensors")
    def varint(n):
        return bytes([n >> 7 * i & 127 | 128 for i in range(8)] + [n >> 56])
    tokenize = ("l2-tokenize", "-q", "--lines", "/dev/null", "-z")
    refused(".model", put("length.model", b"\n" + varint(HUGE) + b"\n\4abcd"), "length.model", command=tokenize)
    refused("tokenizer.bin", put("length.bin", struct.pack("<IfI", (1 << 31) - 1, 1.0, (1 << 31) - 1) + b"a"), "length.bin", command=tokenize)
    refused("tokenizer.json", put("ids.json", b'{"model": {"type": "BPE", "byte_fallback": true, "vocab": {"a": 1152921504606846976}, "merges": []}}', 0),
            "want an id below 1", command=tokenize)


rng = random.Random(3)
MODEL = {name: [meta.values(rng, cols) for _ in range(rows)] for _, name, rows, cols, _ in meta.TENSORS}
{"gguf": test_gguf, "safetensors": test_safetensors, "meta": test_meta, "others": test_others}[sys.argv[1]]()
E
for format in gguf safetensors meta others; do
    ok "$format: what is not there is not believed" python3 claims.py $format
done
finish
