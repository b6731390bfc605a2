/* Near duplicates: MinHash signatures of word n-grams, found by bands (Broder 1997; one permutation
 * with optimal densification, Shrivastava 2017). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NEAR_H
#define L2_NEAR_H

#include <stdbool.h>
#include "util/err.h"

struct l2_near_settings {
    uint32_t ngram; /* words of a shingle; a shorter text is one shingle */
    uint32_t bands, rows;
    double similarity; /* of the sets of shingles (Jaccard), from which on a text is a duplicate */
    uint64_t seed;
    uint64_t bytes; /* of memory, taken at once */
};

struct l2_near; /* the index */

/* Owned, free with l2_near_free. */
int l2_near_new(struct l2_near **out, const struct l2_near_settings *s,
                struct l2_err *err) L2_MUST_CHECK;
void l2_near_free(struct l2_near *near);

/* The number, from 0 in the order of adding, of the first text in the index whose estimated
 * similarity to valid UTF-8 text[0..n) reaches the setting, into *like; *similarity is that
 * estimate. Where there is none *like is -1, and the text is added. Texts without words are never
 * alike. A text that has s of the shingles in common is found with probability
 * 1 - (1 - s^rows)^bands. */
void l2_near_add(struct l2_near *near, const char *text, size_t n, int64_t *like,
                 double *similarity);

uint64_t l2_near_size(const struct l2_near *near);   /* texts in it */
uint64_t l2_near_room(const struct l2_near *near);   /* texts that it can hold */
uint64_t l2_near_bytes(const struct l2_near *near);  /* of memory */
uint64_t l2_near_missed(const struct l2_near *near); /* that did not fit */

#endif
