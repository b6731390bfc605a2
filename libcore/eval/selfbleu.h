/* Self-BLEU: how much the answers to one prompt repeat one another (Zhu et al., 2018). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SELFBLEU_H
#define L2_SELFBLEU_H

#include "util/err.h"

struct l2_tokens_of {
    const uint64_t *v; /* borrowed */
    size_t n;
};

enum { L2_BLEU_MAX_ORDER = 8 };

/* The mean over the n >= 2 texts of each one's BLEU against all others: n-grams of 1 to order
 * tokens with equal weights; a count of 0 behind a first order that has some is 0.1 (Chen and
 * Cherry's first smoothing, as NLTK and Texygen have it); the brevity penalty takes the reference
 * whose length is nearest, of two the shorter. 0: nothing in common, 1: all the same. */
int l2_self_bleu(const struct l2_tokens_of *texts, size_t n, unsigned order, double *out,
                 struct l2_err *err) L2_MUST_CHECK;

#endif
