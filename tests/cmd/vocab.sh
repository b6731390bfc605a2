#!/bin/sh
# l2-vocab: what it writes, by l2-tokenize and by SentencePiece; hostile text.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

python=/usr/bin/python3
text=$L2_SRC/tests/lib.sh

ok 'trains' l2-vocab --size 600 -o a.model "$text" "$L2_SRC/README.md"
ok 'again' l2-vocab --size 600 -o b.model "$text" "$L2_SRC/README.md"
same 'equal texts give equal files' a.model b.model
ok 'of standard input' sh -c 'cat "$@" | l2-vocab --size 600 -o c.model' sh "$text" "$L2_SRC/README.md"
same 'the same, too' a.model c.model
printf 'ab cd\r\nab\n\nx1 ab\n' >small.txt
printf '{"text":"ab cd\\r\\nab\\n","id":3}\n\n{"text":"x1 ab"}\n' >small.jsonl
l2-clean -q --to stream -o small.l2s small.jsonl 2>err
for f in small.txt small.jsonl small.l2s; do
    ok "of $f" l2-vocab --size 270 --coverage 1 -o ${f##*.}.model $f
done
same 'rows of JSON give what lines give' txt.model jsonl.model
same 'so do streams' txt.model l2s.model
ok 'as said by an option' sh -c 'l2-vocab --size 270 --coverage 1 --stream <small.l2s >said.model && l2-vocab --size 270 --coverage 1 --jsonl <small.jsonl | cmp - said.model'
echo '{"txt":1}' >bad.jsonl
fails 1 'bad.jsonl:1:1: want an object with a string' 'a row without text' l2-vocab bad.jsonl
head -c 40 small.l2s >cut.l2s
fails 1 'cut.l2s' 'a cut stream' l2-vocab cut.l2s
fails 2 'want one of' 'both at once' l2-vocab --jsonl --stream small.txt
fails 1 'exists' 'a file that exists is refused' l2-vocab --size 600 -o a.model "$text"
l2-tokenize -q -z a.model --lines "$L2_SRC/NEWS" >t.l2s 2>err
l2-tokenize -q -z a.model -d --lines t.l2s >back 2>>err
same 'text comes back' "$L2_SRC/NEWS" back

# The most frequent pair by hand: ▁ab is there 3 times, ▁a 4 times: ▁a first, then ▁ab.
printf 'ab ab ab ac\n' >abc
ok 'a vocabulary that can be checked by hand' l2-vocab --size 9 --no-byte-fallback --coverage 1 -o abc.model abc
is 'has the pieces in the right order' 1 "$(tr -d '\n' <abc.model | grep -c -a 'unk.*<s>.*</s>.*▁a.*▁ab.*a.*▁.*b.*c')"
fails 1 'gives 10 pieces, want 11' 'a text that gives fewer pieces' l2-vocab --size 11 --no-byte-fallback --coverage 1 abc
fails 1 'do not fit into 100 pieces' 'no room for the bytes' l2-vocab --size 100 abc
fails 2 'is there twice' 'a piece given twice' l2-vocab --size 300 --control '<x>' --symbol '<x>' abc
fails 1 'nothing to train on' 'an empty input' l2-vocab --size 300 /dev/null
fails 1 'no-such-file' 'a missing file' l2-vocab --size 300 no-such-file
fails 1 'line' 'a line that is too long' l2-vocab --size 300 --max-line 4 abc

# ---- spaces ----
i=0
while [ $i -lt 30 ]; do
    i=$((i + 1))
    printf '        if (x) of the best of the best\n    of the end  \n'
done >spaced
train() { l2-vocab --coverage 1 "$@" spaced; }
ok 'spaces end a piece' train --size 286 -o split.model
ok 'or do not' train --size 294 --no-split-spaces -o across.model
ok 'or have pieces of their own' train --size 290 --space-runs -o runs.model
ok 'or are one' train --size 286 --collapse-spaces -o collapse.model
in_model() { LC_ALL=C grep -c -a -e "$2" "$1" | sed 's/[1-9].*/yes/;s/^0$/no/'; }
is 'no piece goes beyond a space' no "$(in_model split.model '▁of▁the')"
is 'nor is there one of spaces' no "$(in_model split.model '▁▁')"
is '--no-split-spaces' yes "$(in_model across.model '▁of▁the')"
is '--space-runs' yes "$(in_model runs.model '▁▁▁▁')"
is 'of spaces alone' no "$(in_model runs.model '▁▁[a-z(]')"
fails 2 'want one of' 'runs that are one' train --size 40 --space-runs --collapse-spaces
for m in split across runs collapse; do
    l2-tokenize -q -z $m.model --lines spaced >spaced.l2s 2>err
    l2-tokenize -q -z $m.model -d --lines spaced.l2s >$m.back 2>>err
done
same 'text comes back from pieces of spaces' spaced runs.back
same 'and from those that go beyond them' spaced across.back
sed 's/^ *//; s/ *$//' spaced >trimmed
same 'but not where they are one' trimmed collapse.back

{
    printf 'ok \377\376 \303 text\000with nul \355\240\200 end\n'
    head -c 300000 /dev/zero | tr '\000' 'x'
    echo
    cat "$text"
} >hostile
ok 'bytes that are not UTF-8, NUL, a word of 300000 letters' l2-vocab --size 500 -o hostile.model hostile
is 'are counted' 1 "$(grep -c '"invalid_bytes":7,' "$L2_TMP/stderr")"
ok 'and the model reads back' sh -c 'l2-tokenize -q -z hostile.model --lines "$1" >/dev/null' sh "$text"

if ! $python -c 'import sentencepiece' 2>/dev/null; then
    skip 'SentencePiece encodes alike' 'python3-sentencepiece is not installed'
    finish
fi
for model in a hostile split across runs collapse; do
    ok "SentencePiece encodes alike with $model.model: lines" \
        $python "$L2_SRC/tests/spm_compare.py" $model.model lines "$L2_SRC/NEWS"
    ok "SentencePiece encodes alike with $model.model: hard strings" \
        $python "$L2_SRC/tests/spm_compare.py" $model.model random
done
finish
