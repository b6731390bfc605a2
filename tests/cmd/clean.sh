#!/bin/sh
# l2-clean: changes, rules, duplicates, evaluation sets, weights, the report, forms in and out.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

python=/usr/bin/python3
shipped="--rules-dir $L2_SRC/examples/rules"

# clean RULES...: what l2-clean makes of the lines on standard input by these rules, one a line
clean() {
    printf '%s\n' "$@" >rules.yaml
    l2-clean -q --lines --rules rules.yaml 2>err
}

# verdict RULE TEXT: "kept" or "dropped", by a rule for documents
verdict() {
    printf 'documents:\n  - {name: r, %s}\n' "$1" >rules.yaml
    if printf '%s' "$2" | l2-clean -q --text --rules rules.yaml 2>err | grep -q .; then echo kept; else echo dropped; fi
    cat err
}

printf 'one\r\n\ntwo\377\n' >in
l2-clean -q --lines --to lines in >out 2>err
printf 'one\n\n' >want
same 'without rules lines pass, those that are not UTF-8 do not' want out

# ---- changes ----

is 'control characters, escape sequences, overstrikes, invisible characters' 'a bold b	c' \
    "$(printf 'a \033[1mbold\033[0m _\bb\tc\000\302\255\342\200\213\n' | clean 'text: {controls: remove}')"
is 'spaces' '  a b c' "$(printf '  a   b \t c  \n' | clean 'text: {spaces: collapse}')"
is 'markup' 'a & b < c < 3 ' \
    "$(printf 'a &amp; b &lt; c < 3 <b class="x>y"></b><!-- no --><script>var x = "</b>";</script>\n' | clean 'text: {markup: remove}')"
is 'invalid bytes' 'a?b??' "$(printf 'a\377b\303\342\n' | clean 'text: {invalid: replace}' | sed "s/$(printf '\357\277\275')/?/g")"
if l2-clean -q --lines --rules rules.yaml /dev/null 2>/dev/null && printf 'e\314\201 \357\254\201\n' | clean 'text: {unicode: nfkc}' >out; then
    is 'normal form KC' "$(printf '\303\251 fi')" "$(cat out)"
    is 'normal form C' "$(printf '\303\251 \357\254\201')" "$(printf 'e\314\201 \357\254\201\n' | clean 'text: {unicode: nfc}')"
else
    ok 'a build without utf8proc says so' grep -q 'want a build with utf8proc' err
fi
is 'replacements' 'x [n] y [n]' "$(printf 'x 12 y 345\n' | clean "replace: [{name: n, pattern: '[0-9]+', with: '[n]'}]")"
# shellcheck disable=SC2086 # options
is 'personal data' 'write to [email], call [telephone], from [ip] by [card] and [account]; not 1.2.3 or 2024-01-02' \
    "$(echo 'write to jo.e+x@a-b.example.org, call +49 30 1234 5678, from 192.168.0.1 by 4111 1111 1111 1111 and DE89 3704 0044 0532 0130 00; not 1.2.3 or 2024-01-02' |
        l2-clean -q $shipped --rules pii --lines 2>err)"

# ---- measures ----

check() { # MEASURE KEPT DROPPED: each given as printf's format
    is "$1: kept" kept "$(verdict "$1" "$(printf "$2")")"
    is "$1: dropped" dropped "$(verdict "$1" "$(printf "$3")")"
}
check 'measure: chars, min: 3' 'a\303\244b' 'a\303\244'
check 'measure: words, min: 3' "it's a" 'two words'
check 'measure: words, min: 3' '\344\270\255\346\226\207\345\255\227' 'w'
check 'measure: lines, max: 2' 'a\nb' 'a\nb\nc'
check 'measure: word-length, max: 5' 'abc abcdef' 'abcdef abcdef'
check 'measure: line-length, max: 5' 'abc\n\nabcdefg' 'abcdef\n\nabcdef'
check 'measure: letter-share, min: 0.5' 'ab12 ' 'ab123'
check 'measure: digit-share, max: 0.5' 'ab12 ' 'ab123'
check 'measure: symbol-share, max: 0.25' 'abc,' 'ab,,'
check 'measure: upper-share, max: 0.5' 'Ab1' 'ABc'
check 'measure: repeated-lines, max: 0.34' 'a\nb\na' 'a\na\na'
check 'measure: repeated-ngrams, ngram: 2, max: 0.5' 'a b c a b c' 'a b a b a b'
check 'measure: top-ngram, ngram: 2, max: 0.5' 'a b c d e f a b' 'a b c a b d'
check 'measure: stop-words, words: [the, OF], min: 2' 'The end of' 'the end'
check 'measure: stop-share, words: [the], min: 0.5' 'the end' 'at the end'
check 'measure: match-share, pattern: "[\\p{Cyrillic}]+", min: 0.5' '\320\260\320\261 ab' '\320\260 ab'
check 'pattern: "^b$"' 'a\nbb' 'a\nb\nc'
check 'pattern: x, min: 1' 'axb' 'ab'
check 'pattern: x, max: 1' 'axb' 'xx'

