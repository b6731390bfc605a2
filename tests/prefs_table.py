"""Prints the columns of the Llama 2 paper's table 6 for HH rows, counted with SentencePiece.

usage: prefs_table.py TOKENIZER.model ROWS.jsonl
SPDX-License-Identifier: MIT
"""
import json
import re
import sys

import sentencepiece

encoder = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])


def turns(dialogue):
    parts = re.split(r"(?:^|\n\n)(Human|Assistant):", dialogue)
    return [(role, text.removeprefix(" ")) for role, text in zip(parts[1::2], parts[2::2])]


def tokens(messages, role):
    return sum(len(encoder.encode(text)) for r, text in messages if r == role)


n = users = prompts = responses = prompt_tokens = response_tokens = 0
example_tokens = 0.0
for line in open(sys.argv[2]):
    row = json.loads(line)
    a, b = turns(row["chosen"]), turns(row["rejected"])
    common = 0
    while common < min(len(a), len(b)) - 1 and a[common] == b[common]:
        common += 1
    prompt, sides = a[:common], (a[common:], b[common:])
    every = prompt + sides[0] + sides[1]
    n += 1
    users += sum(r == "Human" for r, _ in a)
    prompts += sum(r == "Human" for r, _ in every)
    responses += sum(r == "Assistant" for r, _ in every)
    prompt_tokens += tokens(every, "Human")
    response_tokens += tokens(every, "Assistant")
    rest = [tokens(s, "Human") + tokens(s, "Assistant") for s in sides]
    example_tokens += tokens(prompt, "Human") + tokens(prompt, "Assistant") + sum(rest) / 2
print(json.dumps({
    "comparisons": n,
    "turns_per_dialogue": users / n,
    "tokens_per_example": example_tokens / n,
    "tokens_per_prompt": prompt_tokens / prompts,
    "tokens_per_response": response_tokens / responses,
}))
