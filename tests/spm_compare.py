#!/usr/bin/python3
"""Compares l2-tokenize with SentencePiece itself.

    spm_compare.py MODEL lines FILE        ids of every line of FILE
    spm_compare.py MODEL pages BYTES       the same for manual pages of all languages that are installed,
                                           BYTES in all at least (status 77 where there are less)
    spm_compare.py MODEL random            ids of strings made to be hard
    spm_compare.py MODEL template          dialogues against the definition of the llama2 template
    spm_compare.py MODEL hh FILE.jsonl     prompts of preference pairs end at a turn's boundary

Prints what was compared; status 1 when anything differs."""
# SPDX-License-Identifier: MIT
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys

import sentencepiece

model = sys.argv[1]
spm = sentencepiece.SentencePieceProcessor(model_file=model)


def records(data, *options):
    """The records that l2-tokenize makes of data."""
    tokenize = subprocess.Popen(["l2-tokenize", "-q", "-z", model, *options], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
    cat = subprocess.Popen(["l2-cat", "-q", "--json"], stdin=tokenize.stdout, stdout=subprocess.PIPE)
    tokenize.stdout.close()
    if os.fork() == 0:
        tokenize.stdin.write(data)
        tokenize.stdin.close()
        os._exit(0)
    tokenize.stdin.close()
    for line in cat.stdout:
        yield json.loads(line)
    if tokenize.wait() != 0 or cat.wait() != 0:
        sys.exit("a program failed")


def compare(lines, what):
    """lines: bytes without newlines."""
    n = different = size = 0
    for line, record in zip(lines, records(b"".join(line + b"\n" for line in lines), "--lines", "--no-bos",
                                           "--no-eos")):
        n += 1
        size += len(line)
        want = spm.encode(line)
        got = record["completions"][0]["tokens"]
        if want != got:
            different += 1
            if different <= 3:
                print(f"{line!r}\n  want {want}\n  got  {got}")
    print(f"{what}: {n} lines, {size} bytes, {different} differ")
    return n == len(lines) and different == 0


def is_utf8(line):
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def pages(want):
    root = pathlib.Path("/usr/share/man")
    languages = {}
    for path in sorted(root.glob("**/*.gz")):
        top = path.relative_to(root).parts[0]
        if not path.is_symlink():
            languages.setdefault("en" if top.startswith("man") else top, []).append(path)
    corpus = {}
    share = 2 * want // max(1, min(len(languages), 12))
    for language, paths in sorted(languages.items()):
        random.shuffle(paths)
        lines, size = [], 0
        for path in paths:
            try:
                page = gzip.open(path).read()
            except OSError:
                continue
            lines += [line for line in page.split(b"\n") if is_utf8(line)]
            size += len(page)
            if size > share:
                break
        corpus[language] = lines
    size = sum(len(line) for lines in corpus.values() for line in lines)
    if size < want:
        print(f"{size} bytes of manual pages, want {want}")
        sys.exit(77)
    good = True
    for language, lines in corpus.items():
        good = compare(lines, language) and good
    total = sum(map(len, corpus.values()))
    print(f"all: {total} lines, {size} bytes, {len(corpus)} languages")
    return good


def hard_strings():
    alphabets = [list("ab "), [" ", "\u2581", "a", "b"], [chr(c) for c in range(32, 127)],
                 list("é世界語 \ufffd\U0001f600aeiou1234"), list("the of and "),
                 [chr(c) for c in range(0x4E00, 0x4F00)] + [" "],
                 [chr(c) for c in range(1, 0x800) if c != 10]]
    for _ in range(20000):
        alphabet = random.choice(alphabets)
        yield "".join(random.choice(alphabet) for _ in range(random.choice([1, 2, 3, 5, 10, 30, 100, 300])))
    size = spm.get_piece_size()
    for _ in range(20000):
        pieces = [spm.id_to_piece(random.randrange(3, size)) for _ in range(random.randrange(1, 9))]
        yield "".join(p.replace("\u2581", random.choice([" ", "\u2581"])) for p in pieces).replace("\n", "")


def definition(turns):
    """The llama2 template, from llama/generation.py's description."""
    turns = [dict(t) for t in turns]
    if turns[0]["role"] == "system":
        turns[1]["content"] = f"<<SYS>>\n{turns[0]['content']}\n<</SYS>>\n\n{turns[1]['content']}"
        turns = turns[1:]
    ids = []
    for user, answer in zip(turns[::2], turns[1::2]):
        text = f"[INST] {user['content'].strip()} [/INST] {answer['content'].strip()} "
        ids += [spm.bos_id(), *spm.encode(text), spm.eos_id()]
    if len(turns) % 2:
        ids += [spm.bos_id(), *spm.encode(f"[INST] {turns[-1]['content'].strip()} [/INST]")]
    return ids


def template():
    words = ["", " ", "\n", "hi", " the", "\u00a0", "\u3000", "\u2581", "[INST]", "</s>", "世界", "\t", "7", "."]
    dialogues = []
    for _ in range(3000):
        turns = [{"role": "system", "content": "x"}] if random.random() < 0.5 else []
        turns += [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}] * random.randrange(4)
        if not turns or turns[-1]["role"] == "system" or random.random() < 0.5:
            turns += [{"role": "user", "content": ""}]
        dialogues.append([{"role": t["role"], "content": "".join(random.choices(words, k=random.randrange(9)))}
                          for t in turns])
    rows = "".join(json.dumps({"messages": d}) + "\n" for d in dialogues).encode()
    n = different = 0
    for dialogue, r in zip(dialogues, records(rows, "--jsonl", "--template", "llama2")):
        n += 1
        got = r["prompt"] + [t for c in r["completions"] for t in c["tokens"]]
        if got != definition(dialogue):
            different += 1
            if different <= 3:
                print(f"{dialogue}\n  want {definition(dialogue)}\n  got  {got}")
    print(f"llama2: {n} dialogues, {different} differ")
    return n == len(dialogues) and different == 0


def hh(path):
    marker = "\n\nAssistant:"
    n = bad = 0
    rows = open(path, "rb").read()
    for row, r in zip(map(json.loads, rows.splitlines()), records(rows, "--jsonl")):
        n += 1
        chosen, rejected = row["chosen"], row["rejected"]
        prompt = spm.decode(r["prompt"])
        common = os.path.commonprefix([chosen, rejected])
        at = common.rfind(marker) + len(marker)
        good = r["prompt"][0] == spm.bos_id() and prompt == common[:at] and prompt.endswith(marker)
        # ids of each side are those of the two parts on their own
        good = good and r["prompt"][1:] == spm.encode(prompt)
        good = good and all(c["tokens"][-1] == spm.eos_id() for c in r["completions"])
        good = good and [spm.decode(r["prompt"] + c["tokens"]) for c in r["completions"]] == [chosen, rejected]
        bad += not good
    print(f"hh: {n} pairs, {bad} wrong")
    return n > 0 and n == rows.count(b"\n") and bad == 0


random.seed(2)
what = sys.argv[2]
if what == "lines":
    fine = compare(open(sys.argv[3], "rb").read().removesuffix(b"\n").split(b"\n"), "lines")
elif what == "pages":
    fine = pages(int(sys.argv[3]))
elif what == "random":
    fine = compare([s.encode() for s in hard_strings()], "random")
elif what == "template":
    fine = template()
elif what == "hh":
    fine = hh(sys.argv[3])
sys.exit(0 if fine else 1)