# ---- lines and duplicates ----

printf 'keep this line\ndrop\nkeep that line\n' >in
printf 'lines: [{name: d, pattern: "^drop"}]\n' >rules.yaml
l2-clean -q --text --rules rules.yaml in 2>err | grep -q '"text":"keep this line\\nkeep that line\\n"' && a=yes || a=no
is 'lines of a document are dropped' yes "$a"
cat >in <<'TEXT'
the same line of thirty characters
a short one

the same line of thirty characters
a short one
and another
TEXT
printf 'duplicates: {lines: drop}\n' >rules.yaml
l2-clean -q --paragraphs --rules rules.yaml in >out 2>err
printf 'the same line of thirty characters\na short one\n\na short one\nand another\n\n' >want
same 'long lines that were there before, in any document' want out
is 'documents that were there before' 'a b' "$(printf 'a\nb\na\nb\n' | clean 'duplicates: {documents: drop}' | tr '\n' ' ' | sed 's/ $//')"

if $python -c '' 2>/dev/null; then
    ok 'near duplicates, against similarities that Python computes' $python "$L2_SRC/tests/clean_near.py" 300
    diag "$(cat "$L2_TMP/stdout")"
else
    skip 'near duplicates, against similarities that Python computes' 'python3 is not installed'
fi

# a table that is full is said, and nothing is dropped wrongly
seq 1 3000 | sed 's/^/line /' >in
printf 'duplicates: {documents: drop}\n' >rules.yaml
ok 'a table that is full' l2-clean --memory 1K --lines --rules rules.yaml --report full.json in
cp "$L2_TMP/stdout" full.out
cp "$L2_TMP/stderr" full.err
ok 'is said' grep -q 'a table was full' full.err
is 'and drops nothing that is new' 3000 "$(wc -l <full.out | tr -d ' ')"
ok 'and is in the report' grep -q '"not_remembered": 2888' full.json
ok 'what memory is taken is said at the start' grep -q 'memory: documents 0.0 MiB (room for 112)' full.err

# ---- evaluation sets ----

words() { # FROM TO: w1 w2 ...
    seq -f 'w%g' -s ' ' "$1" "$2"
}
words 1 30 >eval
evaluate() { # TEXT: kept or dropped, and the set's contaminated tokens
    echo "$1" | l2-clean -q --force --lines --evaluation eval --report ev.json 2>err | grep -q . && a=kept || a=dropped
    echo "$a $(sed -n 's/.*"contaminated_tokens": \([0-9]*\).*/\1/p' ev.json)"
}
is 'nine words in common are no span' 'kept 0' "$(evaluate "x $(words 3 11) y")"
is 'ten are' 'dropped 10' "$(evaluate "x $(words 3 12) y")"
is 'four words may differ' 'dropped 16' "$(evaluate "$(words 1 10) x w12 x w14 x w16 x $(words 18 20) z")"
is 'not five' 'dropped 13' "$(evaluate "$(words 1 10) x w12 x w14 x w16 x x w19 w20")"
is 'none of the first ten' 'kept 0' "$(evaluate "$(words 1 5) x $(words 7 15)")"
is 'none at the end' 'dropped 10' "$(evaluate "$(words 1 10) x x x x")"
is 'case and punctuation make no difference' 'dropped 30' "$(evaluate "$(words 1 30 | tr w W | sed 's/ /, /g')")"
printf '{"id":"w1 w2 w3","question":"%s","choices":["%s"]}\n' "$(words 1 6)" "$(words 7 12)" >eval.jsonl
echo "$(words 1 12)" | l2-clean -q --force --lines --evaluation eval.jsonl --report ev.txt >out 2>err
ok 'of JSONL all strings but the id count' grep -q '^eval.jsonl  *1  *1  *0  *1  *0  *1  *0$' ev.txt
is 'and the document is dropped' '' "$(cat out)"
printf 'contamination: {share: 0.5}\n' >rules.yaml
is 'a share of the sample below the limit stays' "$(words 1 12)" \
    "$(words 1 12 | l2-clean -q --lines --rules rules.yaml --evaluation eval 2>err)"

