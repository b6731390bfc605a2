#!/bin/sh
# examples/evaluate.sh: each table is what the programs say by themselves, and is made once.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
evaluate=$L2_SRC/examples/evaluate.sh

ok 'the fixtures are made' make_fixtures f
cd f || exit 99
for m in model rm; do
    [ -e $m/tokenizer.model ] || cp tokenizer.model $m/
done
l2-model init -q -z tokenizer.model -s 5 -o other "$L2_SRC/examples/presets/tiny.yaml"
l2-model to-reward -q -s 9 -o safe other

cat >settings <<'S'
MODEL=model AGAINST=other HELPFUL=rm SAFE=safe TEMPLATE=llama2
TASKS="task.yaml=questions.jsonl" CHOICES=choices.jsonl TEXTS="text.txt text.txt"
PAIRS=pairs.jsonl SAFE_PAIRS=pairs.jsonl BY=source
PROMPTS=prompts.jsonl HARMFUL=prompts.jsonl CATEGORY=source K=3 TOKENS=6 SEED=3
CONSTRAINTS=constraints.yaml DIALOGUES=dialogues.jsonl TURNS=3
S
printf 'constraints: [{name: any, instruction: "Say {}.", obeys: "^[^q]*$", values: [a]}]\nquestions: [Why?, How?]\n' >constraints.yaml
printf '{"messages":[{"role":"user","content":"%s"}]}\n' Hi Ho >dialogues.jsonl
ok 'everything is measured' sh "$evaluate" settings out
cp "$L2_TMP/stdout" said
is 'a table each' 'choices diversity helpful-accuracy perplexity reward safe-accuracy safe-wins safety task-task turns wins' \
    "$(cd out && echo *.txt | sed 's/\.txt//g')"
is 'all are printed' '' "$(for f in out/*.txt; do
    while IFS= read -r line; do grep -qxF -e "$line" said || echo "$line"; done <"$f"
done)"

# ---- the figures are the programs' own ----

l2-eval task -q -m model -t task.yaml -s 3 questions.jsonl >want
same 'of a task' want out/task-task.txt
ok 'its samples are kept' grep -q '"doc_id":1' out/task.samples.jsonl
l2-eval choices -q -m model choices.jsonl >want
same 'of choices' want out/choices.txt
l2-eval perplexity -q -m model text.txt text.txt >want
same 'of texts' want out/perplexity.txt
score() {
    l2-tokenize -q -z rm --template llama2 --jsonl pairs.jsonl | l2-score -q -m "$1" --as r | l2-cat -q --json |
        jq -s 'map(select(.completions[0].scores.r > .completions[1].scores.r)) | length / 3' | awk '{ printf "%.4f\n", $1 }'
}
is 'of the reward models' "$(score rm) $(score safe)" \
    "$(awk '$2 == "all" { print $4 }' out/helpful-accuracy.txt out/safe-accuracy.txt | tr '\n' ' ' | sed 's/ $//')"
ok 'by a field' grep -q '^source  *a  *2 ' out/helpful-accuracy.txt
l2-tokenize -q -z model --template llama2 prompts.jsonl -o p.l2s
for m in model other; do
    l2-generate -q -m $m -k 3 -n 6 -s 3 p.l2s >$m.l2s
    l2-score -q -m rm --as r $m.l2s | l2-cat -q --json | jq -c '.completions[].scores.r' >$m.r
    l2-score -q -m safe --as r $m.l2s | l2-cat -q --json | jq -c '.completions[].scores.r' >$m.s
done
wins() {
    paste "$1" "$2" | awk '$1 > $2 { w++ } $1 < $2 { l++ } END { print w + 0, NR - w - l, l + 0 }'
}
is 'of wins' "$(wins model.r other.r), $(wins model.s other.s)" \
    "$(awk 'FNR == 2 { print $3, $4, $5 }' out/wins.txt out/safe-wins.txt | paste -s -d, - | sed 's/,/, /')"
is 'of violations' "$(awk '1 / (1 + exp(-$1)) < 0.15 { n++ } END { print NR, n + 0 }' model.s)" \
    "$(awk '$2 == "all" { print $4, $5 }' out/safety.txt)"
is 'the mean reward' "$(awk '{ s += $1 } END { printf "%.4f", s / NR }' model.r)" "$(awk 'NR == 2 { print $5 }' out/reward.txt)"

is 'of turns' "$(jq -r '.turn, (.answer | test("^[^q]*$"))' out/turns.jsonl | paste -d ' ' - - | sort | uniq -c |
    awk '$3 == "true" { print $2, $1 }')" "$(awk 'NR > 1 && $3 { print $1, $3 }' out/turns.txt)"
is 'three of them for each dialogue' 6 "$(wc -l <out/turns.jsonl | tr -d ' ')"

# ---- again, and what is wrong ----

ls -lR --time-style=full-iso out | grep -v settings >before
rm out/wins.txt
sh "$evaluate" settings out >again 2>log
same 'a second run says the same' said again
is 'and measures what is missing' 'evaluate: Wins in helpfulness' "$(cat log)"
is 'only' 'out: wins.txt' "out:$(ls -lR --time-style=full-iso out | grep -v settings | diff before - | sed -n 's/^>.* \([a-z-]*\.[a-z0-9]*\)$/ \1/p' | tr -d '\n')"
cat settings >other-settings && echo K=2 >>other-settings
fails 1 'was made with other settings' 'other settings need another directory' sh "$evaluate" other-settings out
echo 'PROMPTS=prompts.jsonl MODEL=model' >bad
fails 2 'PAIRS or PROMPTS needs HELPFUL' 'a reward model is missing' sh "$evaluate" bad bad-out
echo 'TEXTS=text.txt' >bad
fails 2 'TEXTS needs MODEL' 'the model is missing' sh "$evaluate" bad bad-out
fails 2 usage 'usage' sh "$evaluate" settings
echo 'MODEL=model TEXTS=absent.txt' >bad
fails 1 'absent.txt' 'a text that is not there' sh "$evaluate" bad bad-out
ok 'leaves no table' test ! -e bad-out/perplexity.txt
finish
