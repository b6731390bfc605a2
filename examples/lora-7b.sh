#!/bin/sh
# One LoRA step of a 7b model: what memory it takes and how long. Fits a machine with 24 GB.
# SPDX-License-Identifier: MIT
#
#   sh lora-7b.sh MODEL DATA.jsonl ADAPTERS [OPTION]...
#
# MODEL is a checkpoint. Where it is absent it is made with random weights in BF16, from PRESET (7b) and the
# vocabulary VOCAB, to see what the step takes before one has the weights. DATA.jsonl has prompts with answers or
# pairs. ADAPTERS is the directory to make; options go to l2-train: --steps 1000 instead of a single step.
# Standard error has the plan, the loss, and in the end, with GNU time, the seconds and the largest resident size:
# it includes pages of the model's file, which the system takes back where it needs memory.

set -eu
if [ $# -lt 3 ]; then
    echo "usage: sh lora-7b.sh model data.jsonl adapters [option]..." >&2
    exit 2
fi
model=$1 data=$2 adapters=$3
shift 3
if [ ! -e "$model" ]; then
    l2-model init -q -s 1 --dtype BF16 -z "${VOCAB:?a vocabulary for random weights}" -o "$model" "${PRESET:-7b}"
fi
stream=$adapters.l2s
trap 'rm -f "$stream"' EXIT
l2-tokenize -q -z "$model" --template "${TEMPLATE:-none}" --jsonl "$data" -o "$stream"

set -- l2-train sft -m "$model" -o "$adapters" --data "$stream" --overlong truncate-left --lora-rank 8 \
    --recompute --bf16 --context 512 --batch 1 --steps 1 --log-every 1 "$@"
if /usr/bin/time -f '' true 2>/dev/null; then
    /usr/bin/time -f '%e s, largest resident size %M KiB' "$@"
else
    "$@"
fi
