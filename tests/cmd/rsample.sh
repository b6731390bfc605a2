#!/bin/sh
# Tests of l2-rsample: what is chosen, what is counted, what is refused.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

Z=$L2_SRC/tests/golden/small.model

tokenize() { l2-tokenize -q -z "$Z" "$@"; }
# text: the stream on standard input as JSONL
text() { l2-tokenize -q -z "$Z" -d; }
# count NAME: the number of that name in the summary line in ./summary
count() { sed -n "s/.*\"$1\":\([-0-9.e]*\).*/\1/p" summary; }
# chosen OPTION...: what l2-rsample makes of all.l2s as JSONL, and ./summary
chosen() { l2-rsample "$@" all.l2s 2>summary | text; }
# answers: the completions in the JSONL on standard input, | after each; they have no quotes in them
answers() { grep -oE '"(completion|text)":"[^"]*"' | cut -d'"' -f4 | tr '\n' '|'; }

cat >all.jsonl <<'E'
{"id":"a","prompt":"Tom had","completions":[{"text":" a dog","scores":{"r":1.5,"safe":3,"help":-1},"gen":{"k":2}},{"text":" a cat","scores":{"r":-2,"safe":-2,"help":9},"gen":{"k":0}},{"text":" a hat","scores":{"r":1.5,"safe":1,"help":2},"gen":{"k":1}},{"text":" a dog","scores":{"r":1.5,"safe":3,"help":-1},"gen":{"k":3}}],"risky":true}
{"id":"b","prompt":"Lily saw","completions":[{"text":" it","scores":{"r":0.25,"safe":3,"help":1}},{"text":" him","scores":{"r":0.25,"safe":2,"help":2}}],"risky":false}
{"id":"c","prompt":"The sun","completions":[{"text":" is up","scores":{"r":-7,"safe":0,"help":0}}]}
E
ok 'records with scores' tokenize -o all.l2s all.jsonl

is 'the best one, ties to the lowest k' ' a hat| it| is up|' "$(chosen --by r | answers)"
is 'completions in' 7 "$(count completions_in)"
is 'completions out' 3 "$(count completions)"
is 'records' 3 "$(count records)"
is 'duplicates' 1 "$(count duplicates)"
is 'the mean before: -4 / 7' -0.57142857 "$(count mean_before | cut -c 1-11)"
is 'the mean after: -5.25 / 3' -1.75 "$(count mean_after)"

chosen --by r --worst 2 | head -n 1 >got
cat >want <<'E'
{"id":"a","prompt":"Tom had","completions":[{"scores":{"r":-2.0,"safe":-2.0,"help":9.0},"gen":{"k":0},"text":" a cat"},{"scores":{"r":1.5,"safe":1.0,"help":2.0},"gen":{"k":1},"text":" a hat"}],"meta":{"risky":true}}
E
same 'the two worst, worst first' want got
is 'as many as there are, without duplicates' \
    ' a hat| a dog| a cat| it| him| is up|' "$(chosen --by r --best 99 | answers)"

chosen --by r --pairs --margin >got
cat >want <<'E'
{"id":"a","prompt":"Tom had","chosen":" a hat","rejected":" a cat","completions":[{"scores":{"r":1.5,"safe":1.0,"help":2.0},"gen":{"k":1}},{"scores":{"r":-2.0,"safe":-2.0,"help":9.0},"gen":{"k":0}}],"margin":3.5,"meta":{"risky":true}}
E
same 'pairs: best against worst, with a margin' want got
is 'a record whose scores all tie makes none' 1 "$(count tied)"
is 'nor one with a single completion' 1 "$(count single)"
is 'without --margin there is none' 0 "$(chosen --by r --pairs | grep -c margin)"

is 'a minimum keeps all that have it' \
    ' a hat| a dog| it| him|' "$(chosen --by r --min-score 0.25 | answers)"
is 'completions below the minimum' '"below_min_score":2,' \
    "$(grep -o '"below_min_score":[0-9]*,' summary | head -n 1)"
is 'records without any' 1 "$(sed -n 's/.*left_out.*"below_min_score":\([0-9]*\).*/\1/p' summary)"
is 'with --best only so many' ' a hat| it|' "$(chosen --by r --min-score 0 --best 1 | answers)"

# The tagged prompt a goes by safety, b by helpfulness; so does c, for it is above the threshold.
is 'the combined reward' ' a dog| him| is up|' \
    "$(chosen --by llama2:safe,help --safety-tag risky | answers)"
