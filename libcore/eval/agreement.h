/* How far judges agree beyond chance: Gwet's AC1 and AC2, the paper's measure for its annotators.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_AGREEMENT_H
#define L2_AGREEMENT_H

#include "util/err.h"

enum l2_agreement_weights {
    L2_WEIGHTS_NONE,      /* AC1: equal or not */
    L2_WEIGHTS_LINEAR,    /* AC2: 1 - |k - l| / (q - 1) */
    L2_WEIGHTS_QUADRATIC, /* AC2: 1 - (k - l)^2 / (q - 1)^2 */
    L2_N_WEIGHTS
};
extern const char *const l2_agreement_weight_names[L2_N_WEIGHTS + 1];

enum { L2_MAX_CATEGORIES = 64 };

/* counts (n_items, n_categories): how many judges put each item into each category; judges that did
 * not rate an item are not counted. Borrowed. */
struct l2_ratings {
    const uint32_t *counts;
    size_t n_items;
    unsigned n_categories; /* 2 to L2_MAX_CATEGORIES */
};

struct l2_agreement {
    double observed, chance; /* weighted agreement, 0 to 1 */
    double coefficient;      /* (observed - chance) / (1 - chance) */
    size_t items;            /* that two judges or more have rated */
};

/* Of the n items in chosen (NULL: of all). NAN where no item has two ratings. Items with one rating
 * count towards chance only, as in Gwet's Handbook of Inter-Rater Reliability. */
struct l2_agreement l2_gwet(const struct l2_ratings *ratings, enum l2_agreement_weights weights,
                            const uint32_t *chosen, size_t n);

#endif
