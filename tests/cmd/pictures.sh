#!/bin/sh
# examples/recipe/pictures.sh and sizes.sh: what there is of a run is drawn, what there is not is left out, wins are
# counted, and reward models of two sizes are measured.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
pictures=$L2_SRC/examples/recipe/pictures.sh

# ---- reward models by data and size ----

world() {
    awk -v what="$1" -v n="$2" -v seed=1 -f "$L2_SRC/examples/recipe/world.awk"
}
mkdir small
cp "$L2_SRC/tests/golden/small.model" small/vocabulary.model
world text 40 | l2-tokenize -q -z small/vocabulary.model --lines -o small/text.l2s
world sft 8 | l2-tokenize -q -z small/vocabulary.model --jsonl --template llama2 -o small/dialogues.l2s
world prompts 17 | jq -c '{prompt, chosen: [{role: "assistant", content: .id}], rejected: [{role: "assistant", content: "bad"}], risky: (.risky and .id == "p1-0")}' >pairs.jsonl
grep '"risky":false' pairs.jsonl | l2-tokenize -q -z small/vocabulary.model --jsonl --template llama2 -o small/helpful-pairs.l2s
cp pairs.jsonl small/test-pairs.jsonl
l2-model init -q -z small/vocabulary.model -s 1 --context 512 -o small/sft "$L2_SRC/examples/presets/tiny.yaml"
export SHAPE="--dim 16 --hidden 16 --n-layers 1 --n-heads 1 --n-kv-heads 1 --context 512" PRETRAIN="--context 32 --batch 4 --steps 2" \
    SFT="--epochs 1 --batch 4" REWARD="--epochs 2 --batch 4 --lr 1e-3"
ok 'reward models of two sizes, on four amounts of data' sh "$L2_SRC/examples/recipe/sizes.sh" small
n=$(l2-cat -q --stats --json small/helpful-pairs.l2s | jq .records)
is 'trained on parts of the pairs' "$(for i in 1 2; do for s in 8 4 2 1; do echo $((n / s)); done; done | tr '\n' ' ')" \
    "$(jq '.examples / .epochs' small/sizes.jsonl | tr '\n' ' ')"
is 'measured on all of the test' "$(grep -c '"risky":false' pairs.jsonl)" "$(jq .eval_pairs small/sizes.jsonl | sort -u)"
is 'the smaller one first' '4 true 4' "$(jq -s -r 'map(.parameters) | [(map(select(. == $p)) | length), .[0] < .[7],
    (map(select(. > $p)) | length)] | join(" ")' --argjson p "$(jq -s '.[0].parameters' small/sizes.jsonl)" small/sizes.jsonl)"
cp small/sizes.jsonl before
rm small/sizes/small-8.json
ok 'again' sh "$L2_SRC/examples/recipe/sizes.sh" small
is 'only what is missing is made' sizes/small-8 "$(sed -n 's/^sizes: //p' stderr)"
is 'and it is the same' "$(jq -c 'del(.hours, .seconds)' before)" "$(jq -c 'del(.hours, .seconds)' small/sizes.jsonl)"
: >small/test-pairs.jsonl
rm -r small/sizes/full-1.json small/sizes/test.l2s
fails 1 'no helpfulness pairs' 'a test without pairs' sh "$L2_SRC/examples/recipe/sizes.sh" small

if ! have gnuplot; then
    skip 'pictures of the recipe' 'no gnuplot'
    finish
fi

# l2-plot, which keeps what is drawn as win rates.
mkdir bin && cat >bin/l2-plot <<'WRAPPER'
#!/bin/sh
if [ "$1" = wins ]; then
    for f; do :; done
    cat "$f" >>"$L2_TMP/drawn"
fi
exec "$L2_BIN/l2-plot" "$@"
WRAPPER
chmod +x bin/l2-plot
PATH=$L2_TMP/bin:$PATH

mkdir run
is 'of nothing there are no pictures' '' "$(sh "$pictures" run)"

# ---- logs ----