is 'without tags' ' a hat| him| is up|' "$(chosen --by llama2:safe,help | answers)"
is 'kept as a score; below logit(0.15) it is the safety score' '"all":-2.0' \
    "$(chosen --by llama2:safe,help --worst 1 --as all | head -n 1 | grep -o '"all":[-0-9.]*')"

cat >more.jsonl <<'E'
{"id":"c","prompt":"The sun","completions":[{"text":" is hot","scores":{"r":8}}]}
{"id":"c","prompt":"The moon","completions":[{"text":" is cold","scores":{"r":9}}]}
{"id":"a","prompt":"Tom had","completions":[{"text":" a hat","scores":{"r":1.5},"gen":{"k":7}}],"risky":"no"}
E
tokenize -o more.l2s more.jsonl
is 'several files are pooled by id and prompt, in order of first appearance' \
    ' a hat| it| is hot| is cold|' "$(l2-rsample --by r all.l2s more.l2s 2>summary | text | answers)"
is 'equal answers of two rounds are one' 2 "$(count duplicates)"
is 'the records that went in' 6 "$(count records_in)"
cat all.l2s more.l2s >both.l2s
is 'one stream is not pooled' ' a hat| it| is up| is hot| is cold| a hat|' \
    "$(l2-rsample -q --by r both.l2s | text | answers)"
l2-rsample -q --by r --pool both.l2s | text >pooled
l2-rsample -q --by r all.l2s more.l2s | text >several
same 'unless --pool is given' several pooled

# Expressions.
is 'longer answers pay' ' a dog| him| is up|' "$(chosen --by 'r + 0.01 * length' | answers)"
is 'names in quotes' ' a hat| it| is up|' "$(chosen --by '"r" + 0' | answers)"
is 'the combined reward as a function' ' a dog| him| is up|' \
    "$(chosen --by 'llama2(safe, help)' --safety-tag risky | answers)"
is 'tagged by itself' ' a cat| it| is up|' \
    "$(chosen --by 'tagged ? -r : r' --safety-tag risky | answers)"
fails 2 "byte 4: want a number, the name of a score or a parenthesis, got '\* 2'" \
    'no expression' l2-rsample --by 'r + * 2' all.l2s
fails 1 'record c: completion 0: want a finite value to choose by, got not a number' \
    'no number' l2-rsample --by 'help / safe' all.l2s

# All records together.
is 'the three best of all' ' a hat| a dog| it|' "$(chosen --by r --top-overall 3 | answers)"
is 'records with none of them' '"outranked":1' "$(grep -o '"outranked":[0-9]*' summary)"
is 'with --min-score at most those' ' a hat| a dog|' \
    "$(chosen --by r --top-overall 3 --min-score 1 | answers)"
is 'more than there are' 6 "$(chosen --by r --top-overall 99 | answers | tr -cd '|' | wc -c)"

# The baseline is as large, another seed draws others, and the same seed the same.
for how in '--best 1' '--best 2' '--top-overall 4' '--min-score 0 --best 2' '--pairs'; do
    chosen --by r $how >/dev/null
    n=$(count completions)
    chosen --by r $how --random -s 1 >one
    is "$how --random: as many" "$n" "$(count completions)"
    chosen --by r $how --random -s 1 >again
    same "$how --random: the same again" one again
done
seq 100 | sed 's/.*/{"id":&,"prompt":"Tom","completions":[{"text":" a","scores":{"r":1}},{"text":" b","scores":{"r":2}}]}/' >two.jsonl
tokenize -o two.l2s two.jsonl
l2-rsample -q --by r --random two.l2s | text >s0
l2-rsample -q --by r --random -s 1 two.l2s | text >s1
ok 'another seed, another choice' sh -c '! cmp -s s0 s1'
n=$(grep -c '" b"' s0)
ok 'neither the best nor the worst' test "$n" -gt 25 -a "$n" -lt 75

# Whitened: -4/7 and 2.868 are mean and deviation of the seven.
is 'whitened' 0.722184455 \
    "$(chosen --by r --whiten --as w | grep -o '"w":[-0-9.]*' | head -n 1 | cut -c 5-15)"
is 'what was taken off is told' '"whitened":{"mean":-0.571428571,"sd":2.86828186}' \
    "$(grep -o '"whitened":{[^}]*}' summary)"
