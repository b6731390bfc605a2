"""Makes one model in several forms, without torch or numpy:
       meta_writer.py DIR
DIR/hf is a Hugging Face directory in BF16; DIR/meta-N (1, 2, 4 and 8 files) and DIR/meta-zip64 are the same as Meta has it:
zip archives of a pickle and storages, as torch.save lays them out. Storages are shared and strided where they may be; in the last
one, a sparse file, offsets need more than 32 bits."""
# SPDX-License-Identifier: MIT
import json
import os
import random
import struct
import sys
import zlib

DIM, HIDDEN, LAYERS, HEADS, VOCAB = 64, 96, 2, 8, 40
HEAD_DIM = DIM // HEADS
# name there, name here, rows, columns, what is cut: rows, columns or nothing
LAYER = [("attention_norm", "input_layernorm", 1, DIM, None), ("ffn_norm", "post_attention_layernorm", 1, DIM, None),
         ("attention.wq", "self_attn.q_proj", DIM, DIM, 0), ("attention.wk", "self_attn.k_proj", DIM, DIM, 0),
         ("attention.wv", "self_attn.v_proj", DIM, DIM, 0), ("attention.wo", "self_attn.o_proj", DIM, DIM, 1),
         ("feed_forward.w1", "mlp.gate_proj", HIDDEN, DIM, 0), ("feed_forward.w3", "mlp.up_proj", HIDDEN, DIM, 0),
         ("feed_forward.w2", "mlp.down_proj", DIM, HIDDEN, 1)]
TENSORS = [("tok_embeddings", "model.embed_tokens", VOCAB, DIM, 1), ("norm", "model.norm", 1, DIM, None),
           ("output", "lm_head", VOCAB, DIM, 0)] + \
    [(f"layers.{i}.{m}", f"model.layers.{i}.{h}", *rest) for i in range(LAYERS) for m, h, *rest in LAYER]
PARAMS = {"dim": DIM, "n_layers": LAYERS, "n_heads": HEADS, "multiple_of": 32, "norm_eps": 1e-5, "vocab_size": -1}
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": DIM,
          "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
          "vocab_size": VOCAB, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16"}


def values(rng, n):
    """n bfloat16 as integers, their magnitudes between 2^-10 and 2."""
    return [rng.randrange(2) << 15 | rng.randrange(117, 128) << 7 | rng.randrange(128) for _ in range(n)]


def packed(numbers):
    return struct.pack(f"<{len(numbers)}H", *numbers)


