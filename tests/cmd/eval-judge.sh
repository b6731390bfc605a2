#!/bin/sh
# l2-eval prefs, wins, safety, turns, diversity, contam: metrics against independent calculations.
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

# ---- safety ----

cat >safety.jsonl <<'TEXT'
{"id":"a","category":"hate","turn":1,"violation":true,"round":1,"hours":0.5}
{"id":"b","category":"hate","turn":2,"violation":5,"round":1,"hours":0.25}
{"id":"c","category":"advice","turn":1,"violation":2,"round":1,"hours":0.25}
{"id":"d","category":"advice","turn":1,"violation":false,"round":1,"hours":1}
{"id":"a","category":"hate","turn":1,"violation":false,"round":2,"hours":0.5}
{"id":"c","category":"advice","turn":1,"violation":1,"round":2,"hours":0.5}
{"id":"e","category":"advice","turn":10,"violation":3,"round":2,"hours":1}
{"id":"f","category":"plain","turn":1,"refused":true}
{"id":"g","category":"plain","turn":1,"refused":false}
{"id":"h","category":"plain","turn":1,"refused":false,"harmless":true}
{"id":"i","category":"hate","turn":1,"refused":true,"harmless":false}
TEXT
ok 'safety' l2-eval safety --json -o safety.json safety.jsonl
is 'violations by category and turn, false refusals of harmless prompts' \
    'violation all 7 3;violation advice 4 2;violation hate 3 1;violation 1 5 3;violation 2 1 0;violation 10 1 0;false_refusal all 3 1;false_refusal plain 3 1;false_refusal 1 3 1;' \
    "$(jq -r 'select(.measure) | "\(.measure) \(.group) \(.answers) \(.count);"' safety.json | tr -d '\n')"
is 'rounds: violations, the hours they took, and what was mitigated' \
    '1 4 2 0.5 2 1 null;2 3 1 0.3333 2 0.5 0.5;' \
    "$(jq -r 'select(.round) | "\(.round) \(.answers) \(.violations) \(.rate * 10000 | round / 10000) \(.hours) \(.gamma) \(.mitigated);"' safety.json | tr -d '\n')"
ok 'safety by a reward' l2-eval safety --score r --below 0.4 --category source --json -o reward.json m1.l2s
is 'is that of the scores' "$(awk '1 / (1 + exp(-$1)) < 0.4 { n++ } END { print NR, n + 0 }' s1)" \
    "$(jq -r 'select(.group == "all") | "\(.answers) \(.count)"' reward.json)"
is 'by a field of the prompts' '3 6' "$(jq -r 'select(.by == "category").answers' reward.json | sort | tr '\n' ' ' | sed 's/ $//')"
fails 1 'an answer has no score none' 'a score that is not there' l2-eval safety --score none m1.l2s
fails 1 ':1: want violation or refused' 'a row that says nothing' sh -c 'echo "{\"id\":1}" | l2-eval safety --jsonl'
fails 1 ':1: violation: want true, false or a rating' 'a judgement that is none' \
    sh -c 'echo "{\"violation\":\"yes\"}" | l2-eval safety --jsonl'
fails 1 ':1: hours: want a number of at least 0' 'hours below 0' \
    sh -c 'echo "{\"violation\":true,\"round\":1,\"hours\":-1}" | l2-eval safety --jsonl'

# ---- turns ----

cat >turns.jsonl <<'TEXT'
{"id":1,"turn":2,"obeys":true}
{"id":1,"turn":1,"obeys":true}
{"id":1,"turn":3,"obeys":false}
{"id":2,"turn":1,"obeys":false}
{"id":2,"turn":2,"obeys":true}
{"id":3,"turn":1,"obeys":true}
{"id":3,"turn":2,"obeys":true}
{"id":3,"turn":3,"obeys":true}
TEXT
ok 'turns' l2-eval turns --json -o turns.json turns.jsonl
is 'answers that obey, and dialogues that have so far' '1 3 2 3 0.6667;2 3 3 3 0.6667;3 2 1 2 0.5;' \
    "$(jq -r '"\(.turn) \(.answers) \(.obey) \(.dialogues) \(.unbroken * 10000 | round / 10000);"' turns.json | tr -d '\n')"
fails 1 ':1: turn: want an integer' 'a turn that is none' sh -c 'echo "{\"turn\":\"a\",\"obeys\":true}" | l2-eval turns --jsonl'
fails 1 ':1: obeys: want true or false' 'no judgement' sh -c 'echo "{\"turn\":1}" | l2-eval turns --jsonl'

# ---- diversity ----

ok 'answers at two temperatures' sh -c 'for t in 0.5 1.5; do
    l2-generate -q -m model -k 4 -n 12 -T $t p.l2s >t$t.l2s || exit 1; done; cat t0.5.l2s t1.5.l2s >temperatures.l2s'
ok 'diversity' l2-eval diversity --by source --json -o diversity.json temperatures.l2s
if have python3; then
    l2-cat -q --json temperatures.l2s >temperatures.jsonl
    python3 - >diversity.want <<'PY'
import json, math
from collections import Counter
def grams(t, n):
    return Counter(tuple(t[i:i + n]) for i in range(len(t) - n + 1))
def bleu(h, refs):
    s = 0
    for n in range(1, 5):
        most = Counter()
        for r in refs:
            most |= grams(r, n)
        hit = sum((grams(h, n) & most).values())
        if n == 1 and hit == 0:
            return 0
        s += math.log((hit or 0.1) / max(1, sum(grams(h, n).values()))) / 4
    r = min((abs(len(x) - len(h)), len(x)) for x in refs)[1]
    return math.exp(s) * min(1, math.exp(1 - r / len(h)))
