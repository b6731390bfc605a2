#!/bin/sh
# l2-cat on whole streams: JSON both ways, joining, choosing, splitting, checking, recovering; and an independent
# reader of what it writes.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SRC/tests/golden/stream.jsonl
model=$L2_SRC/tests/golden/small.model

# json FILE...: the JSON form, with headers and ENDs
json() {
    l2-cat -q --json --headers "$@"
}

# lines_of STREAM: ids, one a line
ids() {
    l2-cat -q --json "$@" | sed 's/^{"id":\([^,]*\),.*/\1/' | tr '\n' ' '
}

# stream FROM TO: records with these ids on standard output, as JSON
records() {
    i=$1
    while [ "$i" -le "$2" ]; do
        printf '{"id":%d,"prompt":[1,%d],"completions":[{"tokens":[%d,2],"scores":{"r":%d.5}}]}\n' "$i" "$i" "$i" "$i"
        i=$((i + 1))
    done
}

# flip FILE OFFSET: the file with another byte there
flip() {
    head -c "$2" "$1"
    printf '\252\125'
    tail -c "+$(($2 + 3))" "$1"
}

# ---- JSON both ways ----

ok 'JSON to a stream' l2-cat --from-json --no-history -o all.l2s "$golden"
json all.l2s >all.jsonl
same 'and back, exactly' "$golden" all.jsonl
ok 'the same through pipes' sh -c 'l2-cat -q --from-json --no-history <"$1" | l2-cat -q --json --headers >piped.jsonl' sh "$golden"
same 'exactly, too' "$golden" piped.jsonl
ok 'zstd finds the stream in order' zstd -tq all.l2s
is 'as END has it' '{"program":"l2-cat","records":4,"tokens":12' "$(l2-cat all.l2s 2>&1 >/dev/null | cut -d , -f 1-3)"

if have python3; then
    json all.l2s >form
    ok 'an independent reader reads the same' sh -c 'python3 "$1"/tests/stream_reader.py --same-as all.l2s <form' sh "$L2_SRC"
    sed 's/helpful/unhelpful/' form >other
    fails 1 'line 2' 'and tells when it does not' sh -c 'python3 "$1"/tests/stream_reader.py --same-as all.l2s <other' sh "$L2_SRC"
else
    skip 'an independent reader reads the same' 'python3 is not installed'
fi

printf '%s\n' '{"prompt":[1]}' '' '{"id":7,"prompt":[2]}' ' {"prompt":[3]} ' >no-ids.jsonl
is 'records without an id are counted' '0 7 2 ' "$(l2-cat -q --from-json no-ids.jsonl | ids)"
is 'with a prefix' '"a-0" 7 "a-2" ' "$(l2-cat -q --from-json --id-prefix a- no-ids.jsonl | ids)"
is 'without -z there is no vocabulary' '"vocabulary":null' \
    "$(l2-cat -q --from-json no-ids.jsonl | json | head -n 1 | cut -d , -f 3)"
l2-cat -q --from-json -z "$model" no-ids.jsonl >with-z.l2s
is 'with -z it is of that vocabulary' '"vocabulary":{"size":' "$(json with-z.l2s | head -n 1 | cut -d , -f 3 | cut -c 1-21)"
fails 1 'no-ids.jsonl:3: .*token 99999 is not below' 'ids beyond the vocabulary' \
    sh -c 'sed s/\\[2\\]/[99999]/ no-ids.jsonl >x && mv x no-ids.jsonl && l2-cat --from-json -z "$1" no-ids.jsonl' sh "$model"
fails 1 'stream.jsonl:1: vocabularies differ' '-z against the vocabulary of a header line' l2-cat --from-json -z "$model" "$golden"

