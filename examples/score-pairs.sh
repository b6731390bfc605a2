#!/bin/sh
# Scores a file of preference pairs with a reward model in the Hub's format; the accuracy goes to standard error.
# SPDX-License-Identifier: MIT
#
#   sh score-pairs.sh REWARD-MODEL PAIRS.jsonl [BY-FIELD] > scored.jsonl
#
# REWARD-MODEL is a directory as transformers and TRL save a LlamaForSequenceClassification with one label:
# config.json, *.safetensors and the tokenizer. PAIRS.jsonl has chosen and rejected, with or without prompt, as
# texts, lists of messages or HH dialogues. The rows come back with completions[].scores.reward, the
# chosen answer's first. With BY-FIELD the accuracy is told for each value of that field of the rows, too.
# TEMPLATE names the chat template that dialogues are rendered with: auto (what the model says), llama2, none, ...

set -eu
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: sh score-pairs.sh reward-model pairs.jsonl [by-field]" >&2
    exit 2
fi
model=$1 pairs=$2 field=${3-}

l2-tokenize -q -z "$model" --template "${TEMPLATE:-none}" --jsonl "$pairs" |
    l2-score -m "$model" --as reward ${field:+--by-field "$field"} |
    l2-tokenize -q -d -z "$model"
