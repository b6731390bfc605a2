#!/bin/sh
# l2-ppo: an easy task is learnt, the first ratio is 1 to the bit, runs that were killed end in the same bits,
# rollouts are records, and what is refused.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99
l2-tokenize -q -z tokenizer.model prompts.jsonl -o prompts.l2s

# ppo OUT [OPTION...]: becomes the command
ppo() {
    out=$1
    shift
    exec l2-ppo -q -m model -o "$out" -j 1 --batch 12 -k 4 --mini-batch 6 -n 8 --iterations 12 --lr 1e-4 \
        --save-every 2 prompts.l2s "$@"
}
run() {
    (ppo "$@")
}
# field NAME FILE: its values, one a line
field() {
    tr ',{}' '\n\n\n' <"$2" | sed -n "s|^\"$1\":||p"
}
# wait_lines FILE N PID: until FILE has N lines, or the process is gone
wait_lines() {
    while [ "$(wc -l <"$1")" -lt "$2" ] && kill -0 "$3" 2>/dev/null; do sleep 0.01; done
}

# ---- a run ----

ok 'a run' run whole --reward rm --log whole.jsonl --rollouts ro
is 'a line for every iteration' 12 "$(wc -l <whole.jsonl | tr -d ' ')"
is 'the first KL is 0 to the bit' 0.0 "$(field objective/kl whole.jsonl | head -n 1)"
is 'and the first ratio of every iteration 1' 0.0 "$(field val/first_ratio_off whole.jsonl | sort -u)"
is 'later ratios are not' 0 "$(field val/ratio_var whole.jsonl | grep -c '^0.0$')"
ok 'the result is a model' l2-model show whole
is 'it has learnt something' different "$(cmp -s model/model.safetensors whole/model.safetensors || echo different)"
is 'rollouts of every iteration' 12 "$(find ro -name '*.l2s' | wc -l | tr -d ' ')"
ok 'they are streams' l2-cat --check ro/000003.l2s
ok 'that can be scored again' l2-score -q --kv-type f32 -m rm --as again ro/000003.l2s -o again.l2s
l2-cat -q --json again.l2s | tr ',{}' '\n\n\n' | sed -n 's/^"again"://p' >again
l2-cat -q --json again.l2s | tr ',{}' '\n\n\n' | sed -n 's/^"scores".*//; s/^"helpfulness"://p' >first
same 'with the same result' first again
for name in logprobs sampled_logprobs ref_logprobs values rewards advantages returns; do
    n=$(l2-cat -q --json ro/000003.l2s | grep -o "\"$name\":\[" | wc -l | tr -d ' ')
    is "each completion has its $name" 12 "$n"
done

# ---- resuming ----

: >killed.jsonl
ppo killed --reward rm --log killed.jsonl &
pid=$!
wait_lines killed.jsonl 5 $pid
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
rm -rf killed # where it was faster
fails 1 'checkpoint of an earlier run' 'an earlier run is not overwritten' run killed --reward rm
ok 'a run that was killed goes on' run killed --reward rm --resume
same 'and ends in the same bits' whole/model.safetensors killed/model.safetensors
same 'value head and moments, too' whole.ckpt killed.ckpt
: >stopped.jsonl
ppo stopped --reward rm --log stopped.jsonl &
pid=$!
wait_lines stopped.jsonl 3 $pid
kill -TERM $pid 2>/dev/null
ok 'SIGTERM ends with 0' wait $pid
ok 'a run that was stopped goes on' run stopped --reward rm --resume
same 'and ends in the same bits, too' whole/model.safetensors stopped/model.safetensors
fails 1 'is of a run with lr 0.0001: this one has 0.0002' 'another rate is refused' run stopped --reward rm \
    --resume --lr 2e-4
fails 1 "was written with other settings: 'reward-model" 'another reward model is refused' run stopped \
    --reward-command 'l2-score -q --kv-type f32 -m rm --as reward' --resume
head -c 2000 stopped.ckpt >cut && cp cut stopped.ckpt
fails 1 'has [0-9]* bytes of content: want more' 'a cut checkpoint is refused' run stopped --reward rm --resume
cp text.txt stopped.ckpt
fails 1 'not a checkpoint of l2-ppo' 'and so is something else' run stopped --reward rm --resume

# ---- rewards ----

ok 'a command as reward model' run command --reward-command 'l2-score -q --kv-type f32 -m rm --as reward'
same 'is as good as the model itself' whole/model.safetensors command/model.safetensors
fails 1 'want scores named' 'a command that gives no scores' run bad --reward-command cat
fails 1 'ended with status 3' 'a command that fails' run bad --reward-command 'exit 3'
fails 1 'output of --reward-command: .*empty input' 'a command that says nothing' run bad --reward-command 'true'
ok 'two reward models' run two --reward rm --safety rm --safety-tag risky --log two.jsonl
is 'of which both scores are logged' 12 "$(grep -c '"objective/helpfulness".*"objective/safety"' two.jsonl)"
fails 1 'is no reward model: want one label' 'a language model is none' run bad --reward model
fails 2 'want one of' 'a reward is wanted' run bad
fails 2 'no multiple' 'completions divide the batch' run bad --reward rm -k 5
fails 1 'give more prompts' 'a batch of more prompts than there are' run bad --reward rm --batch 64
fails 1 'want 1e-06 at most' 'a limit on KL ends the run' run limited --reward rm --max-kl 1e-6
ok 'and leaves a checkpoint that goes on' run limited --reward rm --resume --iterations 1 --max-kl 1e-6
most=0.04 # random weights move less
[ -z "$L2_SHARED" ] || most=0.1
fails 1 "want $most at most" 'a limit that is reached later, too' run later --reward rm --max-kl $most --save-every 1 \
    --log later.jsonl
