/* What SentencePiece does to a text before merging, for normalizers that map no characters. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NORMALIZE_H
#define L2_NORMALIZE_H

#include <stdbool.h>
#include "text/vocab.h"
#include "util/buf.h"

/* Appends text[0..n) to out with U+2581 for spaces, U+FFFD for each invalid byte, and the dummy
 * prefix where v has one and continuation is false; extra spaces are removed where v says so (a
 * continuation keeps one of those at its start). */
int l2_normalize(const struct l2_vocab *v, const char *text, size_t n, bool continuation,
                 struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
