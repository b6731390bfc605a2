#!/bin/sh
# The scripts in examples/ that do one job each: pairs scored, data sets for TRL, shards as jobs.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures f
cd f || exit 99
for m in model rm; do
    [ -e $m/tokenizer.model ] || cp tokenizer.model $m/
done
examples=$L2_SRC/examples

# ---- score-pairs.sh ----
ok 'pairs are scored' sh "$examples/score-pairs.sh" rm pairs.jsonl source
sh "$examples/score-pairs.sh" rm pairs.jsonl >scored.jsonl 2>err
is 'each answer has a reward' 6 "$(jq '.completions[].scores.reward' scored.jsonl | grep -c '[0-9]')"
is 'and the rows are those that went in' "$(jq -c '[.prompt, .chosen, .rejected]' pairs.jsonl)" \
    "$(jq -c '[.prompt, .chosen, .rejected]' scored.jsonl)"
right=$(jq -s 'map(select(.completions[0].scores.reward > .completions[1].scores.reward)) | length' scored.jsonl)
ok 'the accuracy that is told is that of the rewards' grep -q "\"accuracy\":$(awk "BEGIN { printf \"%.4g\", $right / 3 }" | cut -c 1-5)" err
fails 2 usage 'a file too few' sh "$examples/score-pairs.sh" rm

# ---- rsample-trl.sh ----
K=4
TOKENS=8 sh "$examples/rsample-trl.sh" model rm prompts.jsonl trl $K 2>err
is 'a row of SFT and of DPO for each prompt' '3 3' "$(wc -l <trl/sft.jsonl | tr -d ' ') $(wc -l <trl/dpo.jsonl | tr -d ' ')"
is 'the best answer is the chosen one' "$(jq -c '.completion' trl/sft.jsonl)" "$(jq -c '.chosen' trl/dpo.jsonl)"
l2-cat -q --json trl/answers.l2s >answers.json
is 'it is the one with the largest reward' \
    "$(jq '[.completions[].scores.reward] | max * 10000 | round' answers.json)" \
    "$(jq '.completions[0].scores.reward * 10000 | round' trl/sft.jsonl)"
cp trl/dpo.jsonl dpo.before
ok 'a second run' env TOKENS=8 sh "$examples/rsample-trl.sh" model rm prompts.jsonl trl $K
same 'takes the answers that are there' dpo.before trl/dpo.jsonl
is 'out of so many' "$K $K $K" "$(jq '.completions | length' answers.json | tr '\n' ' ' | sed 's/ $//')"

# ---- lora-7b.sh ----
presets=$L2_SRC/examples/presets
VOCAB=tokenizer.model PRESET=$presets/tiny.yaml sh "$examples/lora-7b.sh" random pairs.jsonl low --context 64 2>err
is 'a LoRA step of random weights' 0 $?
ok 'tells the plan' grep -q 'memory: .* adapters' err
ok 'and one loss' grep -q 'step 1 of 1: loss' err
is 'random weights are in BF16' 1 "$(tr ',' '\n' <random/config.json | grep -c '"torch_dtype": *"bfloat16"')"
is 'adapters are written, and no stream is left' 'yes no' \
    "$([ -e low/adapter_model.safetensors ] && echo yes || echo no) $([ -e low.l2s ] && echo yes || echo no)"
before=$(ls -l --time-style=full-iso random)
sh "$examples/lora-7b.sh" random pairs.jsonl lower --context 64 --steps 3 2>err
is 'a model that is there is taken' 0 $?
is 'as it is' "$before" "$(ls -l --time-style=full-iso random)"
ok 'for as many steps as one wants' grep -q 'step 3 of 3: loss' err
fails 1 'vocabulary for random weights|VOCAB' 'random weights want a vocabulary' env -u VOCAB sh -c 'sh "$1" none pairs.jsonl x; [ $? -ne 0 ] && exit 1' sh "$examples/lora-7b.sh"
fails 2 usage 'a file too few of three' sh "$examples/lora-7b.sh" random pairs.jsonl

# ---- slurm-array.sh ----
l2-tokenize -q -z tokenizer.model -o prompts.l2s prompts.jsonl
K=2 TOKENS=5 SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 sh "$examples/slurm-array.sh" model rm prompts.l2s jobs 2>err
K=2 TOKENS=5 sh "$examples/slurm-array.sh" model rm prompts.l2s jobs 2/2 2>>err
rows() { l2-cat -q --json "$@" | jq -S -c '[.id, .completions]' | sort; }
is 'two jobs are one run' "$(l2-generate -q -m model -k 2 -n 5 prompts.l2s | l2-score -q -m rm --as reward >whole.l2s; rows whole.l2s)" \
    "$(rows jobs-1-2.l2s jobs-2-2.l2s)"
before=$(ls -l --time-style=full-iso jobs-1-2.l2s)
K=2 TOKENS=5 sh "$examples/slurm-array.sh" model rm prompts.l2s jobs 1/2
is 'a finished job does nothing' "$before" "$(ls -l --time-style=full-iso jobs-1-2.l2s)"
ok 'neither Slurm nor a shard' sh -c '! env -u SLURM_ARRAY_TASK_ID sh "$1" model rm prompts.l2s other' sh "$examples/slurm-array.sh"
if have parallel; then
    K=2 TOKENS=5 parallel --will-cite -j 2 sh "$examples/slurm-array.sh" model rm prompts.l2s par '{}/2' ::: 1 2 2>>err
    is 'GNU parallel runs them, too' "$(rows whole.l2s)" "$(rows par-1-2.l2s par-2-2.l2s)"
else
    skip 'GNU parallel runs them, too' 'parallel is not installed'
fi
finish
