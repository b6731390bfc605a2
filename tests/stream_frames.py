#!/usr/bin/env python3
# Writes a stream by hand, independently of l2: each line of standard input is hexadecimal digits (spaces are skipped), which
# zstd packs into one frame; a line that begins with '=' is written as it is.
# SPDX-License-Identifier: MIT
import subprocess
import sys
import tempfile

for line in sys.stdin:
    line = line.split('#')[0].strip()
    if line.startswith('='):
        sys.stdout.buffer.write(bytes.fromhex(line[1:]))
    elif line:
        with tempfile.NamedTemporaryFile() as f:  # from a file, so that the frame says its content's size
            f.write(bytes.fromhex(line))
            f.flush()
            sys.stdout.buffer.write(subprocess.run(['zstd', '-qc', '--check', f.name], stdout=subprocess.PIPE, check=True).stdout)