def write_hf(directory, model):
    os.makedirs(directory)
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(CONFIG, f)
    header, data = {}, b""
    for _, name, rows, cols, cut in TENSORS:
        raw = b"".join(packed(r) for r in model[name])
        shape = [rows, cols] if cut is not None else [cols]
        header[name + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(os.path.join(directory, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def meta_rows(name, rows):
    """The halves of a head interleaved, which is how Meta's rotary embedding pairs rows."""
    if not name.endswith((".wq", ".wk")):
        return rows
    half = HEAD_DIM // 2
    return [rows[h + j // 2 + (j % 2) * half] for h in range(0, len(rows), HEAD_DIM) for j in range(HEAD_DIM)]


# ---- pickle, protocol 2 ----

def number(n):
    if n >= 1 << 31:
        return b"\x8a\x08" + struct.pack("<q", n)
    return b"K" + bytes([n]) if n < 256 else b"J" + struct.pack("<i", n)


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def tensor(kind, storage, size, offset, shape, stride):
    tuple_of = {1: b"\x85", 2: b"\x86"}[len(shape)]
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\n" + kind + b"Storage\n" + text(str(storage)) +
            text("cpu") + number(size) + b"tQ" + number(offset) + b"".join(map(number, shape)) + tuple_of +
            b"".join(map(number, stride)) + tuple_of + b"\x89ccollections\nOrderedDict\n)RtR")


def shard(model, s, n):
    """The pickle and the storages of file s of n. Gate and up lie in one storage, wo column by column."""
    out, storages, shared = b"\x80\x02}(", [], []
    for name, ours, rows, cols, cut in TENSORS:
        m = meta_rows(name, model[ours])
        if cut == 0:
            m = m[s * rows // n:(s + 1) * rows // n]
        elif cut == 1:
            m = [r[s * cols // n:(s + 1) * cols // n] for r in m]
        shape = (len(m), len(m[0])) if cut is not None else (len(m[0]),)
        stride, offset = (shape[1], 1) if cut is not None else (1,), 0
        flat = [x for r in m for x in r]
        if name.endswith(".wo"):
            flat, stride = [m[i][j] for j in range(shape[1]) for i in range(shape[0])], (1, shape[0])
        if name.endswith(".w3"):
            offset = len(storages[-1])
            storages[-1] += flat
        else:
            storages.append(flat)
        shared.append((name, len(storages) - 1, offset, shape, stride))
    for name, storage, offset, shape, stride in shared:
        out += text(name + ".weight") + tensor(b"BFloat16", storage, len(storages[storage]), offset, shape, stride)
    raw = [packed(x) for x in storages]
    out += text("rope.freqs") + tensor(b"Float", len(raw), HEAD_DIM // 2, 0, (HEAD_DIM // 2,), (1,))
    raw.append(struct.pack(f"<{HEAD_DIM // 2}f", *(10000.0 ** (-2 * i / HEAD_DIM) for i in range(HEAD_DIM // 2))))
    return out + b"u.", raw


# ---- zip ----

def write_zip(path, entries, zip64):
    """Stored entries. With zip64 every number that can be is in an extra field, and a hole of 4 GiB comes first."""
    with open(path, "wb") as f:
        directory = b""
        for name, data in ([("hole", None)] if zip64 else []) + entries:
            name, at = ("archive/" + name).encode(), f.tell()
            size = (1 << 32) + 5 if data is None else len(data)
            crc = 0 if data is None else zlib.crc32(data)
            shown = 0xFFFFFFFF if zip64 else size
            local = struct.pack("<HHQQ", 1, 16, size, size) if zip64 else b""
            central = struct.pack("<HHQQQ", 1, 24, size, size, at) if zip64 else b""
            fields = struct.pack("<HHHHHIII", 45 if zip64 else 20, 0, 0, 0, 0x21, crc, shown, shown)
            f.write(b"PK\3\4" + fields + struct.pack("<HH", len(name), len(local)) + name + local)
            if data is None:
                f.seek(size, os.SEEK_CUR)
            else:
                f.write(data)
            directory += (b"PK\1\2" + struct.pack("<H", 45) + fields + struct.pack("<HHHHHII", len(name), len(central), 0, 0, 0, 0,
                                                                                    0xFFFFFFFF if zip64 else at) + name + central)
        start, n = f.tell(), len(entries) + zip64
        f.write(directory)
        if zip64:
            end = f.tell()
            f.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n, n, len(directory), start))
            f.write(b"PK\6\7" + struct.pack("<IQI", 0, end, 1))
            n, size, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
        else:
            size = len(directory)
        f.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, n, n, size, start, 0))


def write_meta(directory, model, n, zip64=False):
    os.makedirs(directory)
    with open(os.path.join(directory, "params.json"), "w") as f:
        json.dump(PARAMS, f)
    for s in range(n):
        pickle, raw = shard(model, s, n)
        entries = [("data.pkl", pickle)] + [(f"data/{i}", x) for i, x in enumerate(raw)] + [("version", b"3\n")]
        write_zip(os.path.join(directory, f"consolidated.{s:02d}.pth"), entries, zip64)


def main():
    rng = random.Random(3)
    model = {name: [values(rng, cols) for _ in range(rows)] for _, name, rows, cols, _ in TENSORS}
    out = sys.argv[1]
    write_hf(os.path.join(out, "hf"), model)
    for n in (1, 2, 4, 8):
        write_meta(os.path.join(out, f"meta-{n}"), model, n)
    write_meta(os.path.join(out, "meta-zip64"), model, 2, True)


if __name__ == "__main__":
    main()
