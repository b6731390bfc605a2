#!/usr/bin/python3
"""Makes tiny.pth, the smallest checkpoint that fuzzing params.json describes: dim 64, 2 layers, vocabulary 4, hidden 8, as
torch.save writes it, tensors of a layer in one storage. Needs Debian's python3-torch."""
# SPDX-License-Identifier: MIT
import pathlib

import torch

torch.manual_seed(1)
state = {"tok_embeddings.weight": torch.randn(4, 64), "norm.weight": torch.ones(64), "output.weight": torch.randn(4, 64)}
for i in range(2):
    shapes = {"attention.wq.weight": (64, 64), "attention.wk.weight": (32, 64), "attention.wv.weight": (32, 64),
              "attention.wo.weight": (64, 64), "feed_forward.w1.weight": (8, 64), "feed_forward.w2.weight": (64, 8),
              "feed_forward.w3.weight": (8, 64), "attention_norm.weight": (64,), "ffn_norm.weight": (64,)}
    storage = torch.randn(sum(torch.Size(s).numel() for s in shapes.values())).to(torch.bfloat16)
    at = 0
    for name, shape in shapes.items():
        n = torch.Size(shape).numel()
        state[f"layers.{i}.{name}"] = storage[at:at + n].view(shape)
        at += n
torch.save({k: v.to(torch.bfloat16) if "layers" not in k else v for k, v in state.items()},
           pathlib.Path(__file__).parent / "tiny.pth")
