/* Reward against the number of samples: what the best of N completions would score, estimated from
 * K >= N of them (Llama 2, section 3.2.3, figures 7 and 8). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CURVE_H
#define L2_CURVE_H

#include "rlhf/select.h"

struct l2_curve;

/* Owned, free with l2_curve_free. */
int l2_curve_new(struct l2_curve **out, struct l2_err *err) L2_MUST_CHECK;
void l2_curve_free(struct l2_curve *c);

/* Adds the completions of r that have a value, verdicts being l2_judge's; those of different
 * gen.model or gen.temperature apart. */
int l2_curve_add(struct l2_curve *c, const struct l2_record *r, const struct l2_verdict *verdicts,
                 struct l2_err *err) L2_MUST_CHECK;

/* Over all records with N completions or more of one model and temperature. */
struct l2_curve_point {
    const char *model; /* "" where gen does not say; the curve's */
    bool has_temperature;
    double temperature;
    uint64_t n;       /* N */
    uint64_t records; /* with that many */
    /* The expectation over subsets of N of a record's completions, without replacement and
     * therefore unbiased, averaged over records. */
    double max, max_se; /* and its standard error over records; 0 where there is one */
    double median, mean;
};

/* Calls put for each model and temperature, in order of first appearance, and N of 1, 2, 3, 4, 6,
 * 8, 12, 16, ... and the largest. Stops where put fails. */
int l2_curve_points(struct l2_curve *c,
                    int (*put)(void *arg, const struct l2_curve_point *p, struct l2_err *err),
                    void *arg, struct l2_err *err) L2_MUST_CHECK;

/* The expected maximum and median of n of the k values in ascending order, 1 <= n <= k;
 * ln_factorial holds ln(i!) for i in 0..k. */
double l2_expected_max(const double *ascending, size_t k, size_t n);
double l2_expected_median(const double *ascending, size_t k, size_t n, const double *ln_factorial);

#endif
