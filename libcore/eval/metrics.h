/* What samples and their means are worth: metrics of choices, standard errors. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_METRICS_H
#define L2_METRICS_H

#include "stream/record.h"

struct l2_mean {
    double value;
    double error; /* of the mean: sample deviation / sqrt(n); NAN below two values */
    size_t n;
};
struct l2_mean l2_mean_of(const double *v, size_t n);

/* One choice of a question, with the model's word about it. */
struct l2_choice {
    struct l2_str context, continuation; /* what the model was asked */
    struct l2_str text;                  /* the choice itself, whose length counts */
    bool right;
    double logprob; /* of the continuation */
    bool greedy;    /* every token of it was the most likely one */
};

enum l2_choice_metric {
    L2_ACC,           /* the most likely choice is right */
    L2_ACC_NORM,      /* by logprob a character of its text */
    L2_ACC_BYTES,     /* by logprob a byte of its text */
    L2_CHOICE_GREEDY, /* a right choice is what the model itself would have said */
    L2_MC2,           /* share of the probability of all choices that right ones have */
    L2_BRIER,         /* squared distance of the choices' shares from the right ones' */
    L2_N_CHOICE_METRICS
};
/* acc, acc_norm, acc_bytes, exact_match, mc2, brier_score: lm-evaluation-harness's names. */
extern const char *const l2_choice_metric_names[L2_N_CHOICE_METRICS + 1];

/* Each metric of one question of n >= 1 choices; of equally likely ones the first is taken. A text
 * of no characters counts as one. */
void l2_choice_metrics(const struct l2_choice *c, size_t n, double out[L2_N_CHOICE_METRICS]);

#endif
