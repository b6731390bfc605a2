# Models of every kind, read and written, against an independent implementation in numpy.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

if ! /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
    skip "models against numpy" "python3-numpy is absent"
    finish
fi
peer() {
    /usr/bin/python3 "$L2_SRC/tests/llama_numpy.py" "$@"
}

ids="1 5 17 200 33 8 250 99 4 310 7 7 64 12 181 222 3 90 41 300 11 76 159 2 83 140 19 205 66 37 271 118"
python3 - $ids <<'E2' >text.json
import json, sys
t = [int(x) for x in sys.argv[1:]]
print(json.dumps({"id": 0, "prompt": t[:1], "completions": [{"tokens": t[1:]}]}))
E2
l2-cat -q --from-json -o text.l2s text.json

# logprobs MODEL OUT: what l2 gives, as JSON
logprobs() {
    l2-score -q -m "$1" --logprob sum --per-token -o out.l2s --force text.l2s &&
        l2-cat -q --json out.l2s |
        python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["completions"][0]["logprobs"]))' >"$2"
}

# agrees DESC MODEL WANT [TOLERANCE]
agrees() {
    if logprobs "$2" got.json && python3 "$L2_SRC/tests/compare.py" "${4-2e-4}" "$3" got.json; then
        pass "$1"
    else
        fail "$1"
    fi
}

kinds="plain tied biases attention-bias mlp-bias linear llama3 llama3-short head-dim mistral"
for kind in $kinds; do
    peer make $kind hf-$kind
    # shellcheck disable=SC2086
    peer logprobs hf-$kind $ids >want-$kind.json
    agrees "$kind: log-probabilities" hf-$kind want-$kind.json
done
# each kind computes something else, so that none of these agreed by accident
for kind in biases attention-bias mlp-bias linear llama3-short head-dim; do
    if python3 "$L2_SRC/tests/compare.py" 1e-2 want-plain.json want-$kind.json 2>/dev/null; then
        fail "$kind differs from plain"
    else
        pass "$kind differs from plain"
    fi
done
finish
