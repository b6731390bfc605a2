/* UTF-8 by table 3-7 of the Unicode standard. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/utf8.h"

/* Length that the lead byte asks for, 0 if it cannot lead; and the range of the second byte. */
static size_t lead(uint8_t b, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (b < 0x80)
        return 1;
    if (b < 0xC2 || b > 0xF4)
        return 0;
    if (b < 0xE0)
        return 2;
    if (b < 0xF0) {
        if (b == 0xE0)
            *low = 0xA0; /* no overlong forms */
        if (b == 0xED)
            *high = 0x9F; /* no surrogates */
        return 3;
    }
    if (b == 0xF0)
        *low = 0x90;
    if (b == 0xF4)
        *high = 0x8F; /* nothing above U+10FFFF */
    return 4;
}

/* How many bytes at s[0..n) are a valid beginning of a sequence; *want is its whole length. */
static size_t prefix(const char *s, size_t n, size_t *want)
{
    const uint8_t *b = (const uint8_t *)s;
    uint8_t low, high;
    *want = 0;
    if (n == 0)
        return 0;
    *want = lead(b[0], &low, &high);
    if (*want < 2)
        return *want;
    size_t got = 1;
    while (got < *want && got < n && b[got] >= low && b[got] <= high) {
        low = 0x80;
        high = 0xBF;
        got++;
    }
    return got;
}

size_t l2_utf8_length(const char *s, size_t n)
{
    size_t want;
    size_t got = prefix(s, n, &want);
    return got == want ? got : 0;
}

size_t l2_utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    static const uint8_t lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t len = l2_utf8_length(s, n);
    if (len == 0) {
        *cp = 0xFFFD;
        return 0;
    }
    uint32_t v = (uint8_t)s[0] & lead_mask[len];
    for (size_t i = 1; i < len; i++)
        v = v << 6 | ((uint8_t)s[i] & 0x3F);
    *cp = v;
    return len;
}

size_t l2_utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const uint8_t lead_bits[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    out[0] = (char)(lead_bits[len] | cp);
    return len;
}

bool l2_utf8_valid(const char *s, size_t n, size_t *bad)
{
    size_t i = 0;
    while (i < n) {
        if ((uint8_t)s[i] < 0x80) {
            i++;
            continue;
        }
        size_t len = l2_utf8_length(s + i, n - i);
        if (len == 0)
            break;
        i += len;
    }
    if (bad)
        *bad = i;
    return i == n;
}

bool l2_utf8_incomplete(const char *s, size_t n)
{
    size_t want;
    size_t got = prefix(s, n, &want);
    return got == n && got < want;
}
