#!/bin/sh
# Rejection-sampling rounds for any model: sample, score, keep the best, train, again; PPO on the last.
# SPDX-License-Identifier: MIT
#
#   sh rounds.sh SETTINGS DIRECTORY
#
# SETTINGS is a file of shell variables, listed below with their defaults; paths in it are as seen from where
# the script is started. CONFIG in it names a YAML file with options of the programs that are run, a section each, as
# l2-config(5) has them; rounds.yaml is one. What the script itself decides (models, data, seeds, K, temperatures, the
# options in TRAIN and PPO) comes before what stands there. Everything is made in DIRECTORY, and the file
# DIRECTORY/final names the last model that is better than the one before it. What is there is not made again: a run
# that was stopped goes on where it was, and a second run does nothing. A round goes like this:
#
#   1. K answers to the first CURVE prompts at each of TEMPERATURES; the one whose best of K scores highest is taken
#   2. K answers to every prompt from the latest model, scored by the reward models
#   3. the best answer to each prompt, out of this and all earlier rounds
#   4. SFT of the latest model on these and the data in SFT
#   5. answers of the new model to the prompts in CHECK. Where their mean reward is no higher than that of the model
#      before, the new model is left out and there is no further round.
#
# JUDGE is a command that reads a stream of answers and prints a number, say the share of right ones. With it a
# round ends before it trains where the best answers are no better than answers drawn at random; and a new model
# must not be worse by it.
#
# PREFER is a command that makes newer reward models, from preferences between answers of the latest model: a reward
# model knows the answers that it has been trained on, and a policy that has learnt from it gives others; so the
# paper's were trained again before each round (section 3.2.1). It is run before the second round and each after it, and
# before PPO, with LATEST (the model), HELPFUL and SAFE (the reward models so far), ROUND and OUT in its environment, and
# has to make OUT/helpful, and OUT/safe where there is SAFE. What was scored by the older ones is scored again.
# DIRECTORY/rewards names the reward models at the end.
#
# Distillation: with START the samples of the first round are MODEL's, a larger model, and START, a smaller one with the
# same vocabulary, is what is trained on them and measured against itself before. Its later rounds are its own, and
# choose from the larger one's answers too. TEACHER=1 draws the samples of all rounds from MODEL.

set -eu

# ---- settings ----

MODEL=              # the model to begin with: samples in the first round
START=              # the model to train in the first round; MODEL where empty
TEACHER=            # 1: MODEL answers in all rounds
HELPFUL=            # reward model
SAFE=               # safety reward model, or empty
TAG=                # field of the prompts' meta that says which are judged by safety alone, or empty
PROMPTS=            # stream of prompts to train on
CHECK=              # stream of prompts to measure on
SFT=                # stream of SFT data to mix in, or empty
MIX="1 1"           # shares of the best answers and of SFT in training
ROUNDS=4            # at most
K=16                # answers a prompt
TOKENS=             # tokens of an answer at most; else what CONFIG says, or what the context holds
TEMPERATURES="0.8 1 1.2"
CURVE=64            # prompts that the temperature is chosen with
CHECK_K=4           # answers to each prompt of CHECK, at temperature 1
TRAIN="--epochs 1"  # options of l2-train sft
PPO=                # options of l2-ppo; empty: no PPO; yes: those of CONFIG alone
JUDGE=              # command, see above
PREFER=             # command, see above
CONFIG=             # YAML with options of the programs, or empty
SEED=1

if [ $# -ne 2 ]; then
    echo "usage: sh rounds.sh settings directory" >&2
    exit 2
fi
settings=$1 dir=$2
case $settings in
*/*) ;;
*) settings=./$settings ;;
esac
# shellcheck disable=SC1090 # the user's
. "$settings"
for name in MODEL HELPFUL PROMPTS CHECK; do
    eval "value=\$$name"
    if [ -z "$value" ]; then
        echo "rounds: $settings: $name is not set" >&2
        exit 2
    fi
done
START=${START:-$MODEL}
mkdir -p "$dir"
# kept FILE COPY: COPY in the directory is FILE, and stays so
kept() {
    if [ ! -e "$dir/$2" ]; then
        cp "$1" "$dir/$2.new"
        mv "$dir/$2.new" "$dir/$2"
    elif ! cmp -s "$1" "$dir/$2"; then
        echo "rounds: $dir was made with other settings than $1; take another directory, or remove it" >&2
        exit 1
    fi
}
kept "$settings" settings
[ -z "$CONFIG" ] || kept "$CONFIG" settings.yaml
if [ -e "$dir/final" ]; then
    echo "rounds: $dir is finished: the last model that gained is $(cat "$dir/final")" >&2
    exit 0
fi

choose="--by helpful"
if [ -n "$SAFE" ]; then
    choose="--by llama2:safe,helpful"
    [ -z "$TAG" ] || choose="$choose --safety-tag $TAG"
fi

# ---- steps; each makes one file and is left out where that is there ----

say() {
    printf 'rounds: %s\n' "$*" >&2
}

# score REWARD-MODEL NAME ARGUMENT...
score() {
    reward_model=$1 as=$2
    shift 2
    l2-score -q ${CONFIG:+--config "$CONFIG"} -m "$reward_model" --as "$as" "$@"
}

# scored IN OUT: IN with the scores of the reward models
scored() {
    if [ -n "$SAFE" ]; then
        score "$SAFE" safe "$1" | score "$HELPFUL" helpful --force -o "$2.new"
    else
        score "$HELPFUL" helpful --force -o "$2.new" "$1"
    fi
    mv "$2.new" "$2"
}

# samples OUT MODEL ROUND PROMPTS OPTION...: a stream of scored answers
samples() {
    out=$1 model=$2 number=$3 prompts=$4
    shift 4
    [ ! -e "$out" ] || return 0
    say "round $number: answers for $out"
    name=${model%/model}
    l2-generate -q ${CONFIG:+--config "$CONFIG"} -m "$model" --as "${name##*/}" --round "$number" \
        ${TOKENS:+-n "$TOKENS"} -s "$((SEED + number))" "$@" -o "$out.raw" --resume "$prompts"
    scored "$out.raw" "$out"
    rm "$out.raw"
}

