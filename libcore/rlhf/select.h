/* Rejection sampling: choosing among a record's completions by their scores (Llama 2,
 * section 3.2.3), and the paper's combined reward. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SELECT_H
#define L2_SELECT_H

#include "stream/record.h"

/* The paper's threshold on the probability of being safe, 0.15, on the raw scale: logit(0.15). */
#define L2_SAFETY_THRESHOLD (-1.7346010553881064)

/* Llama 2, section 3.2.3, on raw scores (before any sigmoid): the safety score where the prompt is
 * tagged or safety < logit(0.15), else the helpfulness score. */
double l2_combined_reward(double safety, double helpfulness, bool tagged);

enum l2_select_kind {
    L2_SELECT_BEST,  /* the n best, best first */
    L2_SELECT_WORST, /* the n worst, worst first */
    L2_SELECT_PAIRS  /* the best, then the worst: a preference pair */
};

/* What to choose by. Strings are borrowed. */
struct l2_select_opts {
    enum l2_select_kind kind;
    size_t n;         /* BEST and WORST; at least 1 */
    const char *by;   /* a score's name; NULL: the combined reward of the next two */
    const char *safe; /* names of scores */
    const char *helpful;
    const char
        *safety_tag; /* a true or false field of meta that tags prompts; NULL: none is tagged */
    bool has_min_score;
    double min_score; /* completions below it are no candidates */
    bool keep_margin; /* PAIRS: margin = the difference of the scores */
    const char *as;   /* keep what was chosen by as a score of this name; NULL: no */
};

enum l2_select_result {
    L2_SELECTED,
    L2_SELECT_UNSCORED, /* no completion has the score */
    L2_SELECT_BELOW,    /* all are below the minimum */
    L2_SELECT_SINGLE,   /* PAIRS: fewer than two different candidates */
    L2_SELECT_TIED,     /* PAIRS: all scores are equal */
    L2_N_SELECT_RESULTS
};

struct l2_select_counts {
    uint64_t results[L2_N_SELECT_RESULTS]; /* records */
    uint64_t completions_in, completions_out;
    uint64_t unscored;            /* completions without the score */
    uint64_t below;               /* completions below the minimum */
    uint64_t duplicates;          /* completions with the tokens of a candidate that comes before */
    double sum_before, sum_after; /* of the scores of all scored completions, and of the chosen */
};

/* Replaces r's completions by those chosen. Scores that are equal are ordered by gen.k (the place
 * in the record where there is none), the lowest first; of completions with equal tokens the first
 * in this order is kept. A margin is dropped when another completion has become first or second.
 * With a result other than L2_SELECTED r is left as it was. Adds to counts. L2_CORRUPT when the tag
 * is neither true nor false. */
int l2_select(struct l2_record *r, const struct l2_select_opts *opts,
              struct l2_select_counts *counts, enum l2_select_result *result,
              struct l2_err *err) L2_MUST_CHECK;

#endif
