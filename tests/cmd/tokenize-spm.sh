# l2-tokenize against SentencePiece itself: token ids of text in many languages, of strings made to be hard, of
# dialogues.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

python=/usr/bin/python3
compare=$L2_SRC/tests/spm_compare.py
if ! $python -c 'import sentencepiece' 2>/dev/null; then
    skip 'token ids equal those of SentencePiece' 'python3-sentencepiece is not installed'
    finish
fi

# check DESC ARGUMENT...: passes when spm_compare.py finds nothing; says what it compared
check() {
    l2_desc=$1
    shift
    $python "$compare" "$@" >found 2>err
    case $? in
    0) pass "$l2_desc" ;;
    77) skip "$l2_desc" "$(cat found)" ;;
    *) fail "$l2_desc" ;;
    esac
    diag "$(tail -n 40 found)" "$(tail -n 5 err)"
}

small=$L2_SRC/tests/golden/small.model
check 'small vocabulary: hard strings' "$small" random
check 'small vocabulary: this tree' "$small" lines "$L2_SRC/README.md"
check 'small vocabulary: the llama2 template' "$small" template

if [ -z "$L2_SHARED" ]; then
    skip "Llama 2's vocabulary" 'the shared data is absent'
    finish
fi
llama=$L2_SHARED/data/llama2-tokenizer/tokenizer.model
check "Llama 2's vocabulary: hard strings" "$llama" random
check "Llama 2's vocabulary: every line of tinyshakespeare" "$llama" lines "$L2_SHARED/data/text/tinyshakespeare.txt"
check "Llama 2's vocabulary: 20 MB of manual pages" "$llama" pages 20000000
check "Llama 2's vocabulary: the llama2 template" "$llama" template
zcat "$L2_SHARED/data/hh-rlhf/harmless-a.jsonl.gz" >hh.jsonl
check 'HH pairs: prompts end at the boundary, both sides are whole' "$llama" hh hh.jsonl
finish
