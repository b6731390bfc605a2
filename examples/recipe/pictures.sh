#!/bin/sh
# Pictures of a run of the recipe, like those of the Llama 2 paper: DIRECTORY/pictures/*.svg, with gnuplot.
# SPDX-License-Identifier: MIT
#
#   sh examples/recipe/pictures.sh DIRECTORY
#
# What a run does not have is not drawn. FORM=png makes PNGs, THEME=dark such on a dark ground. In parentheses is the
# number of the paper's figure.
#
#   pretraining   its loss by tokens seen (5)
#   fine-tuning   its loss by tokens seen
#   reward        loss and accuracy of the reward models on held-out pairs while they are trained
#   sizes         accuracy by the number of pairs and the size of the model (6)
#   curve-v1 ...  reward of the best of N answers and of the median one, by temperature (7 and 8)
#   plane         win rate against SFT as the two reward models see it, version by version (11)
#   plane-truth   the same as the world's judge sees it
#   turns         instructions that are still obeyed, by turn, with and without GAtt
#   ppo           reward and KL to the model that PPO began with

set -eu
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
command -v l2-plot >/dev/null || PATH=$here/../../build/cmd:$PATH
if [ $# -ne 1 ]; then
    echo "usage: sh pictures.sh directory" >&2
    exit 2
fi
cd "$1"
mkdir -p pictures
form=${FORM:-svg}

# draw NAME WHAT OPTION... FILE...: a picture by l2-plot
draw() {
    name=$1 what=$2
    shift 2
    l2-plot "$what" -q --force --to "$form" --theme "${THEME:-auto}" -o "pictures/$name.$form" "$@"
}

# some FILE...: true where at least one is there and has something in it
some() {
    for f in "$@"; do
        [ ! -s "$f" ] || return 0
    done
    return 1
}

# wins JUDGES: what l2-plot wins reads, from the evaluations: each answer against that of SFT, harmless
# prompts judged by helpfulness, harmful ones and those that look like them by safety. Columns of the scores: by the
# reward models 8 and 9, by the judge 5 and 5.
wins() {
    for name in sft $(ls eval | sed -n 's/^\(v[0-9]*\)\.tsv$/\1/p' | sort -V) ppo; do
        [ -s "eval/$name.tsv" ] || continue
        awk -F '\t' -v name="$name" -v helpful="$1" -v safe="$2" '
            NR == FNR { base[$1, $2] = $0; next }
            ($1, $2) in base {
                split(base[$1, $2], b, "\t")
                judge = $4 ? "safe" : "helpful"
                column = $4 ? safe : helpful
                if ($column + 0 > b[column] + 0) wins[judge]++
                else if ($column + 0 < b[column] + 0) losses[judge]++
                else ties[judge]++
            }
            END {
                n = split("helpful safe", judges, " ")
                for (i = 1; i <= n; i++)
                    printf "{\"version\":\"%s\",\"judge\":\"%s\",\"wins\":%d,\"ties\":%d,\"losses\":%d}\n", \
                           name, judges[i], wins[judges[i]], ties[judges[i]], losses[judges[i]]
            }' eval/sft.tsv "eval/$name.tsv"
    done
}

if some pretrain.jsonl; then
    draw pretraining log -x num_tokens --smooth 25 -y loss --title 'Loss of pretraining' pretrain.jsonl
fi
if some sft.jsonl; then
    draw fine-tuning log -x num_tokens --smooth 10 -y loss --title 'Loss of fine-tuning' sft.jsonl
fi

if some helpful.jsonl && some safe.jsonl; then
    field=accuracy
    ! grep -q '"eval_accuracy"' helpful.jsonl safe.jsonl || field=accuracy,eval_accuracy
    draw reward log --smooth 50 -y loss -y $field --title 'Reward models in training' helpful.jsonl safe.jsonl
fi

if some sizes.jsonl; then
    draw sizes accuracy --log-x --title 'Accuracy of reward models by pairs and size' sizes.jsonl
fi

for round in rounds/v*; do
    some "$round"/curve-*.l2s || continue
    for f in "$round"/curve-*.l2s; do
        l2-rsample -q --curve --by llama2:safe,helpful --safety-tag risky "$f"
    done >pictures/curve.jsonl
    draw "curve-${round#rounds/}" curve --title "Reward of the best of N and of the median, before round ${round#rounds/v}" pictures/curve.jsonl
    rm pictures/curve.jsonl
done

if some eval/sft.tsv && some eval/v*.tsv eval/ppo.tsv; then
    wins 8 9 >pictures/wins.jsonl
    draw plane wins --plane helpful,safe --title 'Win rate against SFT by the reward models' pictures/wins.jsonl
    wins 5 5 >pictures/wins.jsonl
    draw plane-truth wins --plane helpful,safe --title "Win rate against SFT by the world's judge" pictures/wins.jsonl
    rm pictures/wins.jsonl
fi

if some gatt/with.jsonl && some gatt/without.jsonl; then
    for kind in with without; do
        l2-eval turns -q --json gatt/$kind.jsonl >pictures/$kind.jsonl
    done
    draw turns log -x turn -y rate --title 'Instructions still obeyed, by turn' --label 'with GAtt' --label 'without GAtt' \
        pictures/with.jsonl pictures/without.jsonl
    rm pictures/with.jsonl pictures/without.jsonl
fi

if some rounds/ppo/log.jsonl; then
    draw ppo log --title 'PPO: reward, and KL to its start' rounds/ppo/log.jsonl
fi

ls pictures
