/* Rejection sampling: choosing among a record's completions by their scores (Llama 2,
 * section 3.2.3). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SELECT_H
#define L2_SELECT_H

#include "rlhf/expr.h"
#include "stream/record.h"

enum l2_select_kind {
    L2_SELECT_BEST,  /* the n best, best first */
    L2_SELECT_WORST, /* the n worst, worst first */
    L2_SELECT_PAIRS  /* the best, then the worst: a preference pair */
};

/* What to choose by. All is borrowed. */
struct l2_select_opts {
    enum l2_select_kind kind;
    size_t n; /* BEST and WORST; 0 chooses nothing: L2_SELECT_OUTRANKED */
    const struct l2_expr *by;
    const char
        *safety_tag;     /* a true or false field of meta that tags prompts; NULL: none is tagged */
    double shift, scale; /* the value of a completion is (by - shift) * scale */
    bool has_min_score;
    double min_score; /* completions of a lower value are no candidates */
    bool over_plain;  /* candidates are the completions made under a pre-prompt (rlhf/preprompt.h)
                         whose value is larger than that of every completion made without */
    bool random;      /* the baseline: as many as would be chosen, drawn evenly from all that have
                         a value (PAIRS: two of different values) */
    uint64_t seed;    /* of random; draws depend on it and on the record's id */
    bool keep_margin; /* PAIRS: margin = the difference of the values */
    const char *as;   /* keep the value as a score of this name; NULL: no */
};

enum l2_select_result {
    L2_SELECTED,
    L2_SELECT_UNSCORED,  /* no completion has a value; over_plain: none made under a pre-prompt has,
                            or none made without */
    L2_SELECT_BELOW,     /* all are below the minimum */
    L2_SELECT_SINGLE,    /* PAIRS: fewer than two different candidates */
    L2_SELECT_TIED,      /* PAIRS: all values are equal; over_plain: the best two are */
    L2_SELECT_OUTRANKED, /* n is 0: other records have better ones */
    L2_SELECT_NO_GAIN,   /* over_plain: one made without a pre-prompt is the best */
    L2_N_SELECT_RESULTS
};

struct l2_select_counts {
    uint64_t results[L2_N_SELECT_RESULTS]; /* records */
    uint64_t completions_in, completions_out;
    uint64_t unscored;            /* completions without a value */
    uint64_t below;               /* completions below the minimum */
    uint64_t duplicates;          /* completions with the tokens of a candidate that comes before */
    double sum_before, sum_after; /* of the values of all completions, and of the chosen */
};

enum l2_fate {
    L2_FATE_CHOSEN,
    L2_FATE_OUTRANKED, /* a candidate, but others were chosen */
    L2_FATE_BELOW,
    L2_FATE_DUPLICATE,
    L2_FATE_UNSCORED,
    L2_FATE_PLAIN,   /* over_plain: made without a pre-prompt */
    L2_FATE_NO_GAIN, /* over_plain: one made without is as good */
    L2_N_FATES
};

/* What became of a completion, and why. */
struct l2_verdict {
    enum l2_fate fate;
    const char *missing; /* UNSCORED: the score that it lacks */
    double value;        /* else */
    size_t rank;         /* CHOSEN, OUTRANKED: from 1, in the order of choice */
    size_t place;        /* CHOSEN: from 0, among the chosen */
    size_t same_as;      /* DUPLICATE: the index of the completion that counts */
};

/* Judges without changing r. Values that are equal are ordered by gen.k (the place in the record
 * where there is none), the lowest first; of completions with equal tokens the first in this order
 * is kept. *verdicts (n_completions) is in r's arena. L2_CORRUPT when the tag is neither true nor
 * false, or a value not finite. */
int l2_judge(struct l2_record *r, const struct l2_select_opts *opts, struct l2_verdict **verdicts,
             enum l2_select_result *result, struct l2_err *err) L2_MUST_CHECK;

/* Judges and replaces r's completions by those chosen. A margin is dropped when another completion
 * has become first or second. With a result other than L2_SELECTED r is left as it was. Adds to
 * counts. */
int l2_select(struct l2_record *r, const struct l2_select_opts *opts,
              struct l2_select_counts *counts, enum l2_select_result *result,
              struct l2_err *err) L2_MUST_CHECK;

#endif
