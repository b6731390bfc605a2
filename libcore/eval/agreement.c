/* Gwet's coefficients for any number of judges, with missing ratings. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/agreement.h"

#include <math.h>

const char *const l2_agreement_weight_names[L2_N_WEIGHTS + 1] = {"none", "linear", "quadratic",
                                                                 NULL};

static double weight(enum l2_agreement_weights weights, unsigned k, unsigned l, unsigned q)
{
    double d = fabs((double)k - (double)l) / (double)(q - 1);
    switch (weights) {
    case L2_WEIGHTS_LINEAR:
        return 1 - d;
    case L2_WEIGHTS_QUADRATIC:
        return 1 - d * d;
    default:
        return k == l;
    }
}

/* The share of pairs of judges of one item that agree, by weight. */
static double item_agreement(const uint32_t *counts, unsigned q, double judges,
                             enum l2_agreement_weights weights)
{
    double sum = 0;
    for (unsigned k = 0; k < q; k++) {
        double near = 0;
        if (counts[k] == 0)
            continue;
        for (unsigned l = 0; l < q; l++)
            near += weight(weights, k, l, q) * counts[l];
        sum += counts[k] * (near - 1);
    }
    return sum / (judges * (judges - 1));
}

struct l2_agreement l2_gwet(const struct l2_ratings *ratings, enum l2_agreement_weights weights,
                            const uint32_t *chosen, size_t n)
{
    unsigned q = ratings->n_categories;
    double share[L2_MAX_CATEGORIES] = {0}, rated = 0, agree = 0, all_weights = 0, spread = 0;
    struct l2_agreement a = {.observed = NAN, .chance = NAN, .coefficient = NAN};
    for (size_t i = 0; i < (chosen ? n : ratings->n_items); i++) {
        const uint32_t *counts = ratings->counts + (chosen ? chosen[i] : i) * (size_t)q;
        double judges = 0;
        for (unsigned k = 0; k < q; k++)
            judges += counts[k];
        if (judges < 1)
            continue;
        rated++;
        for (unsigned k = 0; k < q; k++)
            share[k] += counts[k] / judges;
        if (judges < 2)
            continue;
        a.items++;
        agree += item_agreement(counts, q, judges, weights);
    }
    if (a.items == 0)
        return a;
    for (unsigned k = 0; k < q; k++) {
        for (unsigned l = 0; l < q; l++)
            all_weights += weight(weights, k, l, q);
        spread += share[k] / rated * (1 - share[k] / rated);
    }
    a.observed = agree / (double)a.items;
    a.chance = all_weights * spread / ((double)q * (q - 1));
    a.coefficient = (a.observed - a.chance) / (1 - a.chance);
    return a;
}
