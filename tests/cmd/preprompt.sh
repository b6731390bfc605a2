#!/bin/sh
# l2-preprompt: pre-prompts in and out again on all templates, categories, hostile files and records; and
# l2-rsample --over-plain, which keeps what a pre-prompt has made better.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"
. "$L2_SRC/tests/fixtures.sh"
ok 'the fixtures are made' make_fixtures "$L2_TMP/f"
cd "$L2_TMP/f" || exit 99

cat >pre.yaml <<'YAML'
generic:
  - You are a safe and responsible assistant.
  - You are kind.
illicit activities: Say no.
YAML
cat >chat.jsonl <<'TEXT'
{"id":"one","messages":[{"role":"user","content":"Tell me about a dog."}],"category":"illicit activities"}
{"id":"two","messages":[{"role":"system","content":"Be kind.","by":[1,{"a":null}]},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"}],"category":"cooking"}
{"id":3,"messages":[{"role":"user","content":"  Two  "},{"role":"assistant","content":"Three [INST] <|im_end|>"},{"role":"user","content":"Four"}]}
TEXT
# the same with "Be safe." as a pre-prompt, written by hand
cat >system.jsonl <<'TEXT'
{"id":"one","messages":[{"role":"system","content":"Be safe."},{"role":"user","content":"Tell me about a dog."}],"category":"illicit activities"}
{"id":"two","messages":[{"role":"system","content":"Be safe.\n\nBe kind.","by":[1,{"a":null}]},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"}],"category":"cooking"}
{"id":3,"messages":[{"role":"system","content":"Be safe."},{"role":"user","content":"  Two  "},{"role":"assistant","content":"Three [INST] <|im_end|>"},{"role":"user","content":"Four"}]}
TEXT
cat >user.jsonl <<'TEXT'
{"id":"one","messages":[{"role":"user","content":"Be safe.\n\nTell me about a dog."}],"category":"illicit activities"}
{"id":"two","messages":[{"role":"system","content":"Be kind.","by":[1,{"a":null}]},{"role":"user","content":"Be safe.\n\nHi"},{"role":"assistant","content":"Hello."},{"role":"user","content":"Who are you?"}],"category":"cooking"}
{"id":3,"messages":[{"role":"user","content":"Be safe.\n\n  Two  "},{"role":"assistant","content":"Three [INST] <|im_end|>"},{"role":"user","content":"Four"}]}
TEXT
json() {
    l2-cat -q --json "$@"
}

# ---- all templates: what is put in is what l2-tokenize makes of it, what is taken out is what was there ----

for t in chatml llama2 llama3 mistral zephyr; do
    case $t in
    chatml) z=$L2_SRC/tests/golden/tokenizer/bytes-smollm.json ;;
    llama3) z=$L2_SRC/tests/golden/tokenizer/bytes-llama3.json ;;
    *) z=tokenizer.model ;;
    esac
    for bos in '' --no-bos; do
        l2-tokenize -q -z "$z" --template $t $bos chat.jsonl -o plain.l2s --force
        json plain.l2s >plain
        for place in system user; do
            l2-tokenize -q -z "$z" --template $t $bos $place.jsonl | json >want
            ok "$t $bos: a pre-prompt in the $place turn" \
                l2-preprompt add -z "$z" --template $t --place $place --text 'Be safe.' --force -o added.l2s plain.l2s
            json added.l2s | jq -c 'del(.preprompt)' >got
            jq -c . want >want.compact
            same 'is what l2-tokenize makes of it' want.compact got
            l2-preprompt remove -q added.l2s | json >got
            same 'and is taken out to the id' plain got
        done
    done
done

# HH dialogues in which one side speaks twice
printf '%s\n' '{"chosen":"\n\nHuman: Hi\n\nHuman: You\n\nAssistant: Yes.\n\nHuman: Why?\n\nAssistant: A.","rejected":"\n\nHuman: Hi\n\nHuman: You\n\nAssistant: Yes.\n\nHuman: Why?\n\nAssistant: B."}' >hh.jsonl
l2-tokenize -q -z tokenizer.model --template llama2 hh.jsonl -o hh.l2s
l2-tokenize -q -z tokenizer.model --template llama2 --system 'Be safe.' hh.jsonl | json | jq -c '.prompt, .messages, .spans' >want
l2-preprompt add -q -z tokenizer.model --template llama2 --text 'Be safe.' -o hh-added.l2s hh.l2s
json hh-added.l2s | jq -c '.prompt, .messages, .spans' >got
same 'turns in a row are rendered as l2-tokenize has them' want got
l2-preprompt remove -q hh-added.l2s | json | jq -c 'del(.completions[].gen)' >got
json hh.l2s | jq -c . >want
same 'and come back' want got

# answers that were generated keep their ids: these are not what the text is encoded as
l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl | json | sed -n 2p |
    jq -c '.spans as $s | .prompt = .prompt[:$s[0]] + [260,261,262,2] + .prompt[$s[1]:] | .spans = [$s[0], $s[0] + 4]' >ids.jsonl
l2-cat -q --from-json -z tokenizer.model ids.jsonl -o ids.l2s
l2-preprompt add -q -z tokenizer.model --template llama2 --text 'Be safe.' -o ids-added.l2s ids.l2s
is 'answers keep their ids' '[260,261,262,2]' "$(json ids-added.l2s | jq -c '.prompt[.spans[0]:.spans[1]]')"
is 'and come back with them' "$(json ids.l2s)" "$(l2-preprompt remove -q ids-added.l2s | json)"

# ---- texts ----

l2-tokenize -q -z tokenizer.model prompts.jsonl -o texts.l2s
ok 'prompts that are texts' l2-preprompt add -z tokenizer.model --template none --text 'Be safe.' -o texts-added.l2s texts.l2s
is 'have it before them' 'Be safe. One day, Tom saw a big' "$(l2-tokenize -q -z tokenizer.model -d --lines texts-added.l2s | sed -n 2p)"
is 'behind BOS' '1 1' "$(json texts-added.l2s | jq -s '[.[1].prompt | .[0], ([.[] | select(. == 1)] | length)] | join(" ")' -r)"
is 'and come back' "$(json texts.l2s)" "$(l2-preprompt remove -q texts-added.l2s | json)"
fails 1 'record park: it has no messages to put a pre-prompt into .*--template none' 'a template wants messages' \
    l2-preprompt add -z tokenizer.model --template llama2 --text x texts.l2s

# ---- choice by category ----

l2-tokenize -q -z tokenizer.model --template llama2 chat.jsonl -o chat.l2s
ok 'by category' l2-preprompt add -z tokenizer.model --template llama2 -f pre.yaml --force -o added.l2s chat.l2s
is 'the summary counts them' '3 1 1' "$(jq -r '[(.preprompts | add), .preprompts["illicit activities/1"], .unknown_category] | join(" ")' "$L2_TMP/stderr")"
is 'a category of its own, an unknown one, none' 'illicit activities/1 generic generic' \
    "$(json added.l2s | jq -r '.preprompt.name | sub("generic/[12]"; "generic")' | tr '\n' ' ' | sed 's/ $//')"
is 'in the prompt' 'Say no.' "$(json added.l2s | jq -r '.messages[0].content' | head -n 1)"
for i in $(seq 100); do
    echo '{"id":'"$i"',"messages":[{"role":"user","content":"Hi"}],"kind":"generic"}'
done >many.jsonl
l2-tokenize -q -z tokenizer.model --template llama2 many.jsonl -o many.l2s
# names OPTION...: which pre-prompts the hundred get
names() {
    l2-preprompt add -q -z tokenizer.model --template llama2 -f pre.yaml "$@" | json | jq -r '"\(.id) \(.preprompt.name)"'
}
names many.l2s >first
is 'several are chosen among' 'generic/1 generic/2' "$(cut -d ' ' -f 2 first | sort -u | tr '\n' ' ' | sed 's/ $//')"
n=$(grep -c generic/1 first)
is 'evenly' yes "$([ "$n" -ge 30 ] && [ "$n" -le 70 ] && echo yes)"
sort -r many.jsonl >turned.jsonl
l2-tokenize -q -z tokenizer.model --template llama2 turned.jsonl | names | sort >turned
sort first >sorted
same 'by id, whatever the order' sorted turned
names -s 1 many.l2s >second
is 'and by seed' differ "$(cmp -s first second || echo differ)"
is '--category names the field' 'generic/1 generic/2' "$(names --category kind many.l2s | cut -d ' ' -f 2 | sort -u | tr '\n' ' ' | sed 's/ $//')"

# ---- wrong files ----

# bad PATTERN DESC TEXT
bad() {
    # shellcheck disable=SC2059 # with escapes
    printf -- "$3" >bad.yaml
    fails 1 "$1" "$2" l2-preprompt add -z tokenizer.model --template llama2 -f bad.yaml chat.l2s
}
bad 'bad.yaml: no pre-prompts' 'an empty file' ''
bad 'bad.yaml: no pre-prompts' 'a comment alone' '# nothing\n'
bad 'bad.yaml:2:1: not YAML' 'no YAML' '{generic: ['
bad 'bad.yaml:1:1: pre-prompts: want keys with values' 'a list' '- one\n- two\n'
bad "bad.yaml:2:1: key 'generic' is given twice" 'a key twice' 'generic: one\ngeneric: two\n'
bad 'bad.yaml:2:3: pre-prompt: want a single value' 'a mapping for a text' 'generic:\n  text: one\n'
bad 'bad.yaml:3:5: want the text of a pre-prompt, got nothing' 'an empty text' 'generic:\n  - one\n  - ""\n'
bad 'bad.yaml:1:10: generic: want one pre-prompt' 'an empty list' 'generic: []\n'
bad 'NUL character' 'a NUL in a text' 'generic: "a\\0b"\n'
bad 'bad.yaml: byte 9: not YAML' 'something else than UTF-8' 'generic: \377\n'
bad 'bad.yaml:2:5: a second document' 'two documents' 'generic: one\n--- {}\n'
awk 'BEGIN { for (i = 0; i < 1025; i++) print "c" i ": text" }' >bad.yaml
fails 1 'bad.yaml:1025:.* more than 1024 categories' 'too many categories' \
    l2-preprompt add -z tokenizer.model --template llama2 -f bad.yaml chat.l2s
{
    printf 'a: &a [x'
    awk 'BEGIN { for (i = 0; i < 1000; i++) printf ",x" }'
    printf ']\n'
    awk 'BEGIN { for (i = 0; i < 1000; i++) print "c" i ": *a" }'
} >bad.yaml
fails 1 'bad.yaml:1:.* pre-prompts of more than 16 MiB' 'a million texts by aliases' \
    l2-preprompt add -z tokenizer.model --template llama2 -f bad.yaml chat.l2s
bad 'record two: meta field category: bad.yaml has no pre-prompt for category cooking, and no generic one' \
    'an unknown category without a generic pre-prompt' 'illicit activities: no\n'
printf 'illicit activities: no\ncooking: yes\n' >bad.yaml
fails 1 'record 3: it has no category, and bad.yaml no generic' 'no category without a generic pre-prompt' \
    l2-preprompt add -z tokenizer.model --template llama2 -f bad.yaml -o part.l2s chat.l2s
fails 1 'the stream is incomplete' 'what was written before is incomplete' l2-cat -q --check part.l2s
ok '--skip-bad leaves it out' l2-preprompt add -z tokenizer.model --template llama2 -f bad.yaml --skip-bad --force -o part.l2s chat.l2s
is 'and counts it' '2 1' "$(tail -n 1 "$L2_TMP/stderr" | jq -r '"\(.records) \(.skipped)"')"
ok 'what is left is whole' l2-cat -q --check part.l2s

# ---- wrong records, wrong usage ----

fails 1 'record two: its prompt is not what the template mistral makes of its messages' 'another template' \
    l2-preprompt add -z tokenizer.model --template mistral -f pre.yaml chat.l2s
fails 1 "the stream's vocabulary of 512 tokens is not that of" 'another vocabulary' \
    l2-preprompt add -z "$L2_SRC/tests/golden/tokenizer/bytes-llama3.json" --template llama3 -f pre.yaml chat.l2s
fails 1 'record one: it has a pre-prompt already' 'a second one' \
    l2-preprompt add -z tokenizer.model --template llama2 -f pre.yaml added.l2s
printf '%s\n' '{"id":9,"prompt":[1,2],"messages":[{"role":"system","content":"x"}],"completions":[]}' |
    l2-cat -q --from-json -z tokenizer.model -o alone.l2s
fails 1 'record 9: a dialogue without a user turn' 'messages without a user' \
    l2-preprompt add -z tokenizer.model --template llama2 --text x alone.l2s
printf '%s\n' '{"id":9,"completions":[{"text":"x"}]}' | l2-cat -q --from-json -o words.l2s
fails 1 'record 9: it has no prompt' 'a stream of texts' l2-preprompt add -z tokenizer.model --template none --text x words.l2s
# forged PATTERN DESC FIELD: a record with this as its field preprompt
forged() {
    printf '{"id":9,"prompt":[1],"completions":[],"preprompt":%s}\n' "$3" | l2-cat -q --from-json -o forged.l2s --force
    fails 1 "forged.l2s: .*record 9: $1" "$2" l2-preprompt remove forged.l2s
}
forged 'field preprompt: want a map' 'a field that is no map' '"x"'
forged 'field preprompt: want a name' 'one without a name' '{"plain":{"id":9,"prompt":{"$cbor":"d84640"}}}'
forged 'field preprompt: want a plain record' 'one without a record' '{"name":"x"}'
forged 'field preprompt: want a plain record' 'one whose record has no prompt' '{"name":"x","plain":{"id":9}}'
forged 'prompt: want .*, got array' 'a prompt of another kind' '{"name":"x","plain":{"id":9,"prompt":[1]}}'
forged 'record: want a map|want a map' 'a record of another kind' '{"name":"x","plain":7}'
forged 'spans: want pairs' 'spans past the prompt' \
    '{"name":"x","plain":{"id":9,"prompt":{"$cbor":"d84640"},"spans":{"$cbor":"d846480000000009000000"}}}'
forged 'record: want an id' 'a record without an id' '{"name":"x","plain":{"prompt":{"$cbor":"d84640"}}}'
is 'records that have none pass' "$(json chat.l2s)" "$(l2-preprompt remove -q chat.l2s | json)"
l2-preprompt remove chat.l2s 2>err >/dev/null
is 'and are counted' 3 "$(jq .without err)"

fails 2 'want a vocabulary' 'no vocabulary' l2-preprompt add --text x chat.l2s
fails 2 'want one of --file and --text' 'no pre-prompt' l2-preprompt add -z tokenizer.model chat.l2s
fails 2 'want one of --file and --text' 'both' l2-preprompt add -z tokenizer.model -f pre.yaml --text x chat.l2s
fails 2 'got an empty string' 'an empty text' l2-preprompt add -z tokenizer.model --text '' chat.l2s
fails 2 '--category wants --file' '--category with --text' l2-preprompt add -z tokenizer.model --text x --category y chat.l2s
fails 2 '--place wants a template' '--place without a template' l2-preprompt add -z tokenizer.model --template none --text x --place user chat.l2s
fails 2 'want none, auto or one of' 'an unknown template' l2-preprompt add -z tokenizer.model --template x --text x chat.l2s
fails 1 'no-such.yaml' 'a missing file' l2-preprompt add -z tokenizer.model --template llama2 -f no-such.yaml chat.l2s

# ---- generated under it, and without ----

ok 'answers under a pre-prompt and without' sh -c 'l2-preprompt add -q -z tokenizer.model --template llama2 -f pre.yaml chat.l2s |
    l2-generate -q -m model -k 2 -n 5 | l2-preprompt remove -q | l2-generate -q -m model -k 1 -n 5 -o both.l2s'
is 'are told apart' '0 named 1 named 2 null' "$(json both.l2s | sed -n 1p |
    jq -r '[.completions[].gen | "\(.k) \(if .preprompt == "illicit activities/1" then "named" else .preprompt end)"] | join(" ")')"