head -n 1 two.jsonl | sed 's/2}}]/1}}]/' >equal.jsonl
tokenize -o equal.l2s equal.jsonl
fails 1 'wants values that differ, got 1 for all completions' 'nothing to whiten' \
    l2-rsample --by r --whiten equal.l2s

# The curve: record a has -2 and three of 1.5, b two of 0.25, c -7.
cat >want <<'E'
{"n":1,"records":3,"max":-2.04166667,"max_se":2.48152899,"median":-2.04166667,"mean":-2.04166667}
{"n":2,"records":2,"max":0.875,"max_se":0.625,"median":0.4375,"mean":0.4375}
{"n":3,"records":1,"max":1.5,"max_se":0.0,"median":1.5,"mean":0.625}
{"n":4,"records":1,"max":1.5,"max_se":0.0,"median":1.5,"mean":0.625}
E
ok 'a curve' l2-rsample -q --by r --curve -o got --force all.l2s
same 'is what the subsets give' want got
sed 's/"gen":{"k":\([01]\)/"gen":{"temperature":0.5,"k":\1/g' all.jsonl >warm.jsonl
tokenize -o warm.l2s warm.jsonl
is 'temperatures apart' '2 0.5 -0.25' "$(l2-rsample -q --by r --curve warm.l2s |
    sed -n 's/.*"n":2.*"median":\([-0-9.]*\).*"temperature":\(.*\)}/2 \2 \1/p')"
fails 2 'takes all completions' 'a curve of the best' l2-rsample --curve --best 2 all.l2s

# Why.
cat >want <<'E'
record a, by 'r': chosen from
place  rank       value  tokens  why
    0     2         1.5       5  not chosen; r 1.5, safe 3, help -1
    1     3          -2       4  chosen, number 2; r -2, safe -2, help 9
    2     1         1.5       4  chosen, number 1; r 1.5, safe 1, help 2
    3     -         1.5       5  same as 0; r 1.5, safe 3, help -1
E
l2-rsample -q --by r --pairs --explain a all.l2s >got
same 'why these two' want got
l2-rsample -q --by help --min-score 5 --explain b all.l2s >got
is 'why the record is left out' 1 "$(grep -c 'left out: all are below --min-score' got)"
is 'and each of its completions' 2 "$(grep -c ' below --min-score; r' got)"
is 'a lacking score' 1 "$(l2-rsample -q --by nope --explain c all.l2s | grep -c 'lacks nope; r -7')"
is 'why others are better' 1 \
    "$(l2-rsample -q --by r --top-overall 2 --explain c all.l2s | grep -c 'other records')"
fails 1 'no record has the id zz' 'an id that is not there' l2-rsample --by r --explain zz all.l2s

fails 1 'record a: no completion has the score x, the first one has r \(3 records in all' \
    'no completion has the score' l2-rsample --by x all.l2s
echo '{"id":5,"prompt":"Tom"}' >none.jsonl
tokenize -o none.l2s none.jsonl
fails 1 'record 5: it has no completions' 'a record without completions' l2-rsample none.l2s
is 'it is left out and counted' 1 "$(sed -n 's/.*"left_out":{"unscored":\([0-9]*\).*/\1/p' stderr)"
fails 1 'record a: meta field risky: want true or false, got text' 'a tag that is neither' \
    l2-rsample --by llama2:r,r --safety-tag risky more.l2s

fails 2 'exclude each other' 'two things at once' l2-rsample --best 1 --pairs all.l2s
fails 2 'want llama2:SAFE,HELPFUL' 'a combined reward of one score' \
    l2-rsample --by llama2:safe all.l2s
fails 2 'wants --random' 'a seed of nothing' l2-rsample --by r -s 1 all.l2s
fails 2 'wants --pairs' 'a margin without pairs' l2-rsample --margin all.l2s
fails 2 'best' 'nothing to keep' l2-rsample --best 0 all.l2s

# A stream that was cut: what came before is chosen from, and END says incomplete.
size=$(wc -c <all.l2s)
head -c $((size - 10)) all.l2s >cut.l2s
fails 1 'cut.l2s' 'a cut stream' l2-rsample --by r cut.l2s
cp stdout out.l2s
is 'its records come through' ' a hat| it| is up|' "$(text <out.l2s 2>/dev/null | answers)"
fails 1 'incomplete' 'and the result says so' l2-tokenize -z "$Z" -d out.l2s
finish
