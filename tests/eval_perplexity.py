#!/usr/bin/python3
"""Perplexities of texts in windows, calculated apart from l2: SentencePiece's ids, a Llama in numpy and float64, each
window computed on its own.

usage: eval_perplexity.py MODEL tokenizer.model NAME WINDOW CONTEXT FILE.txt|FIELD    compares with NAME.json"""
# SPDX-License-Identifier: MIT
import json
import math
import re
import sys

import numpy as np
import sentencepiece

import llama_numpy


def logprob(model, ids, window, context):
    """Of ids[1:], ids[0] being BOS: token by token, from what its window has before it."""
    c, w = model
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    total, done = 0.0, 1
    while done < len(ids):
        step = window if done == 1 else window - context + 1
        end = min(done + step, len(ids))
        given = ids[max(0, end - 1 - window):end - 1]
        logits = llama_numpy.hidden(c, w, given) @ head.T
        top = logits.max(axis=1, keepdims=True)
        logp = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        for i in range(end - done):
            total += logp[-1 - i, ids[end - 1 - i]]
        done = end
    return total


def main():
    model = llama_numpy.read_model(sys.argv[1])
    sp = sentencepiece.SentencePieceProcessor(model_file=sys.argv[2])
    name, window, context, what = sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
    if what.endswith(".txt"):
        texts = [open(what, newline="").read()]
    else:
        texts = [json.loads(line)[what] for line in open("rows.jsonl")]
    ids = [[sp.bos_id()] + sp.encode(t) for t in texts]
    ll = sum(logprob(model, i, window, context) for i in ids)
    tokens = sum(len(i) - 1 for i in ids)
    words = sum(len(re.split(r"\s+", t)) for t in texts)
    size = sum(len(t.encode()) for t in texts)
    got = json.load(open(name + ".json"))["results"]["perplexity"]
    for key, want in (("perplexity", math.exp(-ll / tokens)), ("word_perplexity", math.exp(-ll / words)),
                      ("byte_perplexity", math.exp(-ll / size)), ("bits_per_byte", -ll / size / math.log(2)),
                      ("bits_per_word", -ll / words / math.log(2))):
        assert abs(got[key + ",none"] / want - 1) < 1e-4, (key, want, got[key + ",none"])


main()
