#!/usr/bin/env python3
"""Writes tests/golden/checkpoint: one small Llama in every layout that is read, and its values.

usage: mk_checkpoint.py OUTDIR

Values are multiples of 1/64 below 2, which F32, F16 and BF16 all hold exactly, so that every file must
give expected.f32: all tensors in the order embedding, layers (norm, q, k, v, o, norm, gate, up, down),
norm, head, then the scores of the reward model; rows in Hugging Face order, float32 little-endian.
"""
# SPDX-License-Identifier: MIT
import json
import os
import random
import struct
import sys

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 8, 6, 2, 2, 1, 10, 12
HEAD_DIM = DIM // HEADS


def tensor_table():
    table = [("model.embed_tokens.weight", [VOCAB, DIM])]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        table += [
            (p + "input_layernorm.weight", [DIM]),
            (p + "self_attn.q_proj.weight", [HEADS * HEAD_DIM, DIM]),
            (p + "self_attn.k_proj.weight", [KV_HEADS * HEAD_DIM, DIM]),
            (p + "self_attn.v_proj.weight", [KV_HEADS * HEAD_DIM, DIM]),
            (p + "self_attn.o_proj.weight", [DIM, HEADS * HEAD_DIM]),
            (p + "post_attention_layernorm.weight", [DIM]),
            (p + "mlp.gate_proj.weight", [HIDDEN, DIM]),
            (p + "mlp.up_proj.weight", [HIDDEN, DIM]),
            (p + "mlp.down_proj.weight", [DIM, HIDDEN]),
        ]
    return table + [("model.norm.weight", [DIM]), ("lm_head.weight", [VOCAB, DIM]),
                    ("score.weight", [1, DIM])]


def size(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def encode(values, dtype):
    if dtype == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    return b"".join(struct.pack("<f", v)[2:] for v in values)  # BF16: exact for these values


def safetensors(path, names, shapes, values, dtype, order):
    head, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(names, key=order):
        raw = encode(values[name], dtype)
        head[name] = {"dtype": dtype, "shape": shapes[name],
                      "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def config(path, **more):
    c = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
         "hidden_size": DIM, "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS,
         "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB,
         "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
         "bos_token_id": 1, "eos_token_id": 2}
    c.update(more)
    with open(path, "w") as f:
        json.dump(c, f, indent=1)
        f.write("\n")


def interleave(values, heads):
    """Rows of a Q or K projection from Hugging Face order to Meta's."""
    out = []
    for h in range(heads):
        for i in range(HEAD_DIM // 2):
            for j in range(2):
                row = h * HEAD_DIM + j * (HEAD_DIM // 2) + i
                out += values[row * DIM:(row + 1) * DIM]
    return out


def llama2c(path, values, version, tied):
    def layers(suffix):
        for i in range(LAYERS):
            v = values[f"model.layers.{i}.{suffix}.weight"]
            if suffix == "self_attn.q_proj":
                v = interleave(v, HEADS)
            if suffix == "self_attn.k_proj":
                v = interleave(v, KV_HEADS)
            yield encode(v, "F32")

    norms = [*layers("input_layernorm")], [*layers("post_attention_layernorm")]
    attention = [b for s in "qkvo" for b in layers(f"self_attn.{s}_proj")]
    mlp = [b for s in ("gate", "down", "up") for b in layers(f"mlp.{s}_proj")]
    embed = encode(values["model.embed_tokens.weight"], "F32")
    last = encode(values["model.norm.weight"], "F32")
    head = b"" if tied else encode(values["lm_head.weight"], "F32")
    sizes = [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT]
    if version == 0:
        sizes[5] = VOCAB if tied else -VOCAB
        tables = b"\0" * (CONTEXT * HEAD_DIM * 4)
        body = [embed, *norms[0], *attention, *norms[1], *mlp, last, tables, head]
        header = struct.pack("<7i", *sizes)
    else:
        body = [*norms[0], *norms[1], last, embed, *attention, *mlp, head]
        header = (struct.pack("<Ii7iB", 0x616B3432, version, *sizes, tied)).ljust(256, b"\0")
    with open(path, "wb") as f:
        f.write(header + b"".join(body))


def main(out):
    rng = random.Random(20260101)
    table = tensor_table()
    shapes = dict(table)
    values = {n: [rng.randint(-127, 127) / 64 for _ in range(size(s))] for n, s in table}
    lm = [n for n, _ in table if n != "score.weight"]
    rm = [n for n, _ in table if n != "lm_head.weight"]
    for d in ("hf-f32", "hf-f16-sharded", "hf-bf16", "rm-f32"):
        os.makedirs(f"{out}/{d}", exist_ok=True)
    backwards = {n: -i for i, n in enumerate(lm)}
    safetensors(f"{out}/hf-f32/model.safetensors", lm, shapes, values, "F32", str)
    safetensors(f"{out}/hf-bf16/model.safetensors", lm, shapes, values, "BF16", backwards.get)
    safetensors(f"{out}/rm-f32/model.safetensors", rm, shapes, values, "F32", str)
    config(f"{out}/hf-f32/config.json", rope_theta=10000.0)
    config(f"{out}/hf-bf16/config.json", rope_parameters={"rope_type": "default", "rope_theta": 5e5},
           eos_token_id=[2, 7], torch_dtype="bfloat16")
    config(f"{out}/rm-f32/config.json", architectures=["LlamaForSequenceClassification"],
           num_labels=1, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, l2_reward_eos=True)
    config(f"{out}/hf-f16-sharded/config.json", head_dim=HEAD_DIM, torch_dtype="float16")
    weight_map, total = {}, 0
    for i in range(3):  # every third tensor, so that a layer lies in several files
        name, part = f"model-{i + 1:05}-of-00003.safetensors", lm[i::3]
        safetensors(f"{out}/hf-f16-sharded/{name}", part, shapes, values, "F16", str)
        weight_map.update({n: name for n in part})
        total += sum(2 * size(shapes[n]) for n in part)
    with open(f"{out}/hf-f16-sharded/model.safetensors.index.json", "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, f, indent=1)
        f.write("\n")
    for version in (0, 1):
        for tied in (False, True):
            llama2c(f"{out}/v{version}-{'tied' if tied else 'untied'}.bin", values, version, tied)
    with open(f"{out}/expected.f32", "wb") as f:
        f.write(b"".join(encode(values[n], "F32") for n, _ in table))


main(sys.argv[1])
