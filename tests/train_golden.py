"""l2-train against a reference: gradients of the three kinds, and twenty steps of AdamW. Argument: the directory of goldens."""
# SPDX-License-Identifier: MIT
import json
import os
import struct
import subprocess
import sys

import numpy as np

golden = sys.argv[1]
train = json.load(open(os.path.join(golden, "train.json")))


def read(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    out = {}
    for key, v in head.items():
        if key != "__metadata__":
            a, b = v["data_offsets"]
            out[key] = np.frombuffer(raw[8 + n + a:8 + n + b], {"F32": "<f4", "F64": "<f8"}[v["dtype"]]).astype(np.float64)
    return out


def stream(name, records):
    lines = [{"magic": "l2s", "version": 1, "vocabulary": None, "history": []}]
    for i, (prompt, answers, more) in enumerate(records):
        lines.append({"id": i, "prompt": prompt, "completions": [{"tokens": a} for a in answers], **more})
    tokens = sum(len(p) + sum(map(len, a)) for p, a, _ in records)
    lines.append({"complete": True, "records": len(records), "tokens": tokens})
    text = "".join(json.dumps(x) + "\n" for x in lines)
    subprocess.run(["l2-cat", "-q", "--from-json", "-o", name, "--force"], input=text.encode(), check=True)


def l2_train(*args):
    subprocess.run(["l2-train", *args, "-q", "--keep-order"], check=True)


bad = []


def check(what, error, limit):
    print(f"{what}: {error:.2g}")
    if not error < limit:
        bad.append(what)


rows = [t[:n] for t, n in zip(train["tokens"], train["lengths"])]
pairs = train["reward"]
stream("g-pretrain.l2s", [(r[:1], [r[1:]], {}) for r in rows])
stream("g-sft.l2s", [(r[:a], [r[a:]], {}) for r, a in zip(rows, train["answer_start"])])
stream("g-reward.l2s", [([c[0]], [c[1:], r[1:]], {"margin": float(m)})
                        for c, r, m in zip(pairs["chosen"], pairs["rejected"], pairs["margin"])])
for kind, model, options in (("pretrain", "hf-f32", ["--cut-documents", "--context", "47", "--batch", "1"]),
                             ("sft", "hf-f32", ["--context", "48", "--batch", "1"]),
                             ("reward", "rm-f32", ["--context", "48", "--batch", "4", "--micro-batch", "2"])):
    l2_train(kind, "-m", os.path.join(golden, model), "--data", f"g-{kind}.l2s", "--dump-grads", "g.st", *options)
    got, want = read("g.st"), read(os.path.join(golden, f"grad_{kind}.safetensors"))
    check(f"{kind}: loss", abs(got.pop("loss")[0] / train[kind]["loss"] - 1), 1e-6)
    if set(got) != set(want):
        bad.append(f"{kind}: names")
    check(f"{kind}: gradients", max(np.linalg.norm(got[k] - want[k]) / np.linalg.norm(want[k]) for k in want), 1e-5)

adamw = json.load(open(os.path.join(golden, "adamw.json")))
l2_train("pretrain", "-m", os.path.join(golden, "hf-f32"), "--data", "g-pretrain.l2s", "--cut-documents", "--context", "47",
         "--batch", "1", "--steps", str(adamw["total_steps"]), "--warmup", str(adamw["warmup_steps"]), "--lr",
         str(adamw["peak_lr"]), "--log", "g.jsonl", "-o", "g-out")
log = [json.loads(line) for line in open("g.jsonl")]
for ours, theirs in (("loss", "loss"), ("grad_norm", "grad_norm"), ("learning_rate", "lr")):
    check(f"AdamW: {ours}", max(abs(a[ours] / b[theirs] - 1) for a, b in zip(log, adamw["trajectory"])), 1e-5)
if len(log) != len(adamw["trajectory"]):
    bad.append("number of steps")
sys.exit(f"too far: {', '.join(bad)}" if bad else 0)