# has_rewards DIRECTORY: whether PREFER has made its reward models there
has_rewards() {
    [ -d "$1/helpful" ] && { [ -z "$SAFE" ] || [ -d "$1/safe" ]; }
}

# prefer DIRECTORY ROUND MODEL: newer reward models, which score the answers to CHECK again
prefer() {
    if ! has_rewards "$1"; then
        say "round $2: reward models that know the answers of $3"
        (export LATEST="$3" HELPFUL SAFE ROUND="$2" OUT="$1" && sh -c "$PREFER")
        if ! has_rewards "$1"; then
            echo "rounds: PREFER has not made the reward models in $1" >&2
            exit 1
        fi
    fi
    HELPFUL=$1/helpful
    [ -z "$SAFE" ] || SAFE=$1/safe
    [ -e "$1/before.l2s" ] || scored "$check" "$1/before.l2s"
    check=$1/before.l2s
    before=$(reward "$check")
    say "round $2: reward $before by the newer reward models"
}

# again DIRECTORY: the pools so far, scored by the newer reward models
again() {
    earlier='' n=1
    for pool in $pools; do
        [ -e "$1/pool-$n.l2s" ] || scored "$pool" "$1/pool-$n.l2s"
        earlier="$earlier $1/pool-$n.l2s" n=$((n + 1))
    done
    pools=$earlier
}

# chosen OUT OPTION...: the answers that l2-rsample chooses with these options and files
chosen() {
    out=$1
    shift
    [ ! -e "$out" ] || return 0
    # shellcheck disable=SC2086 # a list
    l2-rsample -q $choose --force -o "$out.new" "$@"
    mv "$out.new" "$out"
}

# reward FILE: the mean reward; best FILE: that of the best of all answers to each prompt
reward() {
    # shellcheck disable=SC2086
    l2-rsample -q --curve $choose "$1" | sed -n '1s/.*"mean": *\([-0-9.e+]*\).*/\1/p'
}
best() {
    # shellcheck disable=SC2086
    l2-rsample -q --curve $choose "$1" | sed -n '$s/.*"max": *\([-0-9.e+]*\).*/\1/p'
}
judge() {
    if [ -n "$JUDGE" ]; then
        sh -c "$JUDGE" <"$1"
    else
        echo null
    fi
}
# more A B: true where A is more than B; less A B likewise, and false where one of them is null
more() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 > b + 0) }'
}
less() {
    [ "$1" != null ] && [ "$2" != null ] && more "$2" "$1"
}

# temperature ROUND-DIRECTORY MODEL ROUND: chooses one, into the file of that name
temperature() {
    [ ! -e "$1/temperature" ] || return 0
    top=
    for t in $TEMPERATURES; do
        if [ "$t" = "$TEMPERATURES" ]; then
            chosen_t=$t
            break
        fi
        samples "$1/curve-$t.l2s" "$2" "$3" "$dir/curve.l2s" -k "$K" -T "$t"
        now=$(best "$1/curve-$t.l2s")
        say "round $3: the best of $K at temperature $t score $now"
        if [ -z "$top" ] || more "$now" "$top"; then
            top=$now chosen_t=$t
        fi
    done
    echo "$chosen_t" >"$1/temperature.new"
    mv "$1/temperature.new" "$1/temperature"
}

# report FILE FIELDS: writes one line of JSON, once
report() {
    [ -e "$1" ] || printf '{%s}\n' "$2" >"$1.new"
    [ -e "$1" ] || mv "$1.new" "$1"
    cat "$1" >&2
}

# gains NEW OLD NEW-TRUTH OLD-TRUTH: whether a new model is better
gains() {
    more "$1" "$2" && ! less "$3" "$4"
}

# ---- the rounds ----