# ---- patterns that explode ----

printf 'documents:\n  - {name: boom, pattern: "(a+)+$"}\n' >rules.yaml
printf '%060d\n' 0 | tr 0 a | sed 's/$/!/' >in
fails 1 "in:1: rule 'boom' \(line 2 of its file\): its pattern met its match limits" 'a pattern that explodes is cut off and named' \
    l2-clean --lines --rules rules.yaml --report boom.json in
same 'the text stays' in "$L2_TMP/stdout"
ok 'and it is counted' grep -q '"gave_up": 1' boom.json

# ---- rules that are none ----

bad() { # PATTERN DESC YAML
    printf '%b' "$3" >rules.yaml
    fails 1 "$1" "$2" l2-clean --lines --rules rules.yaml /dev/null
}
bad 'rules.yaml:2:3: text: unknown key' 'an unknown key' 'text:\n  colour: keep\n'
bad 'rules.yaml:1:1: rules: unknown key' 'an unknown section' 'rule: 1\n'
bad "1:18: controls: want one of keep, remove, got 'maybe'" 'a value that is none' 'text: {controls: maybe}\n'
bad 'rules.yaml:2:31: pattern: missing closing parenthesis' 'a pattern that is none' 'documents:\n  - {name: a bc, pattern:     "(a"}\n'
bad "rule 'a' wants a measure or a pattern" 'a rule without anything' 'documents: [{name: a}]\n'
bad "rule 'a' wants min or max" 'a measure without limits' 'documents: [{name: a, measure: words}]\n'
bad "rule 'a' wants ngram" 'a measure that wants more' 'documents: [{name: a, measure: top-ngram, max: 1}]\n'
bad "rule 'a' wants a min that is not above its max" 'limits that exclude each other' 'documents: [{name: a, measure: words, min: 3, max: 2}]\n'
bad 'not YAML' 'no YAML' '{ a: [\n'
bad 'the file is empty' 'an empty file' ''
bad 'a second document' 'two documents' 'text: {}\n---\ntext: {}\n'
fails 1 'no-such-file.yaml: cannot open' 'a missing file' l2-clean --rules no-such-file.yaml --lines /dev/null
fails 1 'nosuch.yaml: cannot open' 'an unknown name' l2-clean --rules nosuch --lines /dev/null

# ---- forms ----

printf '{"a":1.10,"text":"x\\u00e9  y","id":"k","z":[1e5]}\n{"text":"p"}\n' >rows.jsonl
printf 'text: {spaces: collapse}\n' >rules.yaml
l2-clean -q --rules rules.yaml rows.jsonl >out 2>err
printf '{"a":1.10,"text":"x\303\251 y","id":"k","z":[1e5]}\n{"text":"p"}\n' >want
same 'rows keep their other fields to the byte' want out
ok 'a stream of them' l2-clean --to stream -o rows.l2s rows.jsonl
ok 'is in order' l2-cat --check rows.l2s
l2-clean -q --to jsonl rows.l2s >out 2>err
printf '{"id":"k","text":"x\303\251  y","meta":{"a":1.1,"z":[100000.0]}}\n{"id":1,"text":"p"}\n' >want
same 'and has the other fields as meta' want out
l2-clean -q rows.l2s | l2-clean -q --to jsonl >out 2>err
same 'streams in and out' want out
fails 1 'want an object with a string "text"' 'a row without text' sh -c 'echo "{\"txt\":1}" | l2-clean --jsonl'
fails 1 'is no line' 'a text with line feeds is no line' sh -c 'printf "a\nb\n" | l2-clean --text --to lines'
fails 1 'the stream holds token ids' 'a stream of token ids' sh -c 'l2-cat -q --from-json "$1" | l2-clean' sh "$L2_SRC/tests/golden/stream.jsonl"
fails 2 'want one of --text, --lines' 'two forms' l2-clean --text --lines in
fails 2 '2 weights for 1 files' 'a weight too many' l2-clean --lines --weight 1 --weight 2 in

