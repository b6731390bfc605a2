"""Adapters as PEFT defines them: the merged model is the base plus alpha / r B A. Arguments: base, adapters, merged."""
# SPDX-License-Identifier: MIT
import json
import os
import struct
import sys

import numpy as np


def read(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for key, v in json.loads(raw[8:8 + n]).items():
        if key != "__metadata__":
            a, b = v["data_offsets"]
            out[key] = np.frombuffer(raw[8 + n + a:8 + n + b], {"F32": "<f4"}[v["dtype"]]).astype(np.float64).reshape(v["shape"])
    return out


base, merged = (read(os.path.join(sys.argv[i], "model.safetensors")) for i in (1, 3))
adapter = read(os.path.join(sys.argv[2], "adapter_model.safetensors"))
config = json.load(open(os.path.join(sys.argv[2], "adapter_config.json")))
assert config["peft_type"] == "LORA" and config["bias"] == "none"
scale = config["lora_alpha"] / config["r"]
changed = 0
for name, want in list(base.items()):
    prefix = "base_model.model." + name[:-len(".weight")]
    a, b = adapter.pop(prefix + ".lora_A.weight", None), adapter.pop(prefix + ".lora_B.weight", None)
    assert (a is not None) == (name.split(".")[-2] in config["target_modules"]), name
    if a is not None:
        assert a.shape[0] == b.shape[1] == config["r"]
        want = want + scale * (b @ a)
        changed += np.abs(b).max() > 0
    if name == "lm_head.weight" and name not in merged:
        continue
    assert np.abs(merged.pop(name) - want).max() < 1e-6, name
if "base_model.model.score.weight" in adapter:
    assert config["task_type"] == "SEQ_CLS" and config["modules_to_save"] == ["score"]
    assert np.array_equal(merged.pop("score.weight"), adapter.pop("base_model.model.score.weight"))
assert not adapter and not merged and changed, (list(adapter), list(merged), changed)
