# l2-tokenize: text, lines and JSONL there and back, ids, options, bad input.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

z=$L2_SRC/tests/golden/small.model
tok="l2-tokenize -q -z $z"

# field EXPRESSION: a Python expression of each record r of the stream on standard input, one a line
field() {
    l2-cat -q --json | python3 -c "
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print(json.dumps($1))"
}

# ---- text and lines ----

printf 'one  two\n\n caf\303\251\t\360\237\230\200\r\nlast' >a.txt
printf '\n' >newline.txt
: >empty.txt
printf 'a\0b\n' >nul.txt
for f in a newline empty nul; do
    ok "$f.txt as one text" $tok --text $f.txt -o $f.l2s
    ok "$f.txt is decoded" l2-tokenize -q -d -z "$z" --text $f.l2s
    same "$f.txt comes back as it was" $f.txt stdout
done
is 'several files are several records' '3' "$($tok --text a.txt empty.txt nul.txt | field 'r["id"]' | wc -l | tr -d ' ')"
is 'an empty text is BOS, and EOS' '[[1], [2]]' "$($tok --text empty.txt | field '[r["prompt"], r["completions"][0]["tokens"]]')"
is 'but not with --no-bos --no-eos' '[[], []]' "$($tok --text --no-bos --no-eos empty.txt | field '[r["prompt"], r["completions"][0]["tokens"]]')"
$tok --lines a.txt >lines.l2s
is 'lines are records' '4' "$(field 'r["shape"]' <lines.l2s | grep -c '"lines"')"
l2-tokenize -q -d -z "$z" --lines lines.l2s >back.txt
{
    cat a.txt
    echo
} >want.txt
same '-d --lines ends each with a newline' want.txt back.txt
is '-d --text does not' "$(tr -d '\n' <a.txt)" "$(l2-tokenize -q -d -z "$z" --text lines.l2s)"
is 'an empty file has no lines' '0' "$($tok --lines empty.txt | field 1 | wc -l | tr -d ' ')"

# ---- ids ----

cat >ids.jsonl <<'E2'
{"id":"x","text":"a"}
{"text":"b"}

{"id":9223372036854775807,"text":"c"}
{"text":"d"}
E2
is 'ids are kept, or count over all inputs' '"x" 1 9223372036854775807 3 "x" 5 9223372036854775807 7' \
    "$(echo $($tok ids.jsonl ids.jsonl | field 'r["id"]'))"
is '--id-prefix' '"x" "run-1" 9223372036854775807 "run-3"' "$(echo $($tok --id-prefix run- ids.jsonl | field 'r["id"]'))"

# ---- JSONL, losslessly ----

cat >lossless.jsonl <<'E2'
{"id":0,"text":"a","meta":{"big":9223372036854775807,"small":-9223372036854775808,"e":1e+308,"tiny":5e-324,"z":-0.0,"third":0.3333333333333333,"int":1,"real":1.0,"s":"\u0000\"\\\u007fé😀","deep":[[{"a":[null,true,false,{}]}],[]]}}
E2
$tok lossless.jsonl | l2-tokenize -q -d -z "$z" >out.jsonl
ok 'meta comes back with equal values' python3 - lossless.jsonl out.jsonl <<'E2'
import json, sys
a, b = (json.loads(open(f).read(), parse_float=lambda s: ("real", float(s).hex())) for f in sys.argv[1:])
assert a == b, (a, b)
assert list(a["meta"]) == list(b["meta"])
E2

