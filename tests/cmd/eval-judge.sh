#!/bin/sh
# l2-eval prefs and wins: metrics of judgements against independent calculations.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"

ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

# ---- prefs ----

if have python3; then
    python3 - <<'PY'
import json, math, random
random.seed(1)
counts = {"alpacaeval-easy": (0, 100), "mt-bench-med": (0, 40), "mt-bench-hard": (1, 37), "llmbar-natural": (1, 100),
          "donotanswer": (2, 136), "refusals-dangerous": (2, 100), "math-prm": (3, 984), "hep-js": (3, 164)}
rows = []
with open("bench.jsonl", "w") as f:
    for i in range(400):
        subset = random.choice(list(counts))
        chosen = round(random.gauss(0.6, 1), 1)
        rejected = [round(random.gauss(0, 1), 1) for _ in range(1 if i % 4 else 3)]
        share = random.randint(0, 10) / 10
        rows.append((subset, chosen, rejected, share))
        f.write(json.dumps({"id": i, "subset": subset, "scores_chosen": chosen if i % 2 else [chosen],
                            "scores_rejected": rejected if len(rejected) > 1 else rejected[0], "people": share}) + "\n")
def credit(c, r):
    if len(r) == 1:
        return float(c > r[0])
    top = max([c] + r)
    return (c == top) / ([c] + r).count(top)
by = {}
for subset, c, r, _ in rows:
    by.setdefault(subset, []).append(credit(c, r))
acc = {k: sum(v) / len(v) for k, v in by.items()}
out = {"all": sum(map(sum, by.values())) / len(rows)}
out.update(acc)
sections = []
for i, name in enumerate(["Chat", "Chat Hard", "Safety", "Reasoning"]):
    w = [(acc[k], n) for k, (s, n) in counts.items() if s == i]
    sections.append(sum(a * n for a, n in w) / sum(n for _, n in w))
    out[name] = sections[-1]
out["RewardBench"] = sum(sections) / 4
loss = n = 0
for _, c, r, s in rows:
    for x in r:
        p = 1 / (1 + math.exp(x - c))
        loss -= s * math.log(p) + (1 - s) * math.log(1 - p)
        n += 1
out["log_loss"] = loss / n
with open("bench.want", "w") as f:
    for k in sorted(out):
        f.write("%s %.9f\n" % (k, out[k]))
PY
    ok 'prefs of scored rows' l2-eval prefs -q --share people --json -o bench.json bench.jsonl
    jq -r 'if .group then "\(.group)\t\(.accuracy)" elif .section then "\(.section)\t\(.accuracy)"
        elif .log_loss then "log_loss\t\(.log_loss)" else empty end' bench.json |
        awk -F '\t' '{ printf "%s %.9f\n", $1, $2 }' | sort >bench.got
    same 'accuracy, sections and log-loss by an independent calculation' bench.want bench.got
else
    skip 'prefs by an independent calculation' 'no python3'
fi

ok 'pairs are scored' sh -c 'l2-tokenize -q -z tokenizer.model pairs.jsonl | l2-score -q -m rm --as r -o scored.l2s'
ok 'prefs of a stream' l2-eval prefs --score r --by source --by margin --json -o prefs.json scored.l2s
right=$(l2-cat -q --json scored.l2s | jq -s '[.[] | select(.completions) | .completions | map(.scores.r) | if .[0] > .[1] then 1 else 0 end] | add')
is 'the accuracy is of the scores in the stream' "$right" \
    "$(jq -s '.[0] | .accuracy * .n | round' prefs.json)"
is 'groups by fields of meta and by margin' '0.5 1 1.5 a b ' \
    "$(jq -r 'select(.group and .by != "-").group' prefs.json | sort | tr '\n' ' ')"
fails 1 'want --score NAME' 'a stream without a score named' l2-eval prefs scored.l2s
fails 1 'record 0: completion 1 has no score none' 'a score that is not there' l2-eval prefs --score none scored.l2s
head -c 300 scored.l2s >cut.l2s
fails 1 'cut.l2s' 'a stream that is cut' l2-eval prefs --score r cut.l2s

printf '%s\n' '{"scores_chosen":1,"scores_rejected":0}' '{"scores_chosen":"x","scores_rejected":0}' \
    '{"scores_chosen":[1,2],"scores_rejected":0}' '{"scores_chosen":1,"scores_rejected":[]}' '[]' '{}' >bad.jsonl
fails 1 'bad.jsonl:2: scores_chosen: want a number' 'a score that is none' l2-eval prefs bad.jsonl
fails 0 'skipped: bad.jsonl:2: ' 'bad rows may be left out' l2-eval prefs --skip-bad bad.jsonl
fails 0 '"rows":6,"bad":5' 'and are counted' l2-eval prefs --skip-bad bad.jsonl
fails 1 'empty' 'no rows' l2-eval prefs --jsonl /dev/null
fails 1 'share: want a share from 0 to 1' 'a share that is none' \
    sh -c 'echo "{\"scores_chosen\":1,\"scores_rejected\":0,\"share\":2}" | l2-eval prefs --jsonl --share share'
