#!/usr/bin/python3
"""An independent Llama, in numpy and float64: readers of Hugging Face directories and GGUF files, the forward
pass, and random models of every kind that l2 reads.

usage: llama_numpy.py make KIND DIR          a random model as a Hugging Face directory; KINDS are below
       llama_numpy.py pth DIR OUT SHARDS     the same model as Meta has it (needs torch)
       llama_numpy.py logprobs MODEL ID...   of each next token, as a JSON list
       llama_numpy.py types FILE.gguf        the types of its tensors, and its metadata, as JSON"""
# SPDX-License-Identifier: MIT
import json
import os
import struct
import sys

import numpy as np

KINDS = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "attention-bias": {"attention_bias": True},
    "mlp-bias": {"mlp_bias": True},
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.5}},
    "llama3": {"rope_theta": 500.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}},
    "llama3-short": {"rope_theta": 500.0, "rope_scaling": {
        "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 3.0,
        "original_max_position_embeddings": 64}},
    "head-dim": {"head_dim": 24},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
    "labels": {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}},
    "quantisable": {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4,
                    "num_key_value_heads": 2},
}
BASE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
        "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4,
        "vocab_size": 320, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
MATRICES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
            "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
            "mlp.down_proj": "ffn_down"}
NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bf16(x):
    u = x.astype(np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


# ---- Hugging Face ----

def head_dim(c):
    return c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]


def is_classifier(c):
    return c["architectures"][0].endswith("SequenceClassification")