# ---- mixing ----

seq -f 'a%g' 1 1000 >a
seq -f 'b%g' 1 100 >b
l2-clean -q --lines --weight 1 --weight 2.5 a b >mix 2>err
l2-clean -q --lines --weight 1 --weight 2.5 a b >mix2 2>err
same 'mixing is the same again' mix mix2
head -n 1100 mix >first
cat a b >want
same 'all comes first' want first
tail -n +1101 mix | head -n 100 >second
same 'then the second copy' b second
n=$(tail -n +1201 mix | wc -l | tr -d ' ')
ok "then some half of the third ($n)" test "$n" -gt 30 -a "$n" -lt 70
is 'each document once more at most' "$n" "$(tail -n +1201 mix | sort -u | wc -l | tr -d ' ')"
l2-clean -q --lines --weight 1 --weight 2.5 -s 1 a b >mix3 2>err
ok 'another seed chooses others' sh -c '! cmp -s mix mix3'
l2-clean -q --lines --weight 0.1 --weight 0 a b >tenth 2>err
n=$(wc -l <tenth | tr -d ' ')
ok "a tenth ($n)" test "$n" -gt 60 -a "$n" -lt 140
l2-clean -q --lines --interleave a b >inter 2>err
is 'interleaved: nothing is lost' "$(cat a b | sort | cksum)" "$(sort inter | cksum)"
n=$(head -n 550 inter | grep -c b)
ok "and half of b is in the first half ($n)" test "$n" -gt 35 -a "$n" -lt 65
l2-clean -q --lines --to stream --weight 2 b 2>err | l2-clean -q --to lines >out 2>err
is 'copies in a stream' 200 "$(wc -l <out | tr -d ' ')"

# ---- the report ----

printf 'She was a German.\nHe and she.\nNothing.\nDrop me\n' >in
printf 'documents: [{name: d, pattern: Drop}]\n' >d.yaml
# shellcheck disable=SC2086 # options
ok 'a report' l2-clean $shipped --rules terms --rules d.yaml --lines --report r.json --report r.txt --dropped dropped.jsonl in
ok 'the table of terms' grep -q '^pronouns  *2  *66.67%$' r.txt
ok 'shares of the group' grep -q '^    he  *1  *50.00%$' r.txt
ok 'the example of what was dropped' grep -q '^    in:4: Drop me$' r.txt
ok 'the sources' grep -q '^in  *1  *4  *3  *3 ' r.txt
is 'what was dropped' '{"id":3,"rule":"d","text":"Drop me"}' "$(cat dropped.jsonl)"
if have jq; then
    is 'as JSON' '4 3 1 3' "$(jq -r '[.documents.read, .documents.kept, (.rules[] | select(.rule == "d").documents), .sources[0].written] | join(" ")' r.json)"
else
    skip 'as JSON' 'no jq'
fi
fails 1 'r.json.*exists' 'a report that exists is refused' l2-clean --lines --report r.json in

# ---- hostile text ----

{
    head -c 300000 /dev/zero | tr '\000' '<'
    head -c 300000 /dev/zero | tr '\000' '&'
    i=0
    while [ $i -lt 3000 ]; do
        printf '<!-- <script> a=" '
        i=$((i + 1))
    done
    head -c 100000 /dev/zero | sed 's/\x00/a /g'
} >hostile
printf 'text: {markup: remove, controls: remove, spaces: collapse}\nnear: {}\n' >rules.yaml
# shellcheck disable=SC2086 # options
ok 'text made to be slow' l2-clean $shipped --rules rules.yaml --rules default --rules pii --text hostile

# ---- histories ----
printf 'one line of text\n' >a.txt
printf 'another line of it\n' >b.txt
for f in a b; do l2-clean -q --lines --to stream -o $f.l2s $f.txt; done
l2-clean -q -o both.l2s a.l2s b.l2s
is 'the histories of all streams go on' 3 "$(l2-cat -q --json --headers both.l2s 2>/dev/null | grep -o '"program":"l2-clean"' | wc -l | tr -d ' ')"
l2-clean -q <a.l2s >piped.l2s
is 'also from standard input' 2 "$(l2-cat -q --json --headers piped.l2s 2>/dev/null | grep -o '"program":"l2-clean"' | wc -l | tr -d ' ')"
finish