ok 'a table' l2-eval prefs --score r -o table scored.l2s
ok 'has a head' grep -q '^by  *group  *n  *accuracy  *low  *high  *ties$' table

# ---- wins ----

cat >judged.jsonl <<'TEXT'
{"id":1,"version":"v2","judge":"ann","rating":3}
{"id":1,"version":"v2","judge":"bob","rating":2}
{"id":2,"version":"v2","judge":"ann","rating":0}
{"id":2,"version":"v2","judge":"bob","rating":-1}
{"id":3,"version":"v2","judge":"ann","rating":-3}
{"id":3,"version":"v2","judge":"bob","rating":-3}
{"id":4,"version":"v2","judge":"ann","rating":1}
{"id":4,"version":"v1","judge":"ann","rating":1}
TEXT
ok 'wins of judgements' l2-eval wins --json -o wins.json judged.jsonl
is 'wins, ties and losses' 'v2 ann 2 1 1;v2 bob 1 0 2;v1 ann 1 0 0;' \
    "$(jq -r 'select(.version) | "\(.version) \(.judge) \(.wins) \(.ties) \(.losses);"' wins.json | tr -d '\n')"
# ratings of two judges on 7 points, by Gwet's formula with numpy
is 'agreement' 'AC1 of win, tie, loss none 3 0.5434;AC1 of ratings none 3 0.2366;AC2 of ratings linear 3 0.7537;AC2 of ratings quadratic 3 0.9403;' \
    "$(jq -r 'select(.agreement) | "\(.agreement) \(.weights) \(.items) \(.coefficient * 10000 | round / 10000);"' wins.json | tr -d '\n')"
sed 's/"rating":-3/"rating":"loss"/; s/"rating":\([0-9]\)/"rating":"win"/' judged.jsonl | sed '3s/"win"/"tie"/; /-1/s/-1/"loss"/' >words.jsonl
ok 'words for ratings' l2-eval wins --json -o words.json words.jsonl
is 'give the same wins' "$(jq -c 'select(.version)' wins.json)" "$(jq -c 'select(.version)' words.json)"
is 'and no agreement on points' 'AC1 of win, tie, loss' "$(jq -r 'select(.agreement).agreement' words.json)"
sed 's/"rating":\(-*[0-9]\)/"rating":\1/' judged.jsonl | jq -c '.rating += 4' >seven.jsonl
ok 'ratings from 1 to 7' l2-eval wins --middle 4 --json -o seven.json seven.jsonl
same 'are the same ratings' wins.json seven.json
cat judged.jsonl judged.jsonl >twice.jsonl
fails 1 'twice.jsonl:9: judge ann rates item 1 twice' 'a judge who rates twice' l2-eval wins twice.jsonl
fails 1 ':1: rating: want a number, or win, tie or loss' 'a word that is none' \
    sh -c 'echo "{\"rating\":\"maybe\"}" | l2-eval wins --jsonl'

ok 'two models are sampled' sh -c 'l2-tokenize -q -z tokenizer.model prompts.jsonl >p.l2s &&
    for s in 1 2; do l2-generate -q -m model -k 3 -n 8 -s $s p.l2s | l2-score -q -m rm --as r -o m$s.l2s || exit 1; done'
ok 'win rate under a reward model' l2-eval wins --score r --against m2.l2s --as-version m1 --json -o rm.json m1.l2s
for s in 1 2; do l2-cat -q --json m$s.l2s | jq -c 'select(.completions).completions[].scores.r' >s$s; done
is 'is that of the scores' "m1 r $(paste s1 s2 | awk '{ if ($1 > $2) w++; else if ($1 == $2) t++; else l++ } END { print w + 0, t + 0, l + 0 }')" \
    "$(jq -r '"\(.version) \(.judge) \(.wins) \(.ties) \(.losses)"' rm.json)"
ok 'a model against itself' l2-eval wins --score r --against m1.l2s --json m1.l2s
is 'ties' '0.5 9' "$(jq -r '"\(.win_rate) \(.ties)"' "$L2_TMP/stdout")"
fails 1 'no answers to the same prompts' 'nothing to compare' l2-eval wins --score r --against m1.l2s scored.l2s
fails 2 'together' 'a score alone' l2-eval wins --score r m1.l2s
if have gnuplot; then
    ok 'l2-plot draws them' sh -c 'jq -c "select(.version)" wins.json | l2-plot wins -q -o wins.svg'
else
    skip 'l2-plot draws them' 'no gnuplot'
fi
finish