bad_line() { # PATTERN LINE
    printf '{"id":0}\n%s\n{"id":2}\n' "$2" >bad.jsonl
    fails 1 "^l2-cat: bad.jsonl:$1" "a bad line: $2" l2-cat --from-json bad.jsonl
    l2-cat --from-json bad.jsonl 2>/dev/null >bad.l2s
    is "what came before it is passed on: $2" '0 ' "$(ids bad.l2s 2>/dev/null)"
    fails 1 'bad.l2s: the stream is incomplete: bad.jsonl:2' "and marked incomplete: $2" l2-cat --check bad.l2s
    ok "unless it is skipped: $2" l2-cat --from-json --skip-bad bad.jsonl
    is "and counted: $2" 1 "$(grep -c '"skipped":1,' stderr)"
    is "the others pass: $2" '0 2 ' "$(ids stdout)"
}
bad_line '2:[0-9]+: .*near' '{"id":1 "x":2}'
bad_line '2:7: id: want a string or an integer, got a real' '{"id":1.5}'
bad_line '2:22: prompt\[1\]: want an integer' '{"id":1,"prompt": [1,"x"]}'
bad_line '2:[0-9]+: duplicate' '{"id":1,"id":2}'
bad_line '2:[0-9]+: ' '{"id":"\ud800"}'
bad_line '2:[0-9]+: too big integer' '{"id":92233720368547758080}'
bad_line '2:[0-9]+: real number overflow' '{"id":1,"meta":{"x":1e400}}'
bad_line '2:[0-9]+: invalid token' '{"id":1,"margin":NaN}'
bad_line '2:1: want an object, got an array' '[1]'
bad_line '2: END outside of a segment' '{"complete":true,"records":1,"tokens":0}'

head -n 4 "$golden" >cut.jsonl
fails 1 'cut.jsonl:4: input ends after 3 records without END' 'lines that end before END' l2-cat --from-json cut.jsonl
sed 's/"records":4/"records":5/' "$golden" >miscounted.jsonl
fails 1 'miscounted.jsonl:6: END counts 5 records' 'an END line that counts otherwise' l2-cat --from-json miscounted.jsonl
printf '{"id":1}\n' >one.jsonl
fails 1 'no-such: cannot open' 'a missing file of lines' l2-cat --from-json one.jsonl no-such

# ---- streams of another writer ----

if have python3 && have zstd; then
    frames() {
        python3 "$L2_SRC/tests/stream_frames.py" >"$1"
    }
    header='a4 656d61676963 636c3273 6776657273696f6e 01 6a766f636162756c617279 f6 67686973746f7279 80'
    end='a3 68636f6d706c657465 f5 677265636f726473 02 66746f6b656e73 00'
    frames foreign.l2s <<-END
	= 502a4d18 02000000 ffff        # a skippable frame before the header
	bf 656d61676963 636c3273 6776657273696f6e 1801 67686973746f7279 9fff 6161 00 6a766f636162756c617279 f6 ff
	a1 626964 1800 bf 626964 20 6178 9f00ff 6b636f6d706c6574696f6e73 9fff 6174 7f61616162ff ff
	= 5f2a4d18 00000000
	a5 68636f6d706c657465 f4 66746f6b656e73 00 656572726f72 63626164 6178 00 677265636f726473 02
	END
    json foreign.l2s >foreign.out 2>/dev/null
    cat >expected <<-'END'
	{"magic":"l2s","version":1,"vocabulary":null,"history":[],"a":0}
	{"id":0,"completions":[]}
	{"id":-1,"completions":[],"x":[0],"t":"ab"}
	{"complete":false,"records":2,"tokens":0,"error":"bad"}
	END
    same 'a stream with everything that no l2 writes' expected foreign.out
    fails 1 'foreign.l2s: the stream is incomplete: bad$' 'its END is told' l2-cat foreign.l2s

    refused() { # PATTERN DESC, frames on standard input
        frames refused.l2s
        fails 1 "^l2-cat: refused.l2s: $1" "--check: $2" l2-cat --check refused.l2s
    }
    { echo "$header" && echo 'a1 626964 f6'; } | refused 'byte 54: id: want text or an integer, got null' 'a wrong type'
    { echo "$header" && echo 'a1 626964 00' && echo "$end"; } | refused 'byte [0-9]+: END counts 2 records' 'END counts otherwise'
    { echo "$header" && echo "$header"; } | refused 'byte [0-9]+: header inside an open segment' 'no END'
    echo "$header" | sed 's/ 01 / 02 /' | refused 'byte 0: stream version 2 is not supported' 'another version'
    echo 'a1 626964 00' | refused 'byte 0: record before any header' 'no header'
    echo '68656c6c6f' | refused 'byte 0: not an l2 stream' 'something else in zstd frames'
    echo '= 68656c6c6f20776f726c64' | refused 'byte 0: not an l2 stream' 'something else'
    echo '= 502a4d18 00000000' | refused 'byte 8: input ends before any header' 'skippable frames alone'
    printf '' | refused 'byte 0: empty' 'nothing'
