#!/usr/bin/python3
"""What l2 wrote, loaded by a reader of its own and run by the reference in PyTorch, against what l2 computes.

usage: torch_logits.py SHARED <CASES      lines of WORD WRITTEN ...; prints "pass" or "fail WHY" for each
       hidden WRITTEN HIDDEN.npy ID...    logits of a directory that l2 wrote; HIDDEN.npy has l2's hidden states of the model that
                                          it was made from, a row for each id
       golden WRITTEN KEY                 the same against the golden logits of that name
       mean WRITTEN A B ID...             WRITTEN is the mean of the directories A and B
       score WRITTEN VALUE ID...          a reward model's score"""
# SPDX-License-Identifier: MIT
import json
import os
import struct
import sys

import numpy as np
import torch

shared = sys.argv[1]
sys.path.insert(0, os.path.join(shared, "reference"))
from llama_ref import Cfg, Llama  # noqa: E402


def read_file(path):
    """The format by its specification: a length, a header in JSON, values; nothing between them and nothing left over."""
    with open(path, "rb") as f:
        data = f.read()
    n, = struct.unpack_from("<Q", data)
    header, base, out, end = json.loads(data[8:8 + n]), 8 + n, {}, 0
    assert header.pop("__metadata__", {}).get("format", "pt") == "pt"
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        a, b = t["data_offsets"]
        assert a == end, name
        kind, end = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[t["dtype"]], b
        out[name] = torch.frombuffer(bytearray(data[base + a:base + b]), dtype=kind).double().reshape(t["shape"])
    assert base + end == len(data)
    return out


def read(directory):
    with open(os.path.join(directory, "config.json")) as f:
        j = json.load(f)
    assert not j.get("rope_scaling") and not j.get("attention_bias") and not j.get("mlp_bias")
    index, files = os.path.join(directory, "model.safetensors.index.json"), ["model.safetensors"]
    if os.path.exists(index):
        with open(index) as f:
            files = sorted(set(json.load(f)["weight_map"].values()))
    w = {}
    for name in files:
        w.update(read_file(os.path.join(directory, name)))
    c = Cfg(dim=j["hidden_size"], hidden=j["intermediate_size"], layers=j["num_hidden_layers"], heads=j["num_attention_heads"],
            kv_heads=j["num_key_value_heads"], vocab=j["vocab_size"], eps=j["rms_norm_eps"], theta=j["rope_theta"],
            tied=j["tie_word_embeddings"], head_dim=j.get("head_dim") or j["hidden_size"] // j["num_attention_heads"])
    return c, w


def logits(c, w, ids):
    return Llama(c, w).logits(torch.tensor([ids]))[0]


def close(got, want, tolerance):
    assert got.shape == want.shape, (got.shape, want.shape)
    worst = (got - want).abs().max().item()
    assert worst <= tolerance, f"logits differ by {worst}"
    assert want.std() > 0.05  # logits of some size: the tolerance means something


def check(what, written, args):
    c, w = read(written)
    if what == "golden":
        golden = read_file(os.path.join(shared, "golden", "gqa64", "forward.safetensors"))
        with open(os.path.join(shared, "golden", "gqa64", "forward.json")) as f:
            ids = json.load(f)["tokens"]
        close(logits(c, w, ids), golden[args[0]], 2e-4)
    elif what == "mean":
        (_, a), (_, b), ids = read(args[0]), read(args[1]), [int(x) for x in args[2:]]
        mean = {k: ((a[k] + b[k]) / 2).to(torch.float32).double() for k in a}
        close(logits(c, w, ids), logits(c, mean, ids), 1e-6)
    elif what == "score":
        got = Llama(c, w).reward(torch.tensor([[int(x) for x in args[1:]]])).item()
        assert abs(got - float(args[0])) <= 2e-4 * max(1, abs(got)), (got, args[0])
    else:
        rows, ids = torch.from_numpy(np.load(args[0])).double(), [int(x) for x in args[1:]]
        head = w["model.embed_tokens.weight" if c.tied else "lm_head.weight"]
        close(rows @ head.T, logits(c, w, ids), 2e-3 if "gguf" in written else 2e-4)


for line in sys.stdin:
    what, written, *args = line.split()
    try:
        check(what, written, args)
        print("pass")
    except Exception as e:
        print("fail", type(e).__name__, e)
