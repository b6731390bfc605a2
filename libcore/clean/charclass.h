/* What kind of character something is, for counting and for cutting text into words. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CHARCLASS_H
#define L2_CHARCLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By blocks of Unicode, in one small table of our own, so that counts do not depend on a library's
 * version. Everything that is not known to be something else is a letter. */
enum l2_char_class {
    L2_CHAR_BLANK,   /* spaces, tabs, line ends */
    L2_CHAR_CONTROL, /* C0 and C1 but the blanks, soft hyphen, zero-width, BOM, U+FFFE, U+FFFF */
    L2_CHAR_DIGIT,
    L2_CHAR_LETTER,    /* and marks */
    L2_CHAR_IDEOGRAPH, /* a letter that is a word of its own: Han, kana */
    L2_CHAR_SYMBOL     /* punctuation and the rest */
};

enum l2_char_class l2_char_class(uint32_t cp);
/* The small letter of a capital one: ASCII, Latin-1, Greek, Cyrillic; else cp. */
uint32_t l2_char_fold(uint32_t cp);

/* 64 bits of s[0..n), in no way secret; good enough for tables and for telling texts apart. */
uint64_t l2_text_hash(const void *s, size_t n, uint64_t seed);
/* Mixes one more value into a hash, in order. */
uint64_t l2_hash_join(uint64_t h, uint64_t value);

/* Hashes of every run of n values: add() says true from the n-th value on, with the hash of the
 * last n. n is 1 to L2_ROLLING_MAX. */
#define L2_ROLLING_MAX 64
struct l2_rolling {
    uint64_t ring[L2_ROLLING_MAX];
    uint64_t sum, power, seen;
    uint32_t n, at;
};
void l2_rolling_init(struct l2_rolling *r, uint32_t n);
bool l2_rolling_add(struct l2_rolling *r, uint64_t value, uint64_t *hash);
/* The hash of the fewer than n values so far. */
uint64_t l2_rolling_short(const struct l2_rolling *r);

/* Walks over the words of valid UTF-8: runs of letters and digits, or one ideograph. */
struct l2_words {
    const char *s;
    size_t n, pos;
    /* the present word */
    size_t begin, len; /* bytes */
    size_t chars;
    uint64_t hash; /* of its folded characters */
};

void l2_words_init(struct l2_words *w, const char *s, size_t n);
/* False at the end. */
bool l2_words_next(struct l2_words *w);

#endif
