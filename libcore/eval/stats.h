/* How sure a number from a sample is: intervals for shares and for anything that can be computed
 * again from resampled items, and the significance of subsets. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STATS_H
#define L2_STATS_H

#include "util/err.h"

#define L2_Z95 1.959963984540054 /* of 95% under a normal distribution, both sides */

struct l2_interval {
    double low, high;
};

/* Wilson's score interval for successes of n trials (fractions of a success are fine: half for a
 * tie, which makes the interval wider than it had to be); NAN where n is 0. */
struct l2_interval l2_wilson(double successes, double n, double z);

/* A statistic of the n items whose numbers are in chosen (repeated ones, too). */
typedef double l2_statistic(void *arg, const uint32_t *chosen, size_t n);
/* The percentile interval of `rounds` resamples of n items with replacement, that holds the share
 * `level`; quantiles between two values are interpolated. Resamples in which the statistic is not
 * finite do not count; NAN where none is left. */
int l2_bootstrap(l2_statistic *f, void *arg, size_t n, uint32_t rounds, uint64_t seed, double level,
                 struct l2_interval *out, struct l2_err *err) L2_MUST_CHECK;

/* How many standard deviations a mean of n of all n_all values, drawn without replacement, is away
 * from the mean of all; deviation is that of all values (divided by n_all). NAN where n is 0 or
 * n_all, or where all values are equal. The paper's Z_n (appendix on contamination). */
double l2_subset_z(double mean, size_t n, double mean_all, double deviation, size_t n_all);

#endif