[ -e "$dir/curve.l2s" ] || {
    l2-cat -q --head "$CURVE" --force -o "$dir/curve.l2s.new" "$PROMPTS"
    mv "$dir/curve.l2s.new" "$dir/curve.l2s"
}
latest=$MODEL train_from=$START pools=
check=$dir/check.l2s
samples "$check" "$START" 0 "$CHECK" -k "$CHECK_K"
before=$(reward "$check") truth_before=$(judge "$check")
final=$START
say "before: reward $before, judge $truth_before"

r=1
while [ "$r" -le "$ROUNDS" ]; do
    round=$dir/v$r
    mkdir -p "$round"
    if [ -n "$PREFER" ] && [ "$r" -gt 1 ]; then
        prefer "$round" "$r" "$latest"
        again "$round"
    fi
    temperature "$round" "$latest" "$r"
    samples "$round/pool.l2s" "$latest" "$r" "$PROMPTS" -k "$K" -T "$(cat "$round/temperature")"
    pools="$pools $round/pool.l2s"
    # shellcheck disable=SC2086
    chosen "$round/best.l2s" --best 1 --pool $pools
    chosen "$round/random.l2s" --best 1 --random "$round/pool.l2s"
    truth_best=$(judge "$round/best.l2s") truth_random=$(judge "$round/random.l2s")
    fields=$(printf '"round": %s, "temperature": %s, "reward_mean": %s, "reward_best": %s, "judge_random": %s, "judge_best": %s' "$r" \
        "$(cat "$round/temperature")" "$(reward "$round/pool.l2s")" "$(best "$round/pool.l2s")" "$truth_random" "$truth_best")
    if [ -n "$JUDGE" ] && ! more "$truth_best" "$truth_random"; then
        report "$round/report.json" "$fields, \"kept\": false"
        say "round $r: the best answers are no better than others by the judge: no further round"
        break
    fi
    if [ ! -d "$round/model" ]; then
        say "round $r: training"
        set -- --data "$round/best.l2s"
        if [ -n "$SFT" ]; then
            set -- "$@" --data "$SFT"
            for weight in $MIX; do set -- "$@" --weight "$weight"; done
        fi
        # shellcheck disable=SC2086
        l2-train sft -q ${CONFIG:+--config "$CONFIG"} -m "$train_from" -o "$round/new" --resume "$@" -s "$((SEED + r))" \
            --log "$round/train.jsonl" $TRAIN
        mv "$round/new" "$round/model"
        rm -rf "$round/new.ckpt"
    fi
    samples "$round/check.l2s" "$round/model" "$r" "$CHECK" -k "$CHECK_K"
    after=$(reward "$round/check.l2s") truth_after=$(judge "$round/check.l2s")
    fields="$fields, \"check_before\": $before, \"check_after\": $after, \"check_judge_before\": $truth_before, \"check_judge_after\": $truth_after"
    if ! gains "$after" "$before" "$truth_after" "$truth_before"; then
        report "$round/report.json" "$fields, \"kept\": false"
        say "round $r: the new model is no better: no further round"
        break
    fi
    report "$round/report.json" "$fields, \"kept\": true"
    [ -n "$TEACHER" ] || latest=$round/model
    train_from=$round/model final=$round/model check=$round/check.l2s before=$after truth_before=$truth_after
    r=$((r + 1))
done

if [ -n "$PPO" ]; then
    mkdir -p "$dir/ppo"
    [ -z "$PREFER" ] || prefer "$dir/ppo" ppo "$final"
    if [ ! -d "$dir/ppo/model" ]; then
        say "PPO from $final"
        [ "$PPO" != yes ] || PPO=
        set -- --reward "$HELPFUL"
        [ -z "$SAFE" ] || set -- "$@" --safety "$SAFE"
        [ -z "$SAFE" ] || [ -z "$TAG" ] || set -- "$@" --safety-tag "$TAG"
        # shellcheck disable=SC2086
        l2-ppo -q ${CONFIG:+--config "$CONFIG"} -m "$final" -o "$dir/ppo/new" --resume ${TOKENS:+-n "$TOKENS"} \
            -s "$SEED" --log "$dir/ppo/log.jsonl" "$@" $PPO "$PROMPTS"
        mv "$dir/ppo/new" "$dir/ppo/model"
        rm -rf "$dir/ppo/new.ckpt"
    fi
    samples "$dir/ppo/check.l2s" "$dir/ppo/model" "$((ROUNDS + 1))" "$CHECK" -k "$CHECK_K"
    after=$(reward "$dir/ppo/check.l2s") truth_after=$(judge "$dir/ppo/check.l2s")
    kept=false
    if gains "$after" "$before" "$truth_after" "$truth_before"; then
        kept=true final=$dir/ppo/model
    fi
    report "$dir/ppo/report.json" "\"round\": \"ppo\", \"check_before\": $before, \"check_after\": $after, \"check_judge_before\": $truth_before, \"check_judge_after\": $truth_after, \"kept\": $kept"
fi

printf '%s\n' "$HELPFUL" ${SAFE:+"$SAFE"} >"$dir/rewards"
echo "$final" >"$dir/final.new"
mv "$dir/final.new" "$dir/final"
say "the last model that gained is $final"
