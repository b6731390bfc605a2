# Meta's checkpoints of 1 to 8 files, and archives of more than 4 GiB: the bits of the same model in a directory.
# SPDX-License-Identifier: MIT
. "${L2_SRC:?}/tests/lib.sh"

if ! python3 "$L2_SRC/tests/meta_writer.py" .; then
    fail "the checkpoints are made"
    finish
fi
hash_of() {
    l2-model hash -q --tensors "$1" | sed 's/  [^ ]*$//'
}
hash_of hf >want
is "the directory has all tensors" 22 "$(wc -l <want | tr -d ' ')"
for form in 1 2 4 8 zip64; do
    ok "$form: show" l2-model show meta-$form
    hash_of meta-$form >got
    same "$form: every tensor is that of the directory" want got
done
ok "8 files become one" l2-model convert -q -o from-8.gguf meta-8
is "that holds the same" "$(tail -n 1 want)" "$(hash_of from-8.gguf | tail -n 1)"

# a file is missing, two are exchanged, or one is of another split
cp -R meta-8 gap && rm gap/consolidated.03.pth
fails 1 '40 x 8 in 3 files does not make 40 x 64' "a missing file" l2-model show gap
cp -R meta-8 odd && cp meta-4/consolidated.01.pth odd/
fails 1 'odd/consolidated.0[01].pth' "a file of another split" l2-model show odd

# cut, and with every number of the zip64 records changed in turn
ok "damaged archives are refused by name, or read" python3 - <<'E2'
import os, subprocess
path = "meta-zip64/consolidated.00.pth"
size = os.path.getsize(path)
with open(path, "rb") as f:
    f.seek(size - 400)
    tail = f.read()
end = tail.index(b"PK\6\6")
def run(edit):
    with open(path, "r+b") as f:
        edit(f)
    p = subprocess.run(["l2-model", "show", "meta-zip64"], capture_output=True, text=True, timeout=60)
    with open(path, "r+b") as f:
        f.truncate(size - 400)
        f.seek(size - 400)
        f.write(tail)
    assert p.returncode in (0, 1), (p.returncode, p.stderr)
    return p
def poke(at, data):
    def edit(f):
        f.seek(size - 400 + at)
        f.write(data)
    return edit
refused = 0
for at in range(end, len(tail) - 22, 4):
    for word in (b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\1\0\0\0"):
        p = run(poke(at, word))
        refused += p.returncode
        assert p.returncode == 0 or path in p.stderr, p.stderr
assert refused > 20, refused
for cut in (1, 21, 22, 60, 150, 390):
    p = run(lambda f: f.truncate(size - cut))
    assert p.returncode == 1 and path in p.stderr, (cut, p.stderr)
assert run(lambda f: None).returncode == 0
E2
finish