is 'the plain one is what comes without pre-prompts' "$(l2-generate -q -m model -k 3 -n 5 chat.l2s | json | jq -c '.completions[2].tokens')" \
    "$(json both.l2s | jq -c '.completions[2].tokens')"
l2-generate -q -m model -k 1 -n 5 chat.l2s | l2-preprompt add -q -z tokenizer.model --template llama2 -f pre.yaml |
    l2-generate -q -m model -k 1 -n 5 | l2-preprompt remove -q | json >turned
is 'in the other order too' 'false illicit activities/1' "$(sed -n 1p turned | jq -r '[.completions[].gen.preprompt] | join(" ")')"

# ---- keeping what is better ----

# record ID SCORE[p] ...: a record whose completions have these scores, those with p made under a pre-prompt; - has none
record() {
    printf '{"id":"%s","prompt":[1],"completions":[' "$1"
    shift
    sep='' token=3
    for s; do
        gen='{}' score=${s%p}
        case $s in *p) gen='{"preprompt":"generic/1"}' ;; esac
        [ "$score" = - ] && score='' || score='"scores":{"safe":'$score'},'
        printf '%s{"tokens":[%d],%s"gen":%s}' "$sep" $token "$score" "$gen"
        sep=, token=$((token + 1))
    done
    echo ']}'
}
{
    record better 1 2p 3p 0p
    record worse 1p 2
    record tie 2p 1p 2 0
    record one -p 3p 2 -
    record low -2p -3
} >scores.jsonl
l2-cat -q --from-json scores.jsonl -o scores.l2s
# kept OPTION...: which records are kept, and the scores
kept() {
    l2-rsample --by safe --over-plain "$@" scores.l2s 2>err | json | jq -r '"\(.id) \([.completions[].scores.safe] | join(","))"' | tr '\n' ' ' | sed 's/ $//'
}
is 'the best one is kept where it is better' 'better 3 one 3 low -2' "$(kept)"
is 'the others are counted' '5 1 1 0 2' \
    "$(jq -r '"\(.records_in) \(.left_out.no_gain) \(.left_out.tied) \(.left_out.unscored) \(.unscored)"' err)"
