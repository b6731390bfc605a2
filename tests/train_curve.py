"""The same start and data give PyTorch's curve, in f32 and with products in bf16: held-out losses after a number of steps are within
1 %. Arguments: the shared data, steps. Works in the current directory."""
# SPDX-License-Identifier: MIT
import json
import math
import os
import subprocess
import sys

shared, steps = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, os.path.join(shared, "reference"))
import torch  # noqa: E402
from llama_ref import Llama, load_hf  # noqa: E402

CONTEXT, BATCH, LR, WARMUP = 64, 8, 1e-3, max(steps // 20, 1)
source = os.environ["L2_SRC"]


def run(*args, **more):
    return subprocess.run(args, check=True, **more)


def tokens():
    text = os.path.join(shared, "data", "text", "tinyshakespeare.txt")
    vocab = os.path.join(shared, "data", "stories260K", "tok512.model")
    run("l2-model", "init", "-q", "-s", "1", "-z", vocab, "-o", "start", os.path.join(source, "examples", "presets", "tiny.yaml"))
    run("l2-tokenize", "-q", "-z", vocab, "--text", text, "-o", "all.l2s")
    out = run("l2-cat", "-q", "--json", "all.l2s", stdout=subprocess.PIPE).stdout.decode().splitlines()
    ids = []
    for line in map(json.loads, out):
        if "completions" in line:
            ids += line["prompt"] + [t for c in line["completions"] for t in c["tokens"]]
    return ids


def stream(name, ids):
    lines = [{"magic": "l2s", "version": 1, "vocabulary": None, "history": []},
             {"id": 0, "prompt": ids[:1], "completions": [{"tokens": ids[1:]}]},
             {"complete": True, "records": 1, "tokens": len(ids)}]
    run("l2-cat", "-q", "--from-json", "-o", name, input="".join(json.dumps(x) + "\n" for x in lines).encode())


def rate(step):
    if step <= WARMUP:
        return LR * step / WARMUP
    done = (step - WARMUP) / (steps - WARMUP)
    return LR * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


def loss_of(model, x, y):
    logits = model.logits(x)
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


def held_out(weights, ids):
    model = Llama(weights[0], weights[1], dtype=torch.float32)
    n = len(ids) // CONTEXT * CONTEXT
    x = torch.tensor(ids[:n]).view(-1, CONTEXT)
    y = torch.tensor(ids[1:n + 1]).view(-1, CONTEXT)
    with torch.no_grad():
        return sum(loss_of(model, x[i:i + 50], y[i:i + 50]).item() * len(x[i:i + 50]) for i in range(0, len(x), 50)) / len(x)


def train_torch(ids):
    cfg, w = load_hf("start")
    model = Llama(cfg, w, dtype=torch.float32, grad=True)
    params = list(model.params().values())
    groups = [{"params": [p for p in params if p.dim() == 2], "weight_decay": 0.1},
              {"params": [p for p in params if p.dim() < 2], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), eps=1e-5)
    losses = []
    for step in range(1, steps + 1):
        at = (step - 1) * BATCH * CONTEXT
        x = torch.tensor(ids[at:at + BATCH * CONTEXT]).view(BATCH, CONTEXT)
        y = torch.tensor(ids[at + 1:at + 1 + BATCH * CONTEXT]).view(BATCH, CONTEXT)
        for g in opt.param_groups:
            g["lr"] = rate(step)
        opt.zero_grad(set_to_none=True)
        loss = loss_of(model, x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        losses.append(loss.item())
    return losses, (cfg, {k: v.detach() for k, v in model.w.items()})


torch.set_num_threads(1)
everything = tokens()
need = steps * BATCH * CONTEXT + 1
held = everything[-5000:]
assert need <= len(everything) - len(held), f"at most {(len(everything) - len(held) - 1) // (BATCH * CONTEXT)} steps"
stream("train.l2s", everything[:need])
bad = []
theirs, weights = train_torch(everything[:need])
want = held_out(weights, held)
print(f"{steps} steps, held-out loss: PyTorch {want:.4f}, at the start {held_out(load_hf('start'), held):.4f}")
for name, options in (("f32", []), ("bf16", ["--bf16"])):
    run("l2-train", "pretrain", "-q", "-m", "start", "-o", name, "--data", "train.l2s", "--keep-order", "--context", str(CONTEXT), "--batch",
        str(BATCH), "--micro-batch", str(BATCH), "-j", "1", "--steps", str(steps), "--warmup", str(WARMUP), "--lr", str(LR), "--log", name + ".jsonl",
        *options)
    ours = [json.loads(line)["loss"] for line in open(name + ".jsonl")]
    got = held_out(load_hf(name), held)
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
    print(f"l2 {name}: {got:.4f}, {100 * (got / want - 1):+.3f} %; training loss of a step at most {100 * worst:.3f} % from PyTorch's")
    if len(ours) != steps or abs(got / want - 1) > 0.01:
        bad.append(name)
sys.exit(f"too far: {', '.join(bad)}" if bad else 0)