def shapes(c):
    d, h, hd = c["hidden_size"], c["intermediate_size"], head_dim(c)
    q, kv = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    sizes = {"self_attn.q_proj": (q, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
             "self_attn.o_proj": (d, q), "mlp.gate_proj": (h, d), "mlp.up_proj": (h, d), "mlp.down_proj": (d, h)}
    out = {"model.embed_tokens.weight": (c["vocab_size"], d)}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name in NORMS:
            out[p + name + ".weight"] = (d,)
        for name, shape in sizes.items():
            out[p + name + ".weight"] = shape
            if c.get("attention_bias" if "attn" in name else "mlp_bias"):
                out[p + name + ".bias"] = shape[:1]
    out["model.norm.weight"] = (d,)
    if is_classifier(c):
        out["score.weight"] = (len(c["id2label"]), d)
    elif not c["tie_word_embeddings"]:
        out["lm_head.weight"] = (c["vocab_size"], d)
    return out


def make(kind, directory):
    c = {**BASE, **KINDS[kind]}
    rng = np.random.default_rng(5)
    w = {}
    for name, shape in shapes(c).items():
        x = rng.standard_normal(shape).astype(np.float32)
        w[name] = 0.3 * x if len(shape) == 2 else 1 + 0.2 * x if "norm" in name else 0.3 * x
    os.makedirs(directory)
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(c, f)
    header, at = {}, 0
    for name, x in w.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    with open(os.path.join(directory, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for x in w.values():
            f.write(x.tobytes())


def read_safetensors(path):
    data = np.fromfile(path, np.uint8)
    n = int(data[:8].view(np.uint64)[0])
    out = {}
    for name, t in json.loads(bytes(data[8:8 + n])).items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        raw = data[8 + n + begin:8 + n + end].copy()
        kind = t["dtype"]
        x = bf16(raw.view(np.uint16)) if kind == "BF16" else raw.view({"F32": np.float32, "F16": np.float16}[kind])
        out[name] = x.astype(np.float64).reshape(t["shape"])
    return out


def read_hf(directory):
    with open(os.path.join(directory, "config.json")) as f:
        c = {**BASE, "attention_bias": False, **json.load(f)}
    index, files = os.path.join(directory, "model.safetensors.index.json"), {"model.safetensors"}
    if os.path.exists(index):
        with open(index) as f:
            files = set(json.load(f)["weight_map"].values())
    w = {}
    for name in files:
        w.update(read_safetensors(os.path.join(directory, name)))
    return c, w


# ---- GGUF ----

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144),
         14: ("Q6_K", 256, 210)}


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, code):
        size = struct.calcsize("<" + code)
        v, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return v

    def string(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            of, n = self.take("I"), self.take("Q")
            return [self.value(of) for _ in range(n)]
        return self.take(SCALARS[kind])


def halves(raw):
    return raw.copy().view(np.float16).astype(np.float64)


def q4_k(b):
    n = len(b)
    d, dmin = halves(b[:, :2]), halves(b[:, 2:4])
    s = b[:, 4:16]
    scale = np.concatenate([s[:, :4] & 63, (s[:, 8:] & 15) | (s[:, :4] >> 6 << 4)], 1)
    low = np.concatenate([s[:, 4:8] & 63, (s[:, 8:] >> 4) | (s[:, 4:8] >> 6 << 4)], 1)
    q = b[:, 16:].reshape(n, 4, 1, 32)
    q = np.concatenate([q & 15, q >> 4], 2).reshape(n, 8, 32)
    return ((d * scale)[:, :, None] * q - (dmin * low)[:, :, None]).reshape(n, 256)


def q6_k(b):
    n = len(b)
    ql, qh = b[:, :128].reshape(n, 2, 64), b[:, 128:192].reshape(n, 2, 32)
    quarter = [(ql[:, :, :32] & 15) | (qh & 3) << 4, (ql[:, :, 32:] & 15) | (qh >> 2 & 3) << 4,
               (ql[:, :, :32] >> 4) | (qh >> 4 & 3) << 4, (ql[:, :, 32:] >> 4) | (qh >> 6) << 4]
    q = np.stack(quarter, 2).reshape(n, 16, 16).astype(np.int64) - 32
    scale = b[:, 192:208].view(np.int8).astype(np.float64)
    return (halves(b[:, 208:210])[:, :, None] * scale[:, :, None] * q).reshape(n, 256)


def decode(kind, raw):
    if kind == "F32":
        return raw.view(np.float32)
    if kind == "F16":
        return raw.view(np.float16)
    if kind == "BF16":
        return bf16(raw.view(np.uint16))
    if kind == "Q8_0":
        b = raw.reshape(-1, 34)
        return halves(b[:, :2]) * b[:, 2:].view(np.int8)
    return {"Q4_K": q4_k, "Q6_K": q6_k}[kind](raw.reshape(-1, {"Q4_K": 144, "Q6_K": 210}[kind]))


def open_gguf(path):
    with open(path, "rb") as f:
        data = f.read()
    cur = Cursor(data)
    assert cur.take("I") == 0x46554747 and cur.take("I") == 3
    n_tensors, n_values = cur.take("Q"), cur.take("Q")
    meta = {}
    for _ in range(n_values):
        key = cur.string()
        assert key not in meta
        meta[key] = cur.value(cur.take("I"))
    infos = []
    for _ in range(n_tensors):
        name = cur.string()
        shape = [cur.take("Q") for _ in range(cur.take("I"))]
        infos.append((name, shape[::-1], cur.take("I"), cur.take("Q")))
    align = meta.get("general.alignment", 32)
    base, want, tensors = -(-cur.at // align) * align, 0, {}
    for name, shape, kind, at in infos:
        kind, per, size = TYPES[kind]
        assert at == want and shape[-1] % per == 0, name  # ggml wants them one after the other
        n = int(np.prod(shape)) // per * size
        raw = np.frombuffer(data, np.uint8, n, base + at).copy()
        tensors[name] = (kind, decode(kind, raw).astype(np.float64).reshape(shape))
        want = -(-(at + n) // align) * align
    assert len(data) == base + want, "the last tensor is padded, and nothing follows"
    return meta, tensors


def unpermute(x, n_heads):
    """Rows of Q and K from pairs (2i, 2i + 1) to halves."""
    return x.reshape(n_heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def read_gguf(path):
    m, t = open_gguf(path)
    assert m["general.architecture"] == "llama"
    heads = m["llama.attention.head_count"]
    c = {**BASE, "hidden_size": m["llama.embedding_length"], "intermediate_size": m["llama.feed_forward_length"],
         "num_hidden_layers": m["llama.block_count"], "num_attention_heads": heads,
         "num_key_value_heads": m["llama.attention.head_count_kv"],
         "rms_norm_eps": m["llama.attention.layer_norm_rms_epsilon"], "rope_theta": m["llama.rope.freq_base"],
         "head_dim": m.get("llama.attention.key_length", m["llama.embedding_length"] // heads)}
    assert m["llama.rope.dimension_count"] == c["head_dim"]
    if m.get("llama.rope.scaling.type", "none") == "linear":
        c["rope_scaling"] = {"type": "linear", "factor": m["llama.rope.scaling.factor"]}
    t = {k: v for k, (_, v) in t.items()}
    w = {"model.embed_tokens.weight": t.pop("token_embd.weight"), "model.norm.weight": t.pop("output_norm.weight")}
    if "rope_freqs.weight" in t:
        c["divisors"] = t.pop("rope_freqs.weight")
    c["tie_word_embeddings"] = "output.weight" not in t
    if "output.weight" in t:
        w["lm_head.weight"] = t.pop("output.weight")
    for i in range(c["num_hidden_layers"]):
        for hf, gguf in {**MATRICES, **NORMS}.items():
            for part in ("weight", "bias"):
                x = t.pop(f"blk.{i}.{gguf}.{part}", None)
                if gguf == "attn_q" and x is not None:
                    x = unpermute(x, heads)
                if gguf == "attn_k" and x is not None:
                    x = unpermute(x, c["num_key_value_heads"])
                if x is not None:
                    w[f"model.layers.{i}.{hf}.{part}"] = x
    assert not t, list(t)
    return c, w


# ---- the forward pass ----

def frequencies(c):
    hd = head_dim(c)
    f = c["rope_theta"] ** (-np.arange(0, hd, 2) / hd)
    s = c.get("rope_scaling") or {}
    kind = s.get("rope_type", s.get("type"))
    if "divisors" in c:
        return f / c["divisors"]
    if kind == "linear":
        return f / s["factor"]
    if kind != "llama3":
        return f
    length = 2 * np.pi / f
    old = s["original_max_position_embeddings"]
    smooth = (old / length - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
    middle = (1 - smooth) * f / s["factor"] + smooth * f
    return np.where(length < old / s["high_freq_factor"], f,
                    np.where(length > old / s["low_freq_factor"], f / s["factor"], middle))


def hidden(c, w, tokens):
    hd, n = head_dim(c), len(tokens)
    angle = np.outer(np.arange(n), frequencies(c))
    cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + c["rms_norm_eps"]) * w[name + ".weight"]

    def linear(x, name):
        y = x @ w[name + ".weight"].T
        return y + w[name + ".bias"] if name + ".bias" in w else y

    def rotate(x):
        a, b = x[..., :hd // 2], x[..., hd // 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    x = w["model.embed_tokens.weight"][tokens]
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = norm(x, p + "input_layernorm")
        q = rotate(linear(h, p + "self_attn.q_proj").reshape(n, -1, hd))
        k = rotate(linear(h, p + "self_attn.k_proj").reshape(n, -1, hd))
        v = linear(h, p + "self_attn.v_proj").reshape(n, -1, hd)
        k, v = (np.repeat(y, q.shape[1] // k.shape[1], 1) for y in (k, v))
        s = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(hd)
        s[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
        s = np.exp(s - s.max(-1, keepdims=True))
        a = np.einsum("hqk,khd->qhd", s / s.sum(-1, keepdims=True), v).reshape(n, -1)
        x = x + linear(a, p + "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        g = linear(h, p + "mlp.gate_proj")
        x = x + linear(g / (1 + np.exp(-g)) * linear(h, p + "mlp.up_proj"), p + "mlp.down_proj")
    return norm(x, "model.norm")


def read_model(path):
    return read_hf(path) if os.path.isdir(path) else read_gguf(path)


def logprobs(path, tokens):
    c, w = read_model(path)
    head = w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    z = hidden(c, w, tokens) @ head.T
    z -= z.max(-1, keepdims=True)
    z -= np.log(np.exp(z).sum(-1, keepdims=True))
    return [z[i, t] for i, t in enumerate(tokens[1:])]


# ---- Meta's checkpoints ----

def to_pth(directory, out, shards):
    """Column-parallel matrices are cut by rows, row-parallel ones and Llama 2's embedding by columns. The shards'
    tensors of a layer lie in one storage, as Meta's do, and one of them is transposed in memory."""
    import torch
    c, w = read_hf(directory)
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    names = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
             "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
             "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm",
             "post_attention_layernorm": "ffn_norm"}
    os.makedirs(out)

    def permute(x, n):
        return x.reshape(n, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)

    for s in range(shards):
        state = {}

        def put(name, x, axis):
            part = x if axis is None else np.split(x, shards, axis)[s]
            state[name] = torch.from_numpy(part.copy()).to(torch.bfloat16)

        put("tok_embeddings.weight", w["model.embed_tokens.weight"], 1)
        put("norm.weight", w["model.norm.weight"], None)
        put("output.weight", w["lm_head.weight"], 0)
        for i in range(c["num_hidden_layers"]):
            for hf, meta in names.items():
                x = w[f"model.layers.{i}.{hf}.weight"]
                if meta.endswith("wq"):
                    x = permute(x, heads)
                if meta.endswith("wk"):
                    x = permute(x, kv)
                put(f"layers.{i}.{meta}.weight", x, None if x.ndim == 1 else 1 if meta[-2:] in ("wo", "w2") else 0)
            group = [k for k in state if k.startswith(f"layers.{i}.")]
            storage = torch.cat([state[k].reshape(-1) for k in group])
            at = 0
            for k in group:
                state[k] = storage[at:at + state[k].numel()].view(state[k].shape)
                at += state[k].numel()
        down = state["layers.0.feed_forward.w2.weight"]
        state["layers.0.feed_forward.w2.weight"] = down.T.contiguous().T
        state["rope.freqs"] = torch.ones(head_dim(c) // 2, dtype=torch.bfloat16)
        torch.save(state, os.path.join(out, f"consolidated.{s:02d}.pth"))
    params = {"dim": c["hidden_size"], "n_layers": c["num_hidden_layers"], "n_heads": heads, "n_kv_heads": kv,
              "multiple_of": 32, "norm_eps": c["rms_norm_eps"], "vocab_size": -1}
    with open(os.path.join(out, "params.json"), "w") as f:
        json.dump(params, f)


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "make":
        make(*args)
    elif what == "pth":
        to_pth(args[0], args[1], int(args[2]))
    elif what == "logprobs":
        print(json.dumps(logprobs(args[0], [int(x) for x in args[1:]])))
    elif what == "scores":
        c, w = read_model(args[0])
        print(json.dumps(list(hidden(c, w, [int(x) for x in args[1:]])[-1] @ w["score.weight"].T)))
    else:
        meta, tensors = open_gguf(args[0])
        print(json.dumps({"types": {k: t for k, (t, _) in tensors.items()}, "meta": meta}))


if __name__ == "__main__":
    main()
