/* UTF-8 by the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_UTF8_H
#define L2_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at s[0..n), 1 to 4, or 0 when there is none. */
size_t l2_utf8_length(const char *s, size_t n);

/* Decodes it into *cp. Returns its length, or 0 and *cp = U+FFFD. */
size_t l2_utf8_decode(const char *s, size_t n, uint32_t *cp);

/* Writes cp (a valid scalar value) as 1 to 4 bytes; returns their number. */
size_t l2_utf8_encode(uint32_t cp, char out[4]);

/* True when all of s is valid; otherwise *bad (may be NULL) is the offset of the first bad byte. */
bool l2_utf8_valid(const char *s, size_t n, size_t *bad);

/* True when s[0..n), n < 4, could be the start of a longer well-formed sequence. */
bool l2_utf8_incomplete(const char *s, size_t n);

#endif
