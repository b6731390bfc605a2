/* Choosing the best completions of all records together: how many each record may keep. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OVERALL_H
#define L2_OVERALL_H

#include "rlhf/select.h"

struct l2_overall;

/* Owned, free with l2_overall_free. */
int l2_overall_new(struct l2_overall **out, struct l2_err *err) L2_MUST_CHECK;
void l2_overall_free(struct l2_overall *o);

/* Adds the next record's candidates: the n verdicts of l2_judge with these opts. */
int l2_overall_add(struct l2_overall *o, const struct l2_select_opts *opts,
                   const struct l2_verdict *verdicts, size_t n, struct l2_err *err) L2_MUST_CHECK;

/* Picks the n best candidates of all (the worst with L2_SELECT_WORST); of equal values those of
 * earlier records. With opts->random: as many, evenly from all. */
void l2_overall_pick(struct l2_overall *o, const struct l2_select_opts *opts, uint64_t n);

/* How many of record's candidates were picked, the first in their order; records count from 0 in
 * the order in which they were added. */
size_t l2_overall_count(const struct l2_overall *o, size_t record);

#endif
