#!/usr/bin/env python3
"""Compares numbers: compare.py TOLERANCE EXPECTED.json ACTUAL.json

Both files hold JSON arrays of numbers, nested in any way. Exit status 0 when they have the same shape and
each pair differs by at most TOLERANCE."""
# SPDX-License-Identifier: MIT
import json
import math
import sys


def flatten(value):
    if isinstance(value, list):
        for v in value:
            yield from flatten(v)
    else:
        yield value


def main():
    tolerance = float(sys.argv[1])
    with open(sys.argv[2]) as f:
        expected = list(flatten(json.load(f)))
    with open(sys.argv[3]) as f:
        actual = list(flatten(json.load(f)))
    if len(expected) != len(actual) or not expected:
        sys.exit(f"expected {len(expected)} numbers, got {len(actual)}")
    worst = max(abs(a - b) for a, b in zip(expected, actual))
    if not worst <= tolerance or any(not math.isfinite(a) for a in actual):
        sys.exit(f"largest difference {worst}, tolerance {tolerance}")


main()
