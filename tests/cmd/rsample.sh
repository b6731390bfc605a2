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
fails 2 'wants --by llama2' 'a tag without the combined reward' l2-rsample --safety-tag x all.l2s
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
