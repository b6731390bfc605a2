/* What l2-score says about its scores at the end: mean and deviation, and on preference pairs the
 * accuracy, as a whole, by margin and by a field of meta. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TALLY_H
#define L2_TALLY_H

#include <jansson.h>
#include "stream/record.h"

struct l2_tally;

/* Counts scores[name]; by_field may be NULL. Both are borrowed. Owned, free with l2_tally_free. */
int l2_tally_new(struct l2_tally **out, const char *name, const char *by_field,
                 struct l2_err *err) L2_MUST_CHECK;
void l2_tally_free(struct l2_tally *t);

/* A record with two completions that have the score is a pair, the first of which is the chosen
 * one: right when its score is larger, a tie when they are equal. */
int l2_tally_add(struct l2_tally *t, const struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* Adds "score" {name, n, mean, sd}, and where there were pairs "pairs" {n, accuracy, ties},
 * "by_margin" and "by_field", to report. */
int l2_tally_report(struct l2_tally *t, json_t *report, struct l2_err *err) L2_MUST_CHECK;

#endif