cat >shapes.jsonl <<'E2'
{"id":0,"text":"Hello  world"}
{"id":1,"prompt":"What?","meta":{"k":[1]}}
{"id":2,"prompt":"What?","completion":" This."}
{"id":3,"prompt":"Q","chosen":" A","rejected":" B","margin":0.1}
{"id":4,"chosen":"\n\nHuman: hi\n\nAssistant: yo","rejected":"\n\nHuman: hi\n\nAssistant: no\n\nHuman: ok\n\nAssistant: fine"}
{"id":5,"prompt":"p","completions":[{"finish":"length","scores":{"r":1.25},"gen":{"k":0},"text":" a"},{"text":" b"}]}
{"id":6,"prompt":"p","chosen":"a","rejected":"b","completions":[{"scores":{"r":1.0}},{"scores":{"r":-1.0}}]}
E2
ok 'every shape comes back as it was' sh -c "$tok shapes.jsonl | l2-tokenize -q -d -z '$z'"
same 'byte for byte' shapes.jsonl stdout
cat >chat.jsonl <<'E2'
{"id":0,"messages":[{"role":"system","content":"Be nice."},{"role":"user","content":" Hi "},{"role":"assistant","content":"Hello!","name":"bot"}]}
{"id":1,"prompt":[{"role":"user","content":"Hi"}]}
{"id":2,"prompt":[{"role":"user","content":"Hi"}],"completion":[{"role":"assistant","content":" Yo"}]}
{"id":3,"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant","content":"Yo"}],"rejected":[{"role":"assistant","content":"No"}],"margin":2.0}
{"id":4,"chosen":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"rejected":[{"role":"user","content":"a"},{"role":"assistant","content":"c"}]}
{"id":5,"prompt":"plain ","completion":" answer"}
{"id":6,"chosen":"\n\nHuman: hi\n\nAssistant: yo","rejected":"\n\nHuman: hi\n\nAssistant: no"}
E2
ok 'rendered dialogues too' sh -c "$tok --template llama2 chat.jsonl | l2-tokenize -q -d -z '$z'"
same 'byte for byte (llama2)' chat.jsonl stdout
$tok --template llama2 --system 'Be brief.' chat.jsonl | l2-tokenize -q -d -z "$z" >once.jsonl
$tok --template llama2 --system 'Be brief.' once.jsonl | l2-tokenize -q -d -z "$z" >twice.jsonl
same 'what -d writes is read back to the same (--system)' once.jsonl twice.jsonl
is 'the system prompt is in dialogues without one' 4 "$(grep -c 'Be brief' once.jsonl)"

cat >sharegpt.jsonl <<'E2'
{"id":0,"conversations":[{"from":"system","value":"Be nice."},{"from":"human","value":"Hi"},{"from":"gpt","value":"Yo"}],"source":"x"}
E2
cat >turns.jsonl <<'E2'
{"id":0,"messages":[{"role":"system","content":"Be nice."},{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}],"meta":{"source":"x"}}
E2
ok "ShareGPT's rows" sh -c "$tok --template mistral sharegpt.jsonl >sharegpt.l2s"
$tok --template mistral turns.jsonl | l2-cat -q --json >turns.json
l2-cat -q --json sharegpt.l2s >sharegpt.json
same 'are dialogues like others' turns.json sharegpt.json
sed 's/human/parrot/' sharegpt.jsonl >parrot.jsonl
fails 1 'conversations\[1\].from: want system, human or gpt, got parrot' 'a role that is none' \
    $tok --template mistral parrot.jsonl
fails 1 'says no chat template' 'a model without a template' $tok --template auto turns.jsonl

# Records of text and records made of their -d are equal, headers aside.
$tok shapes.jsonl | l2-cat -q --json >first.json
$tok shapes.jsonl | l2-tokenize -q -d -z "$z" | $tok --jsonl | l2-cat -q --json >second.json
same 'the records are the same ones' first.json second.json

if [ -n "$L2_SHARED" ]; then
    zcat "$L2_SHARED/data/hh-rlhf/harmless-a.jsonl.gz" >hh.jsonl
    llama=$L2_SHARED/data/llama2-tokenizer/tokenizer.model
    for template in none llama2; do
        ok "HH pairs (--template $template)" l2-tokenize -z "$llama" --template $template hh.jsonl -o hh.l2s --force
        l2-tokenize -q -d -z "$llama" hh.l2s >hh.out
        ok "all 1146 texts are the same ($template)" python3 - hh.jsonl hh.out <<'E2'
import json, sys
a, b = ([json.loads(line) for line in open(f)] for f in sys.argv[1:])
assert len(a) == len(b) == 1146
for i, (x, y) in enumerate(zip(a, b)):
    assert y == {"id": i, **x}, i
E2
    done
    l2-tokenize -q -z "$L2_SHARED/data/stories260K/tok512.model" --text a.txt >model.l2s
    ok 'tok512.bin is the vocabulary of tok512.model' l2-tokenize -d -z "$L2_SHARED/data/stories260K/tok512.bin" --text model.l2s
    same 'and decodes to the same' a.txt stdout
    fails 1 'vocabulary of 512 tokens is not that of' 'another vocabulary is refused' l2-tokenize -d -z "$llama" model.l2s
else
    skip 'HH pairs' 'the shared data is absent'
fi

# ---- generated records ----

$tok shapes.jsonl >s.l2s
l2-cat -q --json s.l2s | python3 -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    if r["id"] == 1:
        r["completions"] = [{"tokens": [3 + b for b in " é".encode()], "finish": "stop", "gen": {"k": 0}},
                            {"tokens": [3 + 0x61, 3 + 0xc3], "logprobs": [-1.0, -0.5]}]
        print(json.dumps(r))' | l2-cat -q --from-json -z "$z" >generated.l2s
