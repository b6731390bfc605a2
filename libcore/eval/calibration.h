/* Reward models on preference pairs: accuracy as RewardBench counts it, its sections, and whether
 * the sigmoid of a difference of scores is the share of people who prefer it. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CALIBRATION_H
#define L2_CALIBRATION_H

#include "util/err.h"

/* 1 where the chosen one's score is largest, 0 where it is not. A tie is 0 with one other, as
 * RewardBench has it; with k - 1 of several others it is 1/k, as RewardBench 2 has it. */
double l2_pair_credit(double chosen, const double *rejected, size_t n);

/* RewardBench's sections and, within them, the weight of a subset. NULL: none of its subsets. */
const char *l2_rewardbench_section(const char *subset, double *weight);
extern const char *const l2_rewardbench_sections[]; /* NULL-terminated */

/* Bins of the confidence sigmoid(|difference|), 0.5 to 1, of equal width. */
struct l2_calibration_bin {
    uint64_t n;
    double confidence; /* sums; l2_calibration_finish makes them means */
    double share;      /* that prefers what the scores prefer */
    double difference; /* |difference| of scores */
};
struct l2_calibration {
    struct l2_calibration_bin *bins; /* (n_bins), caller's, zeroed at first */
    size_t n_bins;
    uint64_t n;
    double log_loss; /* a sum, then the mean: -log sigmoid(difference), by share */
    double ece;      /* expected calibration error: mean |confidence - share| */
    double mce;      /* the largest one */
};
/* difference: score of the first less that of the second; share: of judges that prefer the first.
 */
void l2_calibration_add(struct l2_calibration *c, double difference, double share);
void l2_calibration_finish(struct l2_calibration *c);

#endif