else
    skip 'streams of another writer' 'python3 or zstd is not installed'
fi

# ---- joining ----

records 0 9 | l2-cat -q --from-json -z "$model" >a.l2s
records 10 19 | l2-cat -q --from-json -z "$model" >b.l2s
cat a.l2s b.l2s >ab.l2s
is 'cat makes a stream of two segments' 2 "$(json ab.l2s | grep -c '^{"complete":true')"
ok 'l2-cat joins files' l2-cat -q -o joined.l2s a.l2s b.l2s
is 'to one segment' 1 "$(json joined.l2s | grep -c '^{"complete":true,"records":20,"tokens":80}')"
is 'in order' "$(ids a.l2s)$(ids b.l2s)" "$(ids joined.l2s)"
is 'with the history joined and its own added' '"arguments":["-q","--from-json","-z"
"arguments":["-q","-o","joined.l2s","a.l2s","b.l2s"]' \
    "$(json joined.l2s | head -n 1 | grep -o '"arguments":\["-q","--from-json","-z"\|"arguments":\["-q","-o"[^]]*.')"
is 'unless that is not wanted' 0 "$(l2-cat -q --no-history ab.l2s | json | head -n 1 | grep -c '"l2-cat","version":"[^"]*","arguments":\["-q","ab.l2s')"
records 0 1 | l2-cat -q --from-json >none.l2s
fails 1 'none.l2s: vocabularies differ' 'vocabularies do not mix' l2-cat a.l2s none.l2s

# ---- choosing ----

is '--head' '0 1 2 ' "$(ids --head 3 a.l2s)"
is '--head of more than there is' "$(ids a.l2s)" "$(ids --head 99 a.l2s)"
is '--head 0' '' "$(ids --head 0 a.l2s)"
ok '--head 0 is a whole stream' sh -c 'l2-cat -q --head 0 a.l2s | l2-cat --check'
is '--range over inputs' '8 9 10 11 ' "$(ids --range 8:12 a.l2s b.l2s)"
is '--range without a beginning' '0 1 ' "$(ids --range :2 a.l2s)"
is '--range without an end' '8 9 ' "$(ids --range 8: a.l2s)"
is '--range of nothing' '' "$(ids --range 4:4 a.l2s)"
ok 'what was chosen is a whole stream' sh -c 'l2-cat -q --range 8:12 ab.l2s | l2-cat --check'
is 'with headers, ENDs count what was chosen' 1 "$(json --range 8:12 ab.l2s | grep -c '^{"complete":true,"records":2,"tokens":8}$' | sed s/2/1/)"
is '--head reads no further than it must' '0 ' "$( (cat a.l2s && head -c 100 b.l2s) | ids --head 1)"
for range in 5 5:3 a:b -1:2 1:2:3 : '99999999999999999999:'; do
    [ "$range" = : ] && continue
    fails 2 'want A:B' "--range $range" l2-cat --range "$range" a.l2s
done
is '--range : is all' "$(ids a.l2s)" "$(ids --range : a.l2s)"

is '--sample of all' "$(ids ab.l2s)" "$(ids --sample 20 ab.l2s)"
is '--sample of more' "$(ids ab.l2s)" "$(ids --sample 50 ab.l2s)"
is '--sample 0' '' "$(ids --sample 0 ab.l2s)"
ids --sample 7 ab.l2s | tr ' ' '\n' >sample
is '--sample is that many' 7 "$(grep -c . sample)"
is 'each once, in order' "$(cat sample)" "$(sort -nu sample)"
is 'the same again' "$(cat sample)" "$(ids --sample 7 ab.l2s | tr ' ' '\n')"
is 'another with another seed' different "$([ "$(ids --sample 7 -s 1 ab.l2s)" = "$(tr '\n' ' ' <sample)" ] || echo different)"
i=0
while [ "$i" -lt 60 ]; do
    ids --sample 3 -s "$i" a.l2s
    i=$((i + 1))
done | tr ' ' '\n' | grep . | sort -n | uniq -c | awk '$1 < 5 || $1 > 35 { bad = 1 } END { print NR, bad + 0 }' >spread
is 'every record has its chance' '10 0' "$(cat spread)"
is '--sample of a --range' 2 "$(ids --range 4:8 --sample 2 a.l2s | tr ' ' '\n' | grep -c '^[4-7]$')"

# ---- splitting ----

ok '--split' l2-cat -q --split 6 -o part a.l2s b.l2s
is 'makes files of that many' '6 6 6 2' "$(for f in part-0000[1-9].l2s; do ids "$f" | wc -w; done | tr -s ' \n' ' ' | sed 's/^ //; s/ $//')"
is 'that hold all' "$(ids ab.l2s)" "$(cat part-*.l2s | ids)"
ok 'and are whole' l2-cat --check part-00001.l2s part-00002.l2s part-00003.l2s part-00004.l2s
fails 1 'part-00001.l2s: the file exists already' 'files that exist are refused' l2-cat --split 6 -o part a.l2s
ok 'without --force' l2-cat --force --split 10 -o part a.l2s
is 'an even split makes no empty file' '"files":1' "$(grep -o '"files":[0-9]*' stderr)"
fails 2 'wants -o' '--split without -o' l2-cat --split 6 a.l2s
l2-cat -q --split 3 -o none --head 0 a.l2s
ok 'no records make one file' l2-cat --check none-00001.l2s
head -c "$(($(wc -c <a.l2s) - 60))" a.l2s >cut.l2s
fails 1 'cut.l2s' '--split of a cut stream' l2-cat --split 100 -o cut cut.l2s
ok 'has files' test -s cut-00001.l2s -o ! -e cut-00001.l2s

# ---- --stats ----

cat >expected <<'END'
{"segments":2,"records":20,"completions":20,"tokens":80,"prompt_tokens":{"n":20,"mean":2.0,"min":2,"p5":2,"p25":2,"p50":2,"p75":2,"p95":2,"max":2},"completion_tokens":{"n":20,"mean":2.0,"min":2,"p5":2,"p25":2,"p50":2,"p75":2,"p95":2,"max":2},"completions_per_record":{"n":20,"mean":1.0,"min":1,"p5":1,"p25":1,"p50":1,"p75":1,"p95":1,"max":1},"finish":{"eos":0,"length":0,"stop":0},"scores":{"r":{"n":20,"mean":10.0,"sd":5.9160797830996161,"min":0.5,"max":19.5}}
END
l2-cat -q --stats --json ab.l2s | sed 's/,"vocabulary":.*//' >stats.out
same '--stats --json' expected stats.out
l2-cat -q --stats all.l2s >table
is '--stats: records' 4 "$(awk '$1 == "records" { print $2 }' table)"
is '--stats: a score' '3 0.63333 0.80829 -0.1 1.5' "$(awk '$1 == "helpful" { print $2, $3, $4, $5, $6 }' table)"
is '--stats: how completions end' '1 1 1' "$(echo $(awk '$1 == "finish" { print $3 }' table))"
is '--stats: lengths of prompts' '3 1.67 0 0 0 2 3 3 3' "$(awk '/^tokens a prompt/ { print $4, $5, $6, $7, $8, $9, $10, $11, $12 }' table)"
is '--stats: history' 1 "$(grep -c '^  l2-tokenize 0.1 -z' table)"
is '--stats fits 80 columns' '' "$(l2-cat -q --stats a.l2s | awk '!/^  / && !/^vocabulary/ && length > 80')"
fails 1 'cut.l2s' '--stats of a cut stream fails' l2-cat --stats cut.l2s
is 'but says what there is' 1 "$(grep -c '^records' stdout)"

# ---- --check ----

ok '--check of whole streams' l2-cat --check a.l2s ab.l2s all.l2s
is 'is silent' '' "$(cat stdout stderr)"
ok '--check of standard input' sh -c 'cat a.l2s | l2-cat --check'
size=$(wc -c <a.l2s | tr -d ' ')
failed=
n=0
while [ "$n" -lt "$size" ]; do
    head -c "$n" a.l2s >cut
    l2-cat --check cut 2>err && failed="$failed $n"
    [ "$(wc -l <err | tr -d ' ')" -eq 1 ] || failed="$failed $n:lines"
    flip a.l2s "$n" | head -c "$size" >flipped
    l2-cat --check flipped 2>err || [ "$(wc -l <err | tr -d ' ')" -eq 1 ] || failed="$failed $n:flip"
    n=$((n + 7))
done
is 'a cut stream fails with one sentence' '' "$failed"
fails 1 'cut.l2s' '--check goes on after a failure' l2-cat --check cut.l2s no-such all.l2s flipped
is 'a sentence for each' 3 "$(grep -c . stderr)"

# ---- --recover ----

ok '--recover of a whole stream' l2-cat -q --recover ab.l2s -o recovered.l2s
is 'takes all of it' "$(ids ab.l2s)" "$(ids recovered.l2s)"
ok 'and is whole' l2-cat --check recovered.l2s
{ head -c $((size - 60)) a.l2s && cat b.l2s; } >broken.l2s
fails 1 'broken.l2s: byte' '--recover of a damaged stream says where' l2-cat --recover broken.l2s
is 'how much was passed over' 1 "$(grep -c 'bytes were passed over' stderr)"
cp stdout recovered.l2s
is 'and finds what is behind' 1 "$(ids recovered.l2s 2>/dev/null | grep -c "$(ids b.l2s)")"
fails 1 'recovered.l2s: the stream is incomplete: broken.l2s: byte' 'the result is marked' l2-cat --check recovered.l2s
l2-cat -q --recover cut.l2s >recovered.l2s 2>/dev/null
fails 1 'incomplete' 'a cut stream ends with END, incomplete' l2-cat --check recovered.l2s
printf 'nothing here\n' >text
fails 1 'text: byte 0: not an l2 stream' '--recover of something else' l2-cat --recover text

# ---- pipes ----

sh -c 'head -c $(($(wc -c <ab.l2s) - 100)) ab.l2s; kill -9 $$' 2>/dev/null | l2-cat -q >killed.l2s 2>err
is 'a stage killed in mid-pipe: what came is passed on' "$(ids a.l2s)" "$(ids killed.l2s 2>/dev/null)"
fails 1 'killed.l2s: the stream is incomplete: standard input: byte [0-9]+: input ends' 'and marked incomplete' l2-cat --check killed.l2s
records 0 3000 | l2-cat -q --from-json >long.l2s
is '| head is quiet' '1 ' "$(sh -c 'l2-cat --json long.l2s | head -n 1 | wc -l | tr -d " "; true' 2>&1 | tr '\n' ' ')"
fails 1 'No space left' 'a full device' sh -c 'l2-cat --json long.l2s >/dev/full'
fails 1 'No space left' 'a full device, recovering' sh -c 'l2-cat --recover long.l2s >/dev/full'

# A record is passed on when it came, not when the next one does.
mkfifo slow
l2-cat -q slow >fast.l2s &
exec 3<>slow # for reading, too, so that this does not wait for l2-cat
cat a.l2s >&3
n=0
while [ "$n" -lt 100 ] && ! zstd -dc fast.l2s 2>/dev/null | grep -q scores; do
    sleep 0.1
    n=$((n + 1))
done
ok 'records do not wait for more input' sh -c 'zstd -dc fast.l2s 2>/dev/null | grep -q scores'
exec 3>&-
wait
ok 'and the end follows' l2-cat --check fast.l2s

# ---- wrong usage ----

for options in '--json --check' '--check --recover' '--from-json --stats' '--head 1 --range 1:2' '--headers' \
    '--check --head 1' '-z x' '--skip-bad' '-s 1' '--json --headers --sample 1' '--head -1' '--split 0 -o x'; do
    # shellcheck disable=SC2086
    fails 2 'want|range|at least' "wrong usage: $options" l2-cat $options a.l2s
done
finish