is 'generated completions are written with all that is known of them' \
    '{"id":1,"prompt":"What?","completions":[{"finish":"stop","gen":{"k":0},"text":" é"},{"text":"a�"}],"meta":{"k":[1]}}' \
    "$(l2-tokenize -q -d -z "$z" generated.l2s)"
is 'as text each behind its prompt' 'What? éWhat?a�' "$(l2-tokenize -q -d -z "$z" --text generated.l2s)"

# ---- bad input ----

printf '{"text":"a"}\n{"text":"b","text":"c"}\n{"text":"d"}\n' >bad.jsonl
fails 1 'bad.jsonl:2:[0-9]+: ' 'a bad line is named with line and column' $tok bad.jsonl
cp stdout bad.l2s
is 'what came before it is written' '0' "$(l2-cat -q --json bad.l2s 2>/dev/null | python3 -c 'import json, sys; print(*[json.loads(l)["id"] for l in sys.stdin])')"
fails 1 'incomplete: bad.jsonl:2:' 'and the stream says so' l2-cat --check bad.l2s
ok '--skip-bad goes on' l2-tokenize -z "$z" --skip-bad bad.jsonl
cp stderr said
is 'with the same ids' '0 2' "$(echo $(field 'r["id"]' <stdout))"
ok 'tells the first and counts' grep -q 'skipped: bad.jsonl:2:' said
ok 'in the summary' grep -q '"skipped":1' said
while IFS='|' read -r row pattern; do
    printf '{"text":"a"}\n%s\n' "$row" >row.jsonl
    fails 1 "row.jsonl:2:([0-9]+:)? ?.*$pattern" "refused: $row" $tok row.jsonl
done <<'E2'
{"text":1}|text: want a string
{"text":"a"|
[]|want an object
{}|no known shape
{"text":"a","id":1.5}|id
{"text":"\ud800"}|
{"text":"a","x":1e999}|
{"text":"a","x":NaN}|
{"text":"a","x":1,"meta":{"x":1}}|both the row and its meta
{"messages":[{"role":"user","content":"a"}]}|say with --template
{"text":"a"} x|
E2
printf 'good\nb\377d\n' >bytes.txt
fails 1 'bytes.txt:2: not UTF-8 at byte 2' 'lines that are not UTF-8 are refused' $tok --lines bytes.txt
fails 1 'bytes.txt: not UTF-8 at byte 7' 'so are texts' $tok --text bytes.txt
is '--skip-bad leaves them out' '0' "$($tok --lines --skip-bad bytes.txt | field 'r["id"]')"
fails 1 'a.txt.*more than 10 bytes' '--max-record bounds texts' $tok --text --max-record 10 a.txt
fails 1 'long.jsonl.*at most 10 bytes' 'and lines' sh -c "echo '{\"text\":\"0123456789\"}' >long.jsonl; $tok --max-record 10 long.jsonl"
fails 1 'no-such-file' 'a missing vocabulary' l2-tokenize -z no-such-file --text a.txt
fails 1 'neither a SentencePiece model' 'something else than a vocabulary' l2-tokenize -z a.txt --text a.txt
mkdir without
fails 1 'no tokenizer.json, tokenizer.model or tokenizer.bin' 'a directory without one' l2-tokenize -z without --text a.txt
fails 1 'with -z' '-d of ids without a vocabulary' l2-tokenize -d s.l2s

# ---- wrong usage ----

fails 2 'want a vocabulary' 'no vocabulary' l2-tokenize --text a.txt
fails 2 'say what a.txt is' 'the form is not guessed' $tok a.txt
fails 2 'say what standard input is' 'nor that of standard input' sh -c "$tok <a.txt"
fails 2 'one of --text, --lines and --jsonl' 'two forms' $tok --text --lines a.txt
fails 2 'want none, auto or one of chatml, llama2' 'an unknown template' $tok --template alpaca shapes.jsonl
fails 2 '--system wants --template' '--system alone' $tok --system x shapes.jsonl

# ---- as part of a pipe ----

# What has come in goes out although more may follow: the reader lets the writer go on only then.
mkfifo gate
{
    echo 'first'
    read -r _ <gate
    echo 'second'
} | $tok --lines | l2-tokenize -q -d -z "$z" --lines | {
    read -r line
    echo go >gate
    echo "$line, then $(cat)"
} >slow
is 'records do not wait for the next ones' 'first, then second' "$(cat slow)"
finish
