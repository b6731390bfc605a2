/* Classes of characters, words, and hashes of texts. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/charclass.h"

#include <string.h>

#include "util/num.h"
#include "util/utf8.h"

struct range {
    uint32_t first, last;
    enum l2_char_class class;
};

/* Beyond ASCII, in order; what is in no range is a letter. */
static const struct range ranges[] = {
    {0x80, 0x84, L2_CHAR_CONTROL},       {0x85, 0x85, L2_CHAR_BLANK},
    {0x86, 0x9f, L2_CHAR_CONTROL},       {0xa0, 0xa0, L2_CHAR_BLANK},
    {0xa1, 0xa9, L2_CHAR_SYMBOL},        {0xab, 0xac, L2_CHAR_SYMBOL},
    {0xad, 0xad, L2_CHAR_CONTROL},       {0xae, 0xb1, L2_CHAR_SYMBOL},
    {0xb2, 0xb3, L2_CHAR_DIGIT},         {0xb4, 0xb4, L2_CHAR_SYMBOL},
    {0xb6, 0xb8, L2_CHAR_SYMBOL},        {0xb9, 0xb9, L2_CHAR_DIGIT},
    {0xbb, 0xbf, L2_CHAR_SYMBOL},        {0xd7, 0xd7, L2_CHAR_SYMBOL},
    {0xf7, 0xf7, L2_CHAR_SYMBOL},        {0x37e, 0x37e, L2_CHAR_SYMBOL},
    {0x387, 0x387, L2_CHAR_SYMBOL},      {0x55a, 0x55f, L2_CHAR_SYMBOL},
    {0x589, 0x58a, L2_CHAR_SYMBOL},      {0x5be, 0x5be, L2_CHAR_SYMBOL},
    {0x5f3, 0x5f4, L2_CHAR_SYMBOL},      {0x600, 0x60f, L2_CHAR_SYMBOL},
    {0x61b, 0x61f, L2_CHAR_SYMBOL},      {0x660, 0x669, L2_CHAR_DIGIT},
    {0x66a, 0x66d, L2_CHAR_SYMBOL},      {0x6d4, 0x6d4, L2_CHAR_SYMBOL},
    {0x6f0, 0x6f9, L2_CHAR_DIGIT},       {0x964, 0x965, L2_CHAR_SYMBOL},
    {0x966, 0x96f, L2_CHAR_DIGIT},       {0x9e6, 0x9ef, L2_CHAR_DIGIT},
    {0xe4f, 0xe4f, L2_CHAR_SYMBOL},      {0xe50, 0xe59, L2_CHAR_DIGIT},
    {0x1680, 0x1680, L2_CHAR_BLANK},     {0x2000, 0x200a, L2_CHAR_BLANK},
    {0x200b, 0x200b, L2_CHAR_CONTROL},   {0x200c, 0x200d, L2_CHAR_LETTER},
    {0x200e, 0x200f, L2_CHAR_CONTROL},   {0x2010, 0x2027, L2_CHAR_SYMBOL},
    {0x2028, 0x2029, L2_CHAR_BLANK},     {0x202a, 0x202e, L2_CHAR_CONTROL},
    {0x202f, 0x202f, L2_CHAR_BLANK},     {0x2030, 0x205e, L2_CHAR_SYMBOL},
    {0x205f, 0x205f, L2_CHAR_BLANK},     {0x2060, 0x206f, L2_CHAR_CONTROL},
    {0x2070, 0x208e, L2_CHAR_DIGIT},     {0x20a0, 0x20cf, L2_CHAR_SYMBOL},
    {0x2100, 0x2101, L2_CHAR_SYMBOL},    {0x2190, 0x2bff, L2_CHAR_SYMBOL},
    {0x2e00, 0x2e7f, L2_CHAR_SYMBOL},    {0x2e80, 0x2fff, L2_CHAR_IDEOGRAPH},
    {0x3000, 0x3000, L2_CHAR_BLANK},     {0x3001, 0x3004, L2_CHAR_SYMBOL},
    {0x3005, 0x3007, L2_CHAR_IDEOGRAPH}, {0x3008, 0x3020, L2_CHAR_SYMBOL},
    {0x3021, 0x302f, L2_CHAR_IDEOGRAPH}, {0x3030, 0x303f, L2_CHAR_SYMBOL},
    {0x3040, 0x30ff, L2_CHAR_IDEOGRAPH}, {0x31f0, 0x31ff, L2_CHAR_IDEOGRAPH},
    {0x3200, 0x33ff, L2_CHAR_SYMBOL},    {0x3400, 0x4dbf, L2_CHAR_IDEOGRAPH},
    {0x4dc0, 0x4dff, L2_CHAR_SYMBOL},    {0x4e00, 0x9fff, L2_CHAR_IDEOGRAPH},
    {0xe000, 0xf8ff, L2_CHAR_SYMBOL},    {0xf900, 0xfaff, L2_CHAR_IDEOGRAPH},
    {0xfe10, 0xfe1f, L2_CHAR_SYMBOL},    {0xfe30, 0xfe6f, L2_CHAR_SYMBOL},
    {0xfeff, 0xfeff, L2_CHAR_CONTROL},   {0xff01, 0xff0f, L2_CHAR_SYMBOL},
    {0xff10, 0xff19, L2_CHAR_DIGIT},     {0xff1a, 0xff20, L2_CHAR_SYMBOL},
    {0xff3b, 0xff40, L2_CHAR_SYMBOL},    {0xff5b, 0xff65, L2_CHAR_SYMBOL},
    {0xff66, 0xff9f, L2_CHAR_IDEOGRAPH}, {0xffe0, 0xffef, L2_CHAR_SYMBOL},
    {0xfff0, 0xfffb, L2_CHAR_CONTROL},   {0xfffc, 0xfffd, L2_CHAR_SYMBOL},
    {0xfffe, 0xffff, L2_CHAR_CONTROL},   {0x1d7ce, 0x1d7ff, L2_CHAR_DIGIT},
    {0x1f000, 0x1faff, L2_CHAR_SYMBOL},  {0x20000, 0x3fffd, L2_CHAR_IDEOGRAPH},
    {0xe0000, 0xe0fff, L2_CHAR_CONTROL}, {0xf0000, 0x10ffff, L2_CHAR_SYMBOL},
};

