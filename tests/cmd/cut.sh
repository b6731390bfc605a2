#!/bin/sh
# Model files of each kind that become shorter while they are read: a message, never a bare signal.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

golden=$L2_SRC/tests/golden
if ! python3 "$L2_SRC/tests/meta_writer.py" made; then
    fail "the checkpoints are made"
    finish
fi
cp -R made/hf safetensors
cp -R made/meta-1 pth
l2-model convert -q -o gguf.gguf made/hf
l2-model quantize -q --type Q8_0 -o quantised.gguf made/hf
cp "$golden/checkpoint/v0-tied.bin" llama2c.bin
printf '{"id":0,"prompt":[1,3],"completions":[{"tokens":[2,3,1]}]}\n' | l2-cat -q --from-json -o text.l2s

# The rows of the embedding are read from the map with every record.
cat >cut.py <<'E'
import os, select, subprocess, sys
model, file = sys.argv[1:]
stream = open("text.l2s", "rb").read()
p = subprocess.Popen(["l2-score", "-m", model, "--logprob", "sum"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
p.stdin.write(stream)
p.stdin.flush()
select.select([p.stdout], [], [], 60)
assert os.read(p.stdout.fileno(), 1)  # the model is loaded, a record is done
os.truncate(file, 0)
out, err = p.communicate(stream, timeout=60)
assert p.returncode == 1, (p.returncode, err)
assert b"l2-score: a file became shorter while it was read" in err, err
E
ok "safetensors" python3 cut.py safetensors safetensors/model.safetensors
ok "Meta's .pth" python3 cut.py pth pth/consolidated.00.pth
ok "GGUF" python3 cut.py gguf.gguf gguf.gguf
ok "GGUF, quantised" python3 cut.py quantised.gguf quantised.gguf
ok "llama2.c" python3 cut.py llama2c.bin llama2c.bin
finish
