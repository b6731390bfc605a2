# Near duplicates that l2-clean finds, against Jaccard similarities computed here over all pairs.
# SPDX-License-Identifier: MIT
#
#   clean_near.py N        N originals, each with an edited copy; prints precision, recall and counts as
#                          "precision 0.98 recall 0.99 sure 120 of 120 false 0", and exits with 1 where
#                          a pair far above the threshold was missed or one far below was dropped

import json, random, re, subprocess, sys, tempfile

THRESHOLD, MARGIN, NGRAM = 0.8, 0.1, 5


def words(text):
    return re.findall(r"[^\W_]+", text.lower())


def shingles(text):
    w = words(text)
    return {tuple(w[i:i + NGRAM]) for i in range(len(w) - NGRAM + 1)}


def jaccard(a, b):
    return len(a & b) / len(a | b) if a or b else 0.0


def edited(rng, text, vocabulary, share):
    out = []
    for w in text.split():
        x = rng.random()
        if x < share / 3:
            continue
        out.append(rng.choice(vocabulary) if x < 2 * share / 3 else w)
        if 2 * share / 3 <= x < share:
            out.append(rng.choice(vocabulary))
    return " ".join(out).capitalize() + "!"


def main():
    n, rng = int(sys.argv[1]), random.Random(7)
    vocabulary = ["".join(rng.choice("abcdefghijklmnoprstuvw") for _ in range(rng.randint(2, 9))) for _ in range(3000)]
    docs = []
    for _ in range(n):
        text = " ".join(rng.choice(vocabulary) for _ in range(rng.randint(60, 600)))
        docs += [text, edited(rng, text, vocabulary, rng.choice([0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2]))]
    order = list(range(len(docs)))
    rng.shuffle(order)
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/in.jsonl", "w") as f:
            for i in order:
                f.write(json.dumps({"id": i, "text": docs[i]}) + "\n")
        with open(d + "/near.yaml", "w") as f:
            f.write("near: {similarity: %g, ngram: %d}\n" % (THRESHOLD, NGRAM))
        out = subprocess.run(["l2-clean", "-q", "--memory", "64M", "--rules", d + "/near.yaml", d + "/in.jsonl"],
                             check=True, stdout=subprocess.PIPE).stdout
    kept = {json.loads(line)["id"] for line in out.splitlines()}
    sets = [shingles(t) for t in docs]
    # each text has one other that can be like it; texts of different originals share next to nothing
    for i in range(0, min(len(docs), 400), 2):
        for j in range(i + 2, min(len(docs), 400), 2):
            assert jaccard(sets[i], sets[j]) < 0.05
    hits = false = missed = sure = sure_hits = wrong = 0
    for i in range(0, len(docs), 2):
        dropped, s = (i in kept) != (i + 1 in kept), jaccard(sets[i], sets[i + 1])
        assert i in kept or i + 1 in kept, "both were dropped"
        hits += dropped and s >= THRESHOLD
        false += dropped and s < THRESHOLD
        missed += not dropped and s >= THRESHOLD
        sure += s >= THRESHOLD + MARGIN
        sure_hits += dropped and s >= THRESHOLD + MARGIN
        wrong += dropped and s < THRESHOLD - MARGIN
    print("precision %.3f recall %.3f sure %d of %d false %d pairs %d" %
          (hits / (hits + false), hits / (hits + missed), sure_hits, sure, wrong, n))
    return 1 if wrong or sure_hits < sure or sure < n // 10 else 0


sys.exit(main())
