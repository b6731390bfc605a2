# Vocabularies and chat templates on their way through files and directories.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SRC/tests/golden

# what templates of these names look like in the field
cat >chatml.jinja <<'E2'
{% for message in messages %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}
E2
cat >other.jinja <<'E2'
{% for m in messages %}{{ '### ' + m['role'] + ': ' + m['content'] + '\u00e4' }}{% endfor %}
E2
config() {
    python3 - "$1" "$2" "$3" "$4" <<'E2'
import json, sys
json.dump({"bos_token": sys.argv[2], "eos_token": {"content": sys.argv[3]}, "add_bos_token": False,
           "chat_template": open(sys.argv[1]).read()}, open(sys.argv[4] + "/tokenizer_config.json", "w"))
E2
}
init() {
    l2-model init -q --presets "$L2_SRC/examples/presets" tiny --dim 16 --hidden 16 --n-layers 1 --n-heads 2 \
        --n-kv-heads 1 --head-dim 8 "$@"
}
shown() {
    l2-model show -q "$1" | awk '$1 == "template" { print $2 }'
}
python3 - <<'E2' >texts.jsonl
import json
for i, t in enumerate(["Once upon a time", "  two  spaces\n\n\tand 12345 digits, it's", "B\u00e4ren, \u4f60\u597d \U0001f600 caf\u00e9",
                       "<|im_start|>user", ""]):
    print(json.dumps({"id": i, "text": t}))
E2
printf '%s\n' '{"id":0,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}]}' >chat.jsonl

# a model with a byte-level vocabulary: directory, file, directory
init -z "$golden/tokenizer/bytes-smollm.json" -o bytes --bos 517 --eos 518 # as its template has them
is "no template" none "$(shown bytes)"
fails 1 'bytes: has no chat template' "none to print" l2-model show --template bytes
config chatml.jinja '<|im_start|>' '<|im_end|>' bytes
is "the template is recognised" chatml "$(shown bytes)"
ok "into a file" l2-model convert -q -o bytes.gguf bytes
ok "and back" l2-model convert -q -o bytes-back bytes.gguf
is "a file for the vocabulary" tokenizer.json "$(cd bytes-back && ls tokenizer.*)"
for model in bytes.gguf bytes-back; do
    is "$model: template" chatml "$(shown $model)"
    ok "$model: its text" l2-model show -q --template $model
    same "$model: is what it was" chatml.jinja stdout
    is "$model: weights" "$(l2-model hash -q bytes | cut -c1-64)" "$(l2-model hash -q $model | cut -c1-64)"
    is "$model: vocabulary" "$(l2-model show -q bytes | grep ^vocabulary)" "$(l2-model show -q $model | grep ^vocabulary)"
done
for vocab in bytes bytes.gguf bytes-back; do
    l2-tokenize -q --no-history -z $vocab --jsonl texts.jsonl -o texts-$vocab.l2s
    l2-tokenize -q --no-history -z $vocab --template auto --jsonl chat.jsonl -o chat-$vocab.l2s
done
for vocab in bytes.gguf bytes-back; do
    same "$vocab: texts" texts-bytes.l2s texts-$vocab.l2s
    same "$vocab: dialogues" chat-bytes.l2s chat-$vocab.l2s
done
ok "the special tokens are those of the model" python3 - <<'E2'
import json
t = json.load(open("bytes-back/tokenizer.json"))
c = json.load(open("bytes-back/tokenizer_config.json"))
old = json.load(open("bytes/tokenizer.json"))
assert c["add_bos_token"] is False and c["tokenizer_class"] == "PreTrainedTokenizerFast", c
assert {a["content"]: a["id"] for a in t["added_tokens"]}.items() >= {a["content"]: a["id"] for a in old["added_tokens"]}.items()
pairs = [m if isinstance(m, str) else " ".join(m) for m in old["model"]["merges"]]
assert t["model"]["merges"] == pairs
assert t["pre_tokenizer"]["pretokenizers"][-1] == {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
E2

# Llama 3's kind puts BOS before texts
init -z "$golden/tokenizer/bytes-llama3.json" -o three
ok "Llama 3's kind: into a file" l2-model convert -q -o three.gguf three
ok "and back" l2-model convert -q -o three-back three.gguf
for vocab in three three.gguf three-back; do
    l2-tokenize -q --no-history -z $vocab --jsonl texts.jsonl -o texts-$vocab.l2s
done
for vocab in three.gguf three-back; do
    same "$vocab: texts" texts-three.l2s texts-$vocab.l2s
done
ok "the post-processor puts it" grep -q '"<|begin_of_text|>"' three-back/tokenizer.json

# a template that is none of ours goes along, but is not used
init -z "$golden/small.model" -o pieces
cp other.jinja pieces/chat_template.jinja
is "another template" unrecognised "$(shown pieces)"
ok "SentencePiece's kind: into a file" l2-model convert -q -o pieces.gguf pieces
ok "and back" l2-model convert -q -o pieces-back pieces.gguf
is "a file for its vocabulary" tokenizer.model "$(cd pieces-back && ls tokenizer.*)"
for model in pieces.gguf pieces-back; do
    ok "$model: the template's text" l2-model show -q --template $model
    same "$model: is what it was" other.jinja stdout
    is "$model: JSON" '"template":"unrecognised"' "$(l2-model show -q --json $model | grep -o '"template":"[a-z]*"')"
    l2-tokenize -q --no-history -z $model --jsonl texts.jsonl -o texts-$model.l2s
done
l2-tokenize -q --no-history -z pieces --jsonl texts.jsonl -o texts-pieces.l2s
same "its texts" texts-pieces.l2s texts-pieces-back.l2s
fails 1 'its chat template is none of chatml' "it is not guessed" \
    l2-tokenize -z pieces-back --template auto --jsonl chat.jsonl

# a vocabulary whose words are cut in a way that GGUF has no name for
sed 's/\\\\p{N}{1,3}/\\\\p{N}{1,4}/' "$golden/tokenizer/bytes-llama3.json" >four.json
init -z four.json -o four
fails 1 'GGUF has no name|no name' "an unknown way to cut words has no place in a file" l2-model convert -o no.gguf four
finish