n=$(wc -l <later.jsonl | tr -d ' ') # of the policies within the limit the last one is n - 1's
is 'several iterations were within it' 1 "$((n > 1))"
ok 'and leaves the last policy within it' run later --reward rm --max-kl $most --save-every 1 --iterations $((n - 1)) \
    --resume
ok 'which is the one that so many iterations give' run fewer --reward rm --max-kl $most --save-every 1 \
    --iterations $((n - 1))
same 'to the bit' fewer/model.safetensors later/model.safetensors
fails 1 'none: cannot write here' 'an output that cannot be made fails at once' run none/out --reward rm
fails 2 '--reward-pattern: offset 1: ' 'a pattern that is none' run bad --reward-pattern '('
i=0
while [ $((i += 1)) -le 12 ]; do echo "{\"id\":\"more-$i\",\"prompt\":\"The dog saw $i\"}"; done >more.jsonl
l2-tokenize -q -z tokenizer.model more.jsonl -o more.l2s
ok 'what was held out picks the model' run held --reward rm --held-out 0.5 \
    --batch 4 --eval-every 3 --log held.jsonl more.l2s
is 'and was evaluated' 4 "$(grep -c '"eval_objective/scores"' held.jsonl)"
ok 'adapters' run lora --reward rm --lora-rank 4 --log lora.jsonl
is 'begin at the reference' 0.0 "$(field objective/kl lora.jsonl | head -n 1)"
ok 'and are merged into the model' l2-model show lora
cp -R rm head && chmod -R u+w head # another score head on the same trunk
size=$(wc -c <head/model.safetensors)
printf '\000\000\200\077' | dd of=head/model.safetensors bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
l2-ppo -m model -o z --reward rm --safety head --batch 12 -k 4 -n 8 --plan prompts.l2s 2>shared.txt
is 'reward models that share a trunk share its memory' 1 "$(grep -c 'reward models have .* more that others hold' shared.txt)"
l2-ppo -q -m model -o heads -j 1 --reward rm --safety head --batch 12 -k 4 -n 8 --iterations 1 --rollouts heads.ro prompts.l2s
l2-score -q --kv-type f32 -m head --as again heads.ro/000001.l2s | l2-cat -q --json | tr ',{}' '\n\n\n' >heads.txt
sed -n 's/^"again"://p' heads.txt >again
sed -n 's/^"scores".*//; s/^"safety"://p' heads.txt >first
same 'and each scores as it does alone' first again
is 'a completion each' 12 "$(wc -l <first | tr -d ' ')"
for m in model rm; do l2-model convert -q --dtype BF16 -o "$m.bf16" "$m"; done
l2-ppo -m model.bf16 -o z --reward rm.bf16 --lora-rank 2 --batch 12 -k 4 -n 8 --plan prompts.l2s 2>shared.txt
is 'with adapters they share the policy'"'"'s, too' 1 "$(grep -c 'reward models have .* more that others hold' shared.txt)"
ok 'the memory is planned' run plan --reward rm --plan
is 'and nothing else is done' '' "$(ls -d plan* 2>/dev/null)"

# ---- a task whose optimum is known ----

ok 'a letter is rewarded' l2-ppo -q -m model -o letter -j 1 --reward-pattern z --batch 48 -k 16 --mini-batch 16 -n 6 \
    --iterations 24 --lr 1e-3 --kl-coef 0.001 --weight-decay 0 -s 1 --save-every 24 --log letter.jsonl prompts.l2s
field objective/scores letter.jsonl >scores
is 'hardly met before' 1 "$(head -n 1 scores | awk '{ print ($1 < 0.2) }')"
reached=0.9 # random weights take longer
[ -n "$L2_SHARED" ] || reached=0.3
is "it is in more than $reached of the completions in the end" 1 \
    "$(tail -n 3 scores | awk -v want=$reached '{ s += $1 } END { print (s / NR > want) }')"
is 'KL has grown' 1 "$(field objective/kl letter.jsonl | tail -n 1 | awk '{ print ($1 > 1) }')"

# ---- the optimum of score - beta KL, which is known for a score of 0 or 1 ----

# A prompt whose answers score 1 with probability p has beta log(1 - p + p exp(1 / beta)) as its optimum.
l2-generate -q -m model --kv-type f32 -n 1 -k 4000 prompts.l2s | l2-tokenize -q -d -z tokenizer.model | awk '{
    n = split($0, text, "\"text\":\"")
    hits = 0
    for (i = 2; i <= n; i++) { sub(/".*/, "", text[i]); hits += text[i] ~ /[b-h]/ }
    p = hits / (n - 1)
    sum += 0.3 * log(1 - p + p * exp(1 / 0.3))
} END { print sum / NR }' >optimum
rate=1e-3 # random weights have further to go
[ -z "$L2_SHARED" ] || rate=2e-4
ok 'a token is rewarded, and KL costs' l2-ppo -q -m model -o token -j 1 --reward-pattern '[b-h]' --batch 192 -k 64 \
    --mini-batch 192 -n 1 --iterations 80 --lr $rate --kl-coef 0.3 --no-whiten-scores --weight-decay 0 --lam 1 \
    --vf-coef 1 --cliprange-value 0 -s 1 --save-every 80 --log token.jsonl prompts.l2s
field objective/rlhf_reward token.jsonl | tail -n 20 | awk '{ s += $1 } END { print s / NR }' >reached
is 'the optimum is reached to 7 percent, and not passed' 1 "$(paste optimum reached |
    awk '{ print ($2 > 0.93 * $1 && $2 < 1.03 * $1) }')"
finish
