#!/usr/bin/env python3
"""An independent reader of the model directories that l2 writes, by the standard library alone.

usage: model_reader.py check DIR             read everything by the specification; print a summary as JSON
       model_reader.py same DIR DIR [NAME]   tensors that both have are equal in value (but NAME is not there)
       model_reader.py random DIR SEED STD   every value is the one that init documents
"""
# SPDX-License-Identifier: MIT
import hashlib
import json
import math
import os
import struct
import sys

SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def decode(raw, dtype):
    if dtype == "BF16":
        raw = b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))
    return struct.unpack(f"<{len(raw) // (2 if dtype == 'F16' else 4)}" + ("e" if dtype == "F16" else "f"), raw)


def no_duplicates(pairs):
    keys = [k for k, _ in pairs]
    assert len(keys) == len(set(keys)), "duplicate keys"
    return dict(pairs)


def load(text):
    return json.loads(text, object_pairs_hook=no_duplicates)


def read_file(path):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    assert (8 + n) % 8 == 0 and data[8:9] == b"{", "header is not aligned"
    head, at, tensors = load(data[8:8 + n]), 8 + n, {}
    assert head.pop("__metadata__") == {"format": "pt"}
    for name, t in sorted(head.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = (8 + n + x for x in t["data_offsets"])
        assert begin == at, f"{name} does not follow the tensor before it"
        assert end - begin == math.prod(t["shape"]) * SIZES[t["dtype"]], name
        tensors[name] = (t["dtype"], t["shape"], decode(data[begin:end], t["dtype"]))
        at = end
    assert at == len(data), "bytes after the last tensor"
    return tensors


def read(directory, strict=False):
    index = os.path.join(directory, "model.safetensors.index.json")
    if not os.path.exists(index):
        return read_file(os.path.join(directory, "model.safetensors"))
    index, tensors = load(open(index).read()), {}
    total = 0
    for file in sorted(set(index["weight_map"].values())):
        part = read_file(os.path.join(directory, file))
        assert set(part) == {k for k, v in index["weight_map"].items() if v == file}, file
        total += sum(len(v) * SIZES[d] for d, _, v in part.values())
        tensors.update(part)
    assert index["metadata"].get("total_size", None if strict else total) == total
    return tensors


def expected_shapes(c):
    dim, hidden, head = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    want = {"model.embed_tokens.weight": [c["vocab_size"], dim], "model.norm.weight": [dim]}
    for i in range(c["num_hidden_layers"]):
        for name, shape in (("input_layernorm", [dim]), ("post_attention_layernorm", [dim]),
                            ("self_attn.q_proj", [q, dim]), ("self_attn.k_proj", [kv, dim]),
                            ("self_attn.v_proj", [kv, dim]), ("self_attn.o_proj", [dim, q]),
                            ("mlp.gate_proj", [hidden, dim]), ("mlp.up_proj", [hidden, dim]),
                            ("mlp.down_proj", [dim, hidden])):
            want[f"model.layers.{i}.{name}.weight"] = shape
    if c["architectures"] == ["LlamaForSequenceClassification"]:
        want["score.weight"] = [c["num_labels"], dim]
        assert len(c["id2label"]) == len(c["label2id"]) == c["num_labels"]
    elif not c["tie_word_embeddings"]:
        want["lm_head.weight"] = [c["vocab_size"], dim]
    return want


def check(directory):
    config, tensors = load(open(os.path.join(directory, "config.json")).read()), read(directory, True)
    assert {k: t[1] for k, t in tensors.items()} == expected_shapes(config), "shapes"
    assert config["model_type"] == "llama" and config["hidden_act"] == "silu"
    dtypes = {t[0] for t in tensors.values()}
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    assert [names[d] for d in dtypes] == [config["torch_dtype"]], "dtype"
    print(json.dumps({"architecture": config["architectures"][0], "dtype": dtypes.pop(),
                      "parameters": sum(len(t[2]) for t in tensors.values()),
                      "files": sum(f.endswith(".safetensors") for f in os.listdir(directory)),
                      "eos": config["eos_token_id"], "reward_eos": config.get("l2_reward_eos", "unknown")}))


def same(a, b, missing=None):
    a, b = read(a), read(b)
    both = set(a) & set(b)
    assert len(both) >= len(a) - 1 and missing not in both
    assert set(a) - set(b) <= {missing}, "tensors are missing"
    for name in both:
        assert a[name][1:] == b[name][1:], f"{name} differs"


def philox(key, counter):
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return c0, c1, c2, c3


def random_values(name, n, seed):
    digest = hashlib.sha256(struct.pack("<Q", seed) + hashlib.sha256(name.encode()).digest()).digest()
    key, out = struct.unpack("<2I", digest[:8]), []
    for block in range((n + 3) // 4):
        w = [(x + 0.5) / 2**32 for x in philox(key, (block & 0xFFFFFFFF, block >> 32, 0, 0))]
        for u, v in ((w[0], w[1]), (w[2], w[3])):
            r = math.sqrt(-2 * math.log(u))
            out += [r * math.cos(2 * math.pi * v), r * math.sin(2 * math.pi * v)]
    return out[:n]


def random(directory, seed, std):
    config, total = load(open(os.path.join(directory, "config.json")).read()), []
    for name, (_, shape, got) in read(directory).items():
        if len(shape) == 1:
            assert set(got) == {1.0}, name
            continue
        scale = std
        if "o_proj" in name or "down_proj" in name:
            scale = std / math.sqrt(2 * config["num_hidden_layers"])
        if name == "score.weight":
            scale = 1 / math.sqrt(config["hidden_size"] + 1)
        want = random_values(name, len(got), seed)
        for g, w in zip(got, want):
            assert abs(g - scale * w) <= 1e-6 * abs(scale * w) + 1e-12, (name, g, scale * w)
        if name != "score.weight":
            total += want
    # the generator's own moments: within five standard errors
    n = len(total)
    mean, square = sum(total) / n, sum(x * x for x in total) / n
    assert abs(mean) < 5 / math.sqrt(n) and abs(square - 1) < 5 * math.sqrt(2 / n), (mean, square)


if __name__ == "__main__":
    command, args = sys.argv[1], sys.argv[2:]
    if command == "check":
        check(*args)
    elif command == "same":
        same(*args)
    else:
        random(args[0], int(args[1]), float(args[2]))