is 'all that are better' 'better 3,2 one 3 low -2' "$(kept --best 9)"
is 'with a threshold' 'better 3,2 one 3' "$(kept --min-score 2)"
is 'below it' 2 "$(jq .left_out.below_min_score err)"
is 'over all records together' 'better 3,2 one 3' "$(kept --top-overall 3)"
l2-cat -q --head 2 scores.l2s >a.l2s
is 'of several files' 'better' "$(l2-rsample -q --by safe --over-plain a.l2s a.l2s | json | jq -r .id)"
is '--explain tells' 'the best with and without a pre-prompt are equal' \
    "$(l2-rsample -q --by safe --over-plain --explain tie scores.l2s | sed -n 's/^record.*: //p')"
is 'and of each completion' 'made without a pre-prompt|chosen, number 1|no better than one made without a pre-prompt' \
    "$(l2-rsample -q --by safe --over-plain --explain better scores.l2s | sed -n '3p;5p;6p' | sed 's/^ *\([^ ]* *\)\{4\}//; s/;.*//' | tr '\n' '|' | sed 's/|$//')"
for records in 'under 1p 2p' 'plain 1 2' 'half 1p -'; do
    # shellcheck disable=SC2086 # a list
    record $records | l2-cat -q --from-json -o half.l2s --force
    fails 1 "record ${records%% *}: want scored completions both with and without a pre-prompt .1 records" \
        "$records is no comparison" l2-rsample --by safe --over-plain half.l2s
done
record none -p - | l2-cat -q --from-json -o none.l2s
fails 1 'record none: no completion has the score safe' 'nothing is scored' l2-rsample --by safe --over-plain none.l2s
for o in '--worst 1' --pairs --random --curve; do
    # shellcheck disable=SC2086
    fails 2 'over-plain keeps the best' "$o does not go with it" l2-rsample --over-plain $o scores.l2s
done

finish
