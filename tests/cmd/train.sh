#!/bin/sh
# l2-train: losses fall, runs that were killed or stopped end in the same bits, what is refused; against
# the reference, gradients and twenty steps.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
l2-tokenize -q -z tokenizer.model --lines text.txt -o text.l2s
l2-tokenize -q -z tokenizer.model pairs.jsonl -o pairs.l2s

# ---- resuming ----

stream=text.l2s
# pretrain OUT [OPTION...]: becomes the command
pretrain() {
    out=$1
    shift
    exec l2-train pretrain -q -m model -o "$out" --data "$stream" --context 16 --batch 2 --lr 1e-3 \
        --steps 24 -j 1 "$@"
}
run() {
    (pretrain "$@")
}
# wait_lines FILE N PID: until FILE has N lines, or the process is gone
wait_lines() {
    while [ "$(wc -l <"$1")" -lt "$2" ] && kill -0 "$3" 2>/dev/null; do sleep 0.01; done
}
ok 'pretraining' run whole --log whole.jsonl
is 'a line for every step' 24 "$(grep -c '"loss"' whole.jsonl)"
ok 'the result is a model' l2-model show whole
: >killed.jsonl
pretrain killed --save-every 5 --log killed.jsonl &
pid=$!
wait_lines killed.jsonl 12 $pid
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
rm -rf killed # where it was faster
fails 1 'checkpoint of an earlier run' 'an earlier run is not overwritten' run killed --save-every 5
ok 'a run that was killed goes on' run killed --save-every 5 --resume
same 'and ends in the same bits' whole/model.safetensors killed/model.safetensors
is 'two checkpoints are kept' 2 "$(find killed.ckpt -name 'step-*' | wc -l | tr -d ' ')"
rm -rf stopped stopped.ckpt
: >stopped.jsonl
pretrain stopped --save-every 5 --log stopped.jsonl &
pid=$!
wait_lines stopped.jsonl 3 $pid
kill -TERM $pid 2>/dev/null
ok 'SIGTERM ends with 0' wait $pid
ok 'a run that was stopped goes on' run stopped --save-every 5 --resume
same 'and ends in the same bits, too' whole/model.safetensors stopped/model.safetensors
rm -rf killed
for f in killed.ckpt/step-*; do last=$f; done
head -c 1000 "$last" >cut && cp cut "$last"
fails 1 'bytes left: want' 'a cut checkpoint is refused' run killed --resume
fails 1 'is of a run with seed 0: this one has 5' 'another order is refused' run stopped --resume --seed 5
fails 1 'is of a run with lr 0.001: this one has 0.002' 'another rate is refused' run stopped --resume --lr 2e-3
fails 1 'is of a run with schedule cosine: this one has linear' 'another schedule is refused' run stopped \
    --resume --schedule linear
fails 1 'is of a run with steps 24: this one has 28' 'another length is refused' run stopped --resume --steps 28
fails 1 'is of a run with start [0-9a-f]*: this one has' 'another model is refused' run stopped --resume -m whole
fails 1 'is of a run with lora-rank 0: this one has 2' 'adapters in place of parameters are refused' run stopped \
    --resume --lora-rank 2
head -n 3 text.txt >less.txt
l2-tokenize -q -z tokenizer.model --lines less.txt -o less.l2s
stream=less.l2s
fails 1 'the data, or how it is read, differs' 'other data are refused' run stopped --resume
: >stopped.ckpt/step-7.tmp
ok 'unless all that is wanted' run stopped --resume-changed --steps 30 --lr 2e-3 --log longer.jsonl
is 'and then it goes on' 10 "$(grep -c '"loss"' longer.jsonl)"
is 'what a killed process left is gone' '' "$(find stopped.ckpt -name '*.tmp')"
fails 1 'is of a run with dim 64|is of a run with lora-rank 0' 'but not for other values' run stopped --resume-changed \
    --lora-rank 2

# ---- what goes wrong ----

stream=text.l2s

# limited BLOCKS COMMAND...: no file may be larger; a write beyond that fails as on a full disk
limited() (
    trap '' XFSZ
    ulimit -f "$1"
    shift
    "$@"
)
ok 'half a run' run full --save-every 5 --steps 10
cp -R full.ckpt good.ckpt
fails 1 'full.ckpt/step-1[5].tmp: cannot write: File too large' 'a checkpoint that does not fit' limited 1000 \
    run full --resume-changed --save-every 5
ok 'leaves the last one as it was' diff -r good.ckpt full.ckpt
ok 'from which the run goes on' run full --resume-changed --save-every 5
fails 1 'step [0-9]*: loss .*(nan|inf)' 'a loss that is not finite' run wild --lr 10 --weight-decay 10 --schedule constant \
    --warmup 0 --clip 0 --save-every 1 --steps 200