static enum l2_char_class ascii_class(uint32_t c)
{
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
        return L2_CHAR_LETTER;
    if (c >= '0' && c <= '9')
        return L2_CHAR_DIGIT;
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return L2_CHAR_BLANK;
    return c < ' ' || c == 0x7f ? L2_CHAR_CONTROL : L2_CHAR_SYMBOL;
}

enum l2_char_class l2_char_class(uint32_t cp)
{
    size_t low = 0, high = sizeof ranges / sizeof *ranges;
    if (cp < 0x80)
        return ascii_class(cp);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (cp > ranges[mid].last)
            low = mid + 1;
        else if (cp < ranges[mid].first)
            high = mid;
        else
            return ranges[mid].class;
    }
    return L2_CHAR_LETTER;
}

uint32_t l2_char_fold(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    if ((cp >= 0xc0 && cp <= 0xde && cp != 0xd7) || (cp >= 0x391 && cp <= 0x3ab && cp != 0x3a2) ||
        (cp >= 0x410 && cp <= 0x42f))
        return cp + 32;
    return cp >= 0x400 && cp <= 0x40f ? cp + 80 : cp;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

uint64_t l2_hash_join(uint64_t h, uint64_t value)
{
    return mix((h ^ value) * UINT64_C(0x9e3779b97f4a7c15) + (h << 17 | h >> 47));
}

uint64_t l2_text_hash(const void *s, size_t n, uint64_t seed)
{
    const uint8_t *p = s;
    uint64_t h = seed ^ (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15);
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t k = l2_get_u64le(p) * UINT64_C(0x87c37b91114253d5);
        k = (k << 31 | k >> 33) * UINT64_C(0x4cf5ad432745937f);
        h = ((h ^ k) << 27 | (h ^ k) >> 37) * 5 + UINT64_C(0x52dce729);
    }
    if (n > 0) {
        uint8_t tail[8] = {0};
        memcpy(tail, p, n);
        uint64_t k = l2_get_u64le(tail) * UINT64_C(0x4cf5ad432745937f);
        h ^= (k << 33 | k >> 31) * UINT64_C(0x87c37b91114253d5);
    }
    return mix(h);
}

/* A polynomial in BASE over the last n values, mod 2^64; values are hashes already. */
#define BASE UINT64_C(0x9e3779b97f4a7c15)

void l2_rolling_init(struct l2_rolling *r, uint32_t n)
{
    r->sum = r->seen = 0;
    r->n = n;
    r->at = 0;
    r->power = 1;
    for (uint32_t i = 0; i < n; i++)
        r->power *= BASE;
}

bool l2_rolling_add(struct l2_rolling *r, uint64_t value, uint64_t *hash)
{
    uint64_t v = mix(value + BASE);
    r->sum = r->sum * BASE + v;
    if (r->seen >= r->n)
        r->sum -= r->ring[r->at] * r->power;
    r->ring[r->at] = v;
    r->at = r->at + 1 == r->n ? 0 : r->at + 1;
    if (++r->seen < r->n)
        return false;
    *hash = mix(r->sum);
    *hash += *hash == 0; /* 0 is free to mean none */
    return true;
}

uint64_t l2_rolling_short(const struct l2_rolling *r)
{
    return mix(r->sum + r->seen);
}

void l2_words_init(struct l2_words *w, const char *s, size_t n)
{
    *w = (struct l2_words){.s = s, .n = n};
}

/* FNV-1a over characters, mixed at the end: words are short. */
bool l2_words_next(struct l2_words *w)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    w->chars = 0;
    while (w->pos < w->n) {
        uint32_t cp = (uint8_t)w->s[w->pos];
        size_t len = 1;
        if (cp >= 0x80 && (len = l2_utf8_decode(w->s + w->pos, w->n - w->pos, &cp)) == 0)
            len = 1;
        enum l2_char_class class = l2_char_class(cp);
        bool part = class == L2_CHAR_LETTER || class == L2_CHAR_DIGIT;
        if (w->chars > 0 && !part)
            break;
        if (part || class == L2_CHAR_IDEOGRAPH) {
            if (w->chars++ == 0)
                w->begin = w->pos;
            h = (h ^ l2_char_fold(cp)) * UINT64_C(0x100000001b3);
        }
        w->pos += len;
        if (class == L2_CHAR_IDEOGRAPH)
            break;
    }
    w->len = w->pos - w->begin;
    w->hash = mix(h);
    return w->chars > 0;
}
