#!/usr/bin/python3
"""Filters and metrics of generated answers, calculated apart from l2 from what the sample rows say that the
model wrote: Python's re, SQuAD's scores as its script has them, pass@k by counting all subsets.

usage: eval_answers.py right|'' SAMPLES.jsonl RESULTS.json    right: of a model that is right here and there"""
# SPDX-License-Identifier: MIT
import collections
import itertools
import json
import re
import string
import sys


def squad(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(answer, reference):
    a, b = squad(answer).split(), squad(reference).split()
    common = sum((collections.Counter(a) & collections.Counter(b)).values())
    if not a or not b:
        return float(a == b)
    return 2 * common / (len(a) + len(b)) if common else 0.0


def number(text):
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+", text)
    return float(found[-1].replace(",", "")) if found else None


def word(text):
    found = re.findall(r"([A-Z]\w*)|(\d+)", text)
    return ([x for x in found[0] if x][0] if found else "[invalid]").lower()


def last(text):
    found = re.findall(r"\w+", text)
    return found[-1] if found else "none"


FILTERS = {"word": word, "last": last, "all": str.strip}


def plain(text):
    return "".join(c for c in text.lower() if c not in string.punctuation)


def metrics(answers, references):
    low = [r.lower() for r in references]
    right = [a.lower() in low for a in answers]
    votes = collections.Counter(a.lower() for a in answers[:3])
    winner = max([a.lower() for a in answers[:3]], key=lambda a: votes[a])
    n = number(answers[0])
    subsets = list(itertools.combinations(right, 3))
    return {"exact_match": plain(answers[0]) in [plain(r) for r in references],
            "numeric_match": n is not None and n in [number(r) for r in references],
            "f1": max(f1(answers[0], r) for r in references),
            "em": any(squad(answers[0]) == squad(r) for r in references),
            "maj@3": winner in low, "pass@1": sum(right) / len(right),
            "pass@3": sum(any(s) for s in subsets) / len(subsets)}


def main():
    rows = [json.loads(line) for line in open(sys.argv[2])]
    results = json.load(open(sys.argv[3]))["results"]["sums"]
    sums = collections.defaultdict(list)
    for row in rows:
        references = row["doc"]["a"] if isinstance(row["doc"]["a"], list) else [row["doc"]["a"]]
        assert row["target"] == references, row["target"]
        answers = [FILTERS[row["filter"]](r) for r in row["resps"][0]]
        assert answers == row["filtered_resps"] and len(answers) == 4, (answers, row["filtered_resps"])
        for name, want in metrics(answers, references).items():
            assert abs(row[name] - want) < 1e-12, (row, name, want)
            sums[name + "," + row["filter"]].append(float(want))
    assert len(sums) == 21
    for key, v in sums.items():
        mean = sum(v) / len(v)
        error = (sum((x - mean) ** 2 for x in v) / (len(v) - 1) / len(v)) ** 0.5
        assert abs(results[key] - mean) < 1e-12, (key, results[key], mean)
        assert abs(results[key.replace(",", "_stderr,")] - error) < 1e-12, key
    if sys.argv[1] == "right":
        same = [key for key, v in sums.items() if len(set(v)) == 1]
        assert len(same) <= 9, ("rows that test nothing", same)


main()