for f in wild.ckpt/step-*; do last=$f; done
ok 'leaves the last checkpoint' test -s "$last"
is 'and no model' no "$(test -e wild && echo yes || echo no)"

fails 1 'grads.tmp: cannot write: File too large' 'gradients that do not fit' limited 100 l2-train sft -m model --data pairs.l2s \
    --batch 2 --dump-grads grads
is 'leave nothing' '' "$(find . -name 'grads*')"

# ---- what it does ----

for kind in pretrain sft reward; do
    ok "gradients of $kind" l2-train $kind -m model -o no-step --data pairs.l2s --batch 2 --epochs 1 --dump-grads grads
    loss=$(sed -n 's/.*"loss":\([0-9.]*\).*/\1/p' "$L2_TMP/stderr")
    l2-train $kind -q -m model -o "step-$kind" --data pairs.l2s --batch 2 --epochs 1 --steps 1 --log "step-$kind.jsonl"
    is 'the loss is that of the first step' "$loss" "$(sed -n 's/.*"loss":\([0-9.]*\).*/\1/p' "step-$kind.jsonl")"
    is 'which is not taken' '' "$(find . -name 'no-step*')"
done

# One record a frame: streams one after the other are a stream.
l2-cat -q --split 1 -o part pairs.l2s
cat part-*.l2s >parts.l2s
is 'a stream of more frames' "$(l2-cat -q --stats --json pairs.l2s | jq .records)" "$(l2-cat -q --stats --json parts.l2s | jq .segments)"
for stream in pairs parts; do
    l2-train sft -q -m model -o "from-$stream" --data $stream.l2s --batch 2 --epochs 1 -s 3
done
ok 'is learnt from in the same order' cmp from-pairs/model.safetensors from-parts/model.safetensors

ok 'a reward model from a policy' l2-train reward -q -m model -o judge --data pairs.l2s --batch 3 \
    --epochs 20 --lr 1e-3 --log judge.jsonl
l2-score -m judge pairs.l2s 2>summary >/dev/null
ok 'it prefers what was chosen' grep -q '"accuracy":1.0' summary
ok 'fine-tuning' l2-train sft -q -m model -o chat --data pairs.l2s --batch 2 --steps 10 --lr 1e-3 \
    --log sft.jsonl
is 'the loss falls' yes "$(sed 's/.*"loss":\([0-9.]*\).*/\1/' sft.jsonl |
    awk 'NR == 1 { first = $1 } END { print $1 < first - 0.5 ? "yes" : first " to " $1 }')"
ok 'bf16, recomputed, from a pipe, held out' sh -c 'cat pairs.l2s | l2-train sft -q -m model -o narrow \
    --data - --bf16 --recompute --steps 2 --batch 2'
ok 'what a run takes of memory' l2-train sft --plan -m "$L2_SRC/examples/presets/7b.yaml" --lora-rank 16 --recompute
is 'a 7b model fits into 24 GB with adapters' yes "$(sed -n 's/.*"all":\([0-9]*\).*/\1/p' "$L2_TMP/stderr" |
    awk '{ print $1 < 24e9 ? "yes" : $1 }')"
fails 2 'unexpected operand' 'data are no operands' l2-train sft -m model -o x pairs.l2s
fails 2 'want -m, -o and --data' 'no data' l2-train sft -m model -o x
fails 2 'no multiple' 'batches that do not divide' l2-train sft -m model -o x --data pairs.l2s --batch 3 --micro-batch 2
fails 1 'chat: exists already|exists' 'a model that exists is refused' l2-train sft -m model -o chat --data pairs.l2s --batch 2
fails 1 'no-such-file' 'a missing stream' l2-train sft -m model -o x --data no-such-file
head -c 100 pairs.l2s >cut.l2s
fails 1 'cut.l2s' 'a cut stream' l2-train sft -m model -o x --data cut.l2s
fails 1 'the context has room for 8' 'an overlong example' l2-train sft -m model -o x --data pairs.l2s --context 8

ok 'evaluated on the way' l2-train sft -m model -o held --data pairs.l2s --held-out 0.4 --batch 1 --steps 4 --eval-every 2 --log held.jsonl
is 'and once in the end' '2 4 ' "$(sed -n 's/^{"step":\([0-9]*\),"eval_loss".*/\1/p' held.jsonl | tr '\n' ' ')"

# With smaller steps what is left of the data is fewer than the steps that are planned.
seq 30 | sed 's/$/ little girls loved to play outside in the park./' >lines.txt
l2-tokenize -q -z tokenizer.model --lines lines.txt -o lines.l2s
shorter() {
    l2-train pretrain -m model -o shorter --data lines.l2s --held-out 0.3 --context 16 --epochs 1 --lr 1e-3 --eval-every 1 \
        --eval-batches 1 --save-every 1 -j 1 "$@"
}
ok 'a large step' shorter --batch 8 --steps 1
ok 'the data end before the planned steps' shorter --batch 1 --resume-changed --log shorter.jsonl
n=$(grep -c '"learning_rate"' shorter.jsonl)
is 'every step is evaluated once' "$(seq 2 $((n + 1)) | tr '\n' ' ')" \
    "$(sed -n 's/^{"step":\([0-9]*\),"eval_loss".*/\1/p' shorter.jsonl | tr '\n' ' ')"
