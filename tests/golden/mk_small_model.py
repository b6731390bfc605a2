#!/usr/bin/python3
"""Makes small.model: a SentencePiece BPE vocabulary of 512 pieces as Llama 2's is (byte fallback, split
digits, dummy prefix), trained on the project's own prose. Used where tests need a vocabulary and the shared
data is absent. Needs Debian's python3-sentencepiece."""
# SPDX-License-Identifier: MIT
import os
import pathlib
import shutil
import tempfile

import sentencepiece

top = pathlib.Path(__file__).resolve().parents[2]
pages = sorted((top / "man").glob("l2*.[157]"))
text = "".join(p.read_text() for p in [top / "README.md", *pages])
with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)  # the model quotes the paths it was made from
    pathlib.Path("small.txt").write_text(text)
    sentencepiece.SentencePieceTrainer.train(
        input="small.txt", model_prefix="small", vocab_size=512, model_type="bpe",
        byte_fallback=True, split_digits=True, add_dummy_prefix=True,
        remove_extra_whitespaces=False, normalization_rule_name="identity", unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    shutil.copy("small.model", top / "tests/golden/small.model")
    os.chdir(top)
