/* What a rule says of a text. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MEASURE_H
#define L2_MEASURE_H

#include "clean/rules.h"

/* Counts of one text that several rules share, made when the first asks for them. */
struct l2_counts {
    bool made;
    uint64_t chars, blanks, letters, upper, digits, symbols, words, word_chars, lines, full_lines,
        line_chars;
};

/* Working memory; one a thread. */
struct l2_measurer;
int l2_measurer_new(struct l2_measurer **out, struct l2_err *err) L2_MUST_CHECK;
void l2_measurer_free(struct l2_measurer *m);

/* *value of valid UTF-8 text[0..n) by the rule. counts is all zero at first, and the same for the
 * same text. L2_LIMIT where the pattern met its limits. */
int l2_measure(struct l2_measurer *m, const struct l2_rule *rule, const char *text, size_t n,
               struct l2_counts *counts, double *value, struct l2_err *err) L2_MUST_CHECK;

#endif