out = {}
for line in open("temperatures.jsonl"):
    row = json.loads(line)
    if "completions" not in row or "id" not in row:
        continue
    t = [c["tokens"] for c in row["completions"]]
    v = sum(bleu(t[i], t[:i] + t[i + 1:]) for i in range(len(t))) / len(t)
    out.setdefault((row["meta"]["source"], row["completions"][0]["gen"]["temperature"]), []).append(v)
for (kind, t), v in sorted(out.items()):
    print("%s %s %d %.9f" % (kind, t, len(v), sum(v) / len(v)))
PY
    jq -r '"\(.kind) \(.temperature) \(.prompts) \(.self_bleu)"' diversity.json | awk '{ printf "%s %s %d %.9f\n", $1, $2, $3, $4 }' >diversity.got
    same 'is self-BLEU by an independent calculation' diversity.want diversity.got
else
    skip 'is self-BLEU by an independent calculation' 'no python3'
fi
printf '%s\n' '{"kind":"fact","temperature":1,"responses":["Paris is it.","Paris is it."]}' '{"kind":"poem","responses":["a b","c d"]}' >texts.jsonl
ok 'diversity of texts' l2-eval diversity --order 3 --json texts.jsonl
is 'the same, and nothing in common' 'fact 1 poem 0' "$(jq -r '"\(.kind) \(.self_bleu)"' "$L2_TMP/stdout" | tr '\n' ' ' | sed 's/ $//')"
fails 1 'no two answers to one prompt' 'one answer' sh -c 'echo "{\"responses\":[\"a\"]}" | l2-eval diversity --jsonl'
fails 1 ':1: want completions' 'no answers' sh -c 'echo "{\"id\":1}" | l2-eval diversity --jsonl'

# ---- contam ----

if have python3; then
    python3 - <<'PY'
import json, math, random
random.seed(3)
rows, shares, train = [], [], []
for i in range(60):
    words = ["w%d_%d" % (i, k) for k in range(20)]
    n = (0, 0, 10, 18, 20)[i % 5]       # of the sample's words stand in the training text
    if n:
        train.append("before it " + " ".join(words[:n]) + " after it %d" % i)
    acc = float(random.random() < (0.3 if n < 10 else 0.5 if n == 10 else 0.95))
    rows.append({"doc_id": i, "doc": {"text": " ".join(words)}, "acc": acc})
    shares.append(n / 20)
with open("test.jsonl", "w") as f:
    f.writelines(json.dumps(r) + "\n" for r in rows)
with open("train.jsonl", "w") as f:
    f.writelines(json.dumps({"text": t}) + "\n" for t in train)
with open("train.txt", "w") as f:
    f.write("\n".join(train) + "\n")
mean = sum(r["acc"] for r in rows) / 60
var = sum((r["acc"] - mean) ** 2 for r in rows) / 60
for name, inside in (("all", lambda s: True), ("clean", lambda s: s < 0.2), ("not clean", lambda s: s >= 0.2),
                     ("not dirty", lambda s: s < 0.8), ("dirty", lambda s: s >= 0.8)):
    v = [r["acc"] for r, s in zip(rows, shares) if inside(s)]
    c = [s for s in shares if inside(s)]
    n = len(v)
    z = (sum(v) / n - mean) / math.sqrt(var / n * (60 - n) / 59) if n < 60 else 0
    print("%s %d %.9f %.9f %.9f" % (name, n, sum(c) / n, sum(v) / n, z), file=open("contam.want", "a"))
PY
    show='select(.subset) | "\(.subset) \(.samples) \(.contaminated) \(.score) \(.z // 0)"'
    numbers() {
        jq -r "$show" "$1" | awk '{ n = NF; name = $1; for (i = 2; i <= n - 4; i++) name = name " " $i
            printf "%s %d %.9f %.9f %.9f\n", name, $(n - 3), $(n - 2), $(n - 1), $n }'
    }
    ok 'contam' l2-eval contam -t test.jsonl --field text --json -o contam.json train.jsonl
    numbers contam.json >contam.got
    same 'shares, scores and Z by an independent calculation' contam.want contam.got
    is 'Z says that the scores are affected' 'true 36' "$(jq -r 'select(has("affected")) | "\(.affected) \(.touched)"' contam.json)"
    ok 'a stream of texts' sh -c 'l2-tokenize -q --lines -z tokenizer.model train.txt |
        l2-eval contam -z tokenizer.model -t test.jsonl --span 20 --json -o stream.json'
    is 'has the same samples' "$(jq -r 'select(.subset == "dirty").samples' contam.json)" "$(jq -r 'select(.subset == "dirty").samples' stream.json)"
    fails 1 'want -z FILE' 'a stream of tokens without its vocabulary' sh -c 'l2-tokenize -q --lines -z tokenizer.model train.txt |
        l2-eval contam -t test.jsonl'
    l2-vocab -q --size 400 -o other.model "$L2_SRC/tests/lib.sh"
    fails 1 'vocabulary is another one' 'a stream of another vocabulary' sh -c 'l2-tokenize -q --lines -z other.model train.txt |
        l2-eval contam -z tokenizer.model -t test.jsonl'
    fails 1 'test.jsonl:1: want none' 'a field that is not there' l2-eval contam -t test.jsonl --field none train.jsonl
    ok 'without scores' l2-eval contam -t test.jsonl --metric none --json train.jsonl
    is 'there is no significance' 'null null' "$(jq -r 'select(.subset == "dirty").score, select(has("affected")).affected' "$L2_TMP/stdout" | tr '\n' ' ' | sed 's/ $//')"
else
    skip 'contam by an independent calculation' 'no python3'
fi
fails 2 'want --test FILE' 'no test set' l2-eval contam texts.jsonl
finish
