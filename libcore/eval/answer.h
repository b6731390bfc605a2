/* Answers: taken out of what a model wrote, and compared with what is right. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ANSWER_H
#define L2_ANSWER_H

#include <stdbool.h>
#include "clean/pattern.h"

/* One step of taking an answer out; lm-evaluation-harness's functions. */
enum l2_take {
    L2_TAKE_REGEX,      /* a match's first group that is not empty, or all of a match, stripped */
    L2_TAKE_LOWER,      /* lowercase */
    L2_TAKE_UPPER,      /* uppercase */
    L2_TAKE_NO_SPACE,   /* remove_whitespace: at the front */
    L2_TAKE_STRIP,      /* strip: at both ends */
    L2_TAKE_BOXED,      /* boxed: the inside of the last \boxed{} */
    L2_TAKE_FIRST_LINE, /* first_line: up to the first line feed */
    L2_N_TAKES
};
extern const char *const l2_take_names[L2_N_TAKES + 1];

struct l2_take_step {
    enum l2_take kind;
    struct l2_pattern *pattern; /* REGEX; owned by the task */
    int group_select;           /* REGEX: which match, from 0, or from the end, -1 being the last */
    const char *fallback;       /* REGEX and BOXED: where there is none; borrowed */
};

/* Replaces text, valid UTF-8, by the answer in it. */
int l2_answer_take(const struct l2_take_step *steps, size_t n, struct l2_buf *text,
                   struct l2_err *err) L2_MUST_CHECK;

/* How texts are compared. */
struct l2_match {
    bool numeric;     /* as numbers: $, %, commas and units of text around them do not count */
    bool ignore_case; /* by Unicode's simple lower case */
    bool ignore_punctuation;    /* ASCII's */
    bool ignore_numbers;        /* digits */
    struct l2_pattern **ignore; /* what they match does not count; owned by the task */
    size_t n_ignore;
};

/* text as it is compared: appended to out. Of numbers the shortest digits; of what is no number,
 * nothing. */
int l2_answer_normal(const struct l2_match *m, const char *text, size_t n, struct l2_buf *out,
                     struct l2_err *err) L2_MUST_CHECK;
/* Whether two texts are the same so; numbers to one part in a million. */
int l2_answer_equal(const struct l2_match *m, const char *a, size_t na, const char *b, size_t nb,
                    bool *equal, struct l2_err *err) L2_MUST_CHECK;

/* SQuAD's: lower case, no punctuation, no articles, single spaces; appended to out. */
int l2_squad_normal(const char *text, size_t n, struct l2_buf *out,
                    struct l2_err *err) L2_MUST_CHECK;
/* Words of answer and reference in common: harmonic mean of precision and recall; 1 where neither
 * has words, 0 where one has none. *exact: the normal forms are equal. */
int l2_squad_score(const char *answer, size_t n, const char *reference, size_t m, double *f1,
                   double *exact, struct l2_err *err) L2_MUST_CHECK;

/* The unbiased estimate of the probability that one of k samples is right, where right of n are
 * (Chen et al. 2021): 1 - C(n - right, k) / C(n, k). 1 <= k <= n. */
double l2_pass_at(size_t n, size_t right, size_t k);

#endif
