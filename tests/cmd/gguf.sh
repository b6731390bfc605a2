# GGUF files as models and as vocabularies: log-probabilities against reference values, and damaged files.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SHARED/golden/gguf
stories=$L2_SHARED/data/stories260K

if [ -z "$L2_SHARED" ]; then
    skip "GGUF models give reference values" "the shared data is absent"
    finish
fi

# expected.json: tokens and the log-probability of each next one, from the dequantised weights
for file in "$golden"/*.gguf; do
    name=$(basename "$file")
    python3 - "$golden/expected.json" "$name" <<'E2' >text.json
import json, sys
ref = json.load(open(sys.argv[1]))[sys.argv[2]]
t = ref["tokens"]
print(json.dumps({"id": 0, "prompt": t[:1], "completions": [{"tokens": t[1:]}]}))
json.dump(ref["next_token_logprob"], open("want.json", "w"))
E2
    l2-cat -q --from-json -z "$file" -o text.l2s --force text.json
    for activations in f32 narrow; do
        case $activations in
        f32) tolerance=2e-3 ;;
        *) tolerance=0.2 ;; # of 8-bit activations
        esac
        ok "$name, $activations: scores" \
            l2-score -m "$file" --activations $activations --kv-type f32 --logprob sum --per-token -o out.l2s --force text.l2s
        is "$name: its vocabulary was checked" 0 "$(grep -c 'size only' stderr)"
        l2-cat -q --json out.l2s |
            python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["completions"][0]["logprobs"]))' >got.json
        ok "$name, $activations: log-probabilities equal the reference" \
            python3 "$L2_SRC/tests/compare.py" $tolerance want.json got.json
    done
done

ok "show names the types" l2-model show "$golden/q-Q4_K_M.gguf"
is "and there are both" 2 "$(grep -o 'Q[46]_K' stdout | sort -u | wc -l)"

# the same model and vocabulary in two formats
printf '{"id":0,"prompt":"Once upon a time"}\n' >prompt.jsonl
l2-tokenize -q -z "$stories/tok512.model" -o spm.l2s --no-history prompt.jsonl
l2-tokenize -q -z "$stories/stories260K-f32.gguf" -o gguf.l2s --no-history prompt.jsonl
same "one vocabulary has one hash" spm.l2s gguf.l2s
for model in hf stories260K-f32.gguf; do
    l2-generate -q -m "$stories/$model" -n 60 -s 7 spm.l2s | l2-tokenize -q -d --text -z "$stories/tok512.model" >$model.txt
done
same "the same completion from both" hf.txt stories260K-f32.gguf.txt

# damaged files: an error that names the file, never a crash
ok "cut and flipped files are refused or read" python3 - "$golden/q-Q4_K.gguf" <<'E2'
import random, subprocess, sys
whole = open(sys.argv[1], "rb").read()
random.seed(1)
head = 16384
cuts = [0, 3, 4, 7, 8, 23, 24, 100] + [random.randrange(len(whole)) for _ in range(40)]
cases = [whole[:n] for n in cuts]
for _ in range(160):
    b = bytearray(whole)
    b[random.randrange(head)] ^= 1 << random.randrange(8)
    cases.append(bytes(b))
for word in (b"\xff" * 8, b"\0" * 7 + b"\x10"):
    for at in (8, 16, 24):
        b = bytearray(whole)
        b[at:at + 8] = word
        cases.append(bytes(b))
for i, data in enumerate(cases):
    open("bad.gguf", "wb").write(data)
    r = subprocess.run(["l2-model", "show", "bad.gguf"], capture_output=True, text=True, errors="replace", timeout=60)
    assert r.returncode in (0, 1), (i, r.returncode, r.stderr)
    if r.returncode == 1:
        assert "bad.gguf" in r.stderr, (i, r.stderr)
    if i < len(cuts):
        assert r.returncode == 1, (i, len(data))
E2

finish