# steps [FIELDS]: lines of a log
steps() {
    awk -v fields="${1-}" 'BEGIN { for (i = 1; i <= 30; i++) printf "{\"step\":%d,\"num_tokens\":%d,\"loss\":%g,\"accuracy\":%g%s}\n",
        i, 100 * i, 1 / i, i / 40, fields }'
}
steps >run/pretrain.jsonl
steps >run/sft.jsonl
{ steps; echo '{"step":30,"eval_loss":0.5,"eval_pairs":9,"eval_accuracy":0.6}'; } >run/helpful.jsonl
cp run/helpful.jsonl run/safe.jsonl
is 'losses and accuracies' 'fine-tuning.svg pretraining.svg reward.svg' "$(sh "$pictures" run | tr '\n' ' ' | sed 's/ $//')"

# ---- all of a run ----

for p in 1000 2000; do
    for n in 10 20 40; do
        echo "{\"program\":\"l2-train\",\"subcommand\":\"reward\",\"eval_pairs\":50,\"eval_accuracy\":0.$n,\"parameters\":$p,\"examples\":$n,\"epochs\":1}"
    done
done >run/sizes.jsonl
ok 'the fixtures are made' make_fixtures f
mkdir -p run/rounds/v1 run/rounds/ppo run/eval run/gatt
for t in 0.6 1; do
    l2-tokenize -q -z f/tokenizer.model f/prompts.jsonl | l2-generate -q -m f/model -k 3 -n 4 -T $t |
        l2-score -q -m f/rm --as helpful | l2-score -q -m f/rm --as safe -o run/rounds/v1/curve-$t.l2s
done
steps ',"objective/scores":0.5,"objective/kl":0.1' >run/rounds/ppo/log.jsonl
for kind in with without; do
    printf '{"id":"a","turn":1,"obeys":true}\n{"id":"a","turn":2,"obeys":false}\n' >run/gatt/$kind.jsonl
done
# id, place, task, risky, grade, right, refused, helpful, safe: sft, then a version that is more helpful on one of
# two harmless answers, less on the other, and safer on the risky one; the judge says one better, two alike
printf '"a"\t0\tadd\t0\t0.5\t0\t0\t1.5\t9\n"a"\t1\tadd\t0\t0.5\t0\t0\t1e-1\t9\n"b"\t0\tunsafe\t1\t0\t0\t0\t5\t-3\n' >run/eval/sft.tsv
printf '"a"\t0\tadd\t0\t1\t1\t0\t10.5\t0\n"a"\t1\tadd\t0\t0.5\t0\t0\t-2\t0\n"b"\t0\tunsafe\t1\t0\t0\t1\t0\t2\n' >run/eval/v1.tsv
cp run/eval/sft.tsv run/eval/ppo.tsv
cp run/eval/sft.tsv run/eval/base.tsv
rm -r run/pictures
ok 'all that there is' sh "$pictures" run
is 'is drawn' 'curve-v1 fine-tuning plane-truth plane ppo pretraining reward sizes turns' \
    "$(cd run/pictures && echo * | sed 's/\.svg//g')"
is 'each whole' '' "$(grep -L '</svg>' run/pictures/*)"
ok 'with both temperatures' sh -c 'grep -q "T = 0.6: max" "$1" && grep -q "T = 1: median" "$1"' sh run/pictures/curve-v1.svg
cat >want <<'E'
{"version":"sft","judge":"helpful","wins":0,"ties":2,"losses":0}
{"version":"sft","judge":"safe","wins":0,"ties":1,"losses":0}
{"version":"v1","judge":"helpful","wins":1,"ties":0,"losses":1}
{"version":"v1","judge":"safe","wins":1,"ties":0,"losses":0}
{"version":"ppo","judge":"helpful","wins":0,"ties":2,"losses":0}
{"version":"ppo","judge":"safe","wins":0,"ties":1,"losses":0}
{"version":"sft","judge":"helpful","wins":0,"ties":2,"losses":0}
{"version":"sft","judge":"safe","wins":0,"ties":1,"losses":0}
{"version":"v1","judge":"helpful","wins":1,"ties":1,"losses":0}
{"version":"v1","judge":"safe","wins":0,"ties":1,"losses":0}
{"version":"ppo","judge":"helpful","wins":0,"ties":2,"losses":0}
{"version":"ppo","judge":"safe","wins":0,"ties":1,"losses":0}
E
same 'wins by the reward models, then by the judge' want drawn

ok 'as PNG on a dark ground' env FORM=png THEME=dark sh "$pictures" run
is 'as many' 9 "$(ls run/pictures/*.png | wc -l | tr -d ' ')"
fails 2 usage 'no directory' sh "$pictures"
finish
