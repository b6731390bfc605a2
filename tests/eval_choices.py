#!/usr/bin/python3
"""Choices by log-likelihood, calculated apart from l2: SentencePiece's ids, a Llama in numpy and float64,
lm-evaluation-harness's rules, numpy's deviations.

usage: eval_choices.py MODEL tokenizer.model ROWS.jsonl RESULTS.json"""
# SPDX-License-Identifier: MIT
import json
import sys

import numpy as np
import sentencepiece

import llama_numpy


def score(model, sp, context, continuation):
    """Sum of the continuation's log-probabilities, and whether it is what the model would say."""
    stripped = context.rstrip()
    continuation = context[len(stripped):] + continuation
    before = sp.encode(stripped) if stripped else []
    after = sp.encode(stripped + continuation)[len(before):]
    ids = [sp.bos_id()] + before + after
    c, w = model
    logits = llama_numpy.hidden(c, w, ids) @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
    logits -= logits.max(axis=1, keepdims=True)
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = logp[len(ids) - len(after) - 1:-1]
    return rows[np.arange(len(after)), after].sum(), bool((rows.argmax(axis=1) == after).all())


def metrics(row, scored):
    gold = row["gold"] if isinstance(row["gold"], list) else [row["gold"]]
    ll = np.array([s for s, _ in scored])
    chars = np.array([len(c) for c in row["choices"]], float)
    size = np.array([len(c.encode()) for c in row["choices"]], float)
    p = np.exp(ll) / np.exp(ll).sum()
    want = np.array([1 / len(gold) if i in gold else 0 for i in range(len(ll))])
    return {"acc": ll.argmax() in gold, "acc_norm": (ll / chars).argmax() in gold,
            "acc_bytes": (ll / size).argmax() in gold, "exact_match": any(scored[g][1] for g in gold),
            "mc2": p[gold].sum(), "brier_score": ((p - want) ** 2).sum()}


def main():
    model = llama_numpy.read_model(sys.argv[1])
    sp = sentencepiece.SentencePieceProcessor(model_file=sys.argv[2])
    rows = [json.loads(line) for line in open(sys.argv[3])]
    got = json.load(open(sys.argv[4]))["results"]["choices"]
    all_of = [metrics(r, [score(model, sp, r["context"], " " + c) for c in r["choices"]]) for r in rows]
    for name in all_of[0]:
        v = np.array([float(m[name]) for m in all_of])
        for key, want in ((name, v.mean()), (name + "_stderr", v.std(ddof=1) / len(v) ** 0.5)):
            have = got[key + ",none"]
            assert abs(have - want) < 2e-4, (key, want, have)
    assert len({m["acc"] for m in all_of}) == 2, "all right or all wrong: rows that test nothing"


main()