is 'the last one is in the summary' "$(sed -n '$s/.*"eval_loss":\([0-9.]*\).*/\1/p' shorter.jsonl)" \
    "$(sed -n 's/.*"eval_loss":\([0-9.]*\).*/\1/p' "$L2_TMP/stderr")"

# paper SIZE KIND KEY...: the values of the keys in the preset
paper() {
    preset=$L2_SRC/examples/presets/train-$1.yaml kind=$2
    shift 2
    l2-train "$kind" --config "$preset" --print-config | sed "s/e-0*/e-/" >printed
    for key in "$@"; do sed -n "s/^ *$key: //p" printed; done | tr '\n' ' '
}
for row in '7b 0.0003 1e-5' '13b 0.0003 1e-5' '34b 0.00015 1e-5' '70b 0.00015 5e-6'; do
    set -- $row
    is "the paper's table for $1" "$2 2000000000000 4096 1024 2000 0.1 cosine 0.1 0.9 0.95 1e-5 " \
        "$(paper "$1" pretrain lr tokens context batch warmup min-lr schedule weight-decay beta1 beta2 eps)"
    is "answers for $1" "2e-5 4096 64 2 0.1 " "$(paper "$1" sft lr context batch epochs weight-decay)"
    is "rewards for $1" "$3 512 1 0.1 " "$(paper "$1" reward lr batch epochs min-lr)"
done
l2-train sft -m model -o sampled --data pairs.l2s --batch 1 --context 64 --sample-every 1 --sample-prompt 'One day' --sample-tokens 9 \
    --log sampled.jsonl --watts 360 --pue 1.5 --co2-per-kwh 0.4 2>summary
is 'the steps of the epochs are counted before' "$(grep -c '"loss"' sampled.jsonl)" \
    "$(sed -n 's/.* \([0-9]*\) steps of .*/\1/p' summary)"
is 'texts on the way' yes "$(grep -c '"sample":"One day' sampled.jsonl | awk '{ print ($1 > 0 ? "yes" : "no") }')"
l2-train sft -q -m model -o again --data pairs.l2s --batch 1 --context 64 --sample-every 1 --sample-prompt 'One day' --sample-tokens 9 \
    --log again.jsonl
grep '"sample"' sampled.jsonl >first.jsonl
grep '"sample"' again.jsonl >second.jsonl
same 'that the seed decides' first.jsonl second.jsonl
same 'and that change nothing else' sampled/model.safetensors again/model.safetensors
is 'energy and CO2' yes "$(tr ',{}' '\n\n\n' <summary | awk -F: '
    { v[$1] = $2 }
    END { kwh = v["\"hours\""] * 0.54; co2 = v["\"co2_kg\""]
          good = kwh > 0 && v["\"energy_kwh\""] / kwh < 1.001 && v["\"energy_kwh\""] / kwh > 0.999
          good = good && co2 / kwh > 0.3999 && co2 / kwh < 0.4001
          print (good ? "yes" : "no") }')"

# ---- adapters ----

# adapters OUT KIND [OPTION...]
adapters() {
    out=$1 kind=$2
    shift 2
    l2-train "$kind" -q -m model -o "$out" --data pairs.l2s --batch 3 --steps 40 --lr 1e-2 --lora-rank 4 "$@"
}
ok 'adapters of a policy' adapters small sft --log small.jsonl
is 'their loss falls' yes "$(sed 's/.*"loss":\([0-9.]*\).*/\1/' small.jsonl |
    awk 'NR == 1 { first = $1 } END { print $1 < first - 0.5 ? "yes" : first " to " $1 }')"
is 'and are adapters' "adapter_config.json adapter_model.safetensors" "$(ls small | tr '\n' ' ' | sed 's/ $//')"
ok 'they are merged' l2-model merge -q -o large model small
ok 'adapters of a reward model' adapters small-judge reward --lora-targets attention
ok 'they are merged, too' l2-model merge -q -o large-judge model small-judge
l2-score -m large-judge pairs.l2s 2>summary >/dev/null
ok 'it prefers what was chosen' grep -q '"accuracy":1.0' summary
ok 'merging at once' adapters at-once sft --merge --param-type f32
ok 'adapters to parameters in f32' adapters exact sft --param-type f32
l2-model merge -q -o exact-merged model exact
ok 'is the same' sh -c 'l2-model compare --json at-once exact-merged | tee compared'
is 'but for rounding' yes "$(tr ',{' '\n\n' <compared | sed -n 's/^"max":\([0-9.e-]*\)$/\1/p' | sort -g | tail -n 1 |
    awk '{ print $1 < 1e-5 ? "yes" : $1 }')"
fails 2 'no weights' 'adapters have no weights' l2-model merge -o x model small --weight 1 --weight 1
l2-model init -q -s 1 -o other "$L2_SRC/examples/presets/tiny.yaml" --dim 32
fails 1 'want shape' 'adapters of another model' l2-model merge -o x other small
fails 2 'wants --lora-rank' 'nothing to merge' l2-train sft -m model -o x --data pairs.l2s --merge
sed 's/"use_dora"/"x"/; s/"bias": "none"/"bias": "all"/' small/adapter_config.json >changed && cp -R small biased &&
    cp changed biased/adapter_config.json
fails 1 'bias is not supported' 'what PEFT can do besides' l2-model merge -o x model biased
head -c 2000 small/adapter_model.safetensors >biased/adapter_model.safetensors
cp small/adapter_config.json biased/
fails 1 'adapter_model.safetensors' 'cut adapters' l2-model merge -o x model biased

# resumed CASE THREADS OPTION...: a run that is stopped goes on to the same bits
resumed() {
    what=$1 threads=$2
    shift 2
    rm -rf one one.ckpt
    ok "$what" l2-train sft -q -m model -o one --data pairs.l2s --batch 2 --steps 8 --save-every 3 -j "$threads" "$@"
    rm -rf two two.ckpt
    mkdir two.ckpt && cp one.ckpt/step-3 two.ckpt/
    ok 'goes on' l2-train sft -q -m model -o two --resume --data pairs.l2s --batch 2 --steps 8 --save-every 3 -j "$threads" "$@"
    ok 'to the same bits' diff -r one two
}
resumed 'a run with adapters' 1 --lora-rank 2
resumed 'a run with everything in bf16' 1 --param-type bf16 --moment-type bf16
resumed 'a run with moments in bf16' 1 --moment-type bf16
resumed 'a run with two threads' 2
resumed 'a run with two threads and bf16 products' 2 --bf16

# ---- memory ----

if grep -q __asan_init "$L2_BIN/l2-train" || ! [ -r /proc/self/statm ]; then
    skip 'the plan is what a run takes' 'a sanitizer, or no /proc'
else
    l2-model init -q -s 1 --dtype BF16 -z tokenizer.model -o wide "$L2_SRC/examples/presets/110m.yaml" --n-layers 6 --vocab-size 512
    ok 'the plan is what a run takes' python3 - <<'EOF'
import json, resource, subprocess
run = subprocess.run("l2-train reward -j 2 -m wide -o wide-judge --data pairs.l2s --context 64 --lora-rank 4 --batch 1 --steps 1".split(),
                     check=True, stderr=subprocess.PIPE, text=True)
plan = json.loads(run.stderr.splitlines()[-1])["memory"]["all"]
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(f"planned {plan}, at most {peak}")
assert 0.8 * plan < peak < 1.15 * plan + (32 << 20)
EOF
    sed 's/^/# /' "$L2_TMP/stdout"
fi

# ---- against the reference ----

python=
for p in /usr/bin/python3 python3; do
    have $p && $p -c 'import numpy' 2>/dev/null && python=$p && break
done
if [ -n "$python" ]; then
    ok 'adapters are what PEFT defines' "$python" "$L2_SRC/tests/lora_check.py" model small large
    ok 'and so are those with a score head' "$python" "$L2_SRC/tests/lora_check.py" model small-judge large-judge
else
    skip 'adapters are what PEFT defines' 'no numpy'
fi
python=
for p in /usr/bin/python3 python3; do
    have $p && $p -c 'import torch' 2>/dev/null && python=$p && break
done
if [ -n "$L2_SHARED" ] && [ -n "$python" ]; then
    ok 'gradients and twenty steps are those of PyTorch' "$python" "$L2_SRC/tests/train_golden.py" \
        "$L2_SHARED/golden/gqa64"
    sed 's/^/# /' "$L2_TMP/stdout"
    mkdir curve
    ok 'the curve is that of PyTorch, in f32 and bf16' sh -c 'cd curve && exec "$@"' - "$python" "$L2_SRC/tests/train_curve.py" \
        "$L2_SHARED" "$([ "${L2_FULL-}" = 1 ] && echo 400 || echo 20)"
    sed 's/^/# /' "$L2_TMP/stdout"
else
    skip 'gradients and twenty steps are those of PyTorch' 'no shared data, or no PyTorch'
    skip 'the curve is that of PyTorch, in f32 and bf16' 'no shared data, or no PyTorch'
fi
finish
