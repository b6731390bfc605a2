/* What the backends share: checking and walking the parts of a stacked matrix. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_WEIGHT_H
#define L2_WEIGHT_H

#include "kern/backend.h"

/* Fills in rows and cols of an empty weight. L2_CORRUPT when the parts' cols differ, L2_LIMIT when
 * the rows are too many. */
int l2_weight_init(struct l2_weight *w, const struct l2_tensor *const *parts, size_t n_parts,
                   struct l2_err *err) L2_MUST_CHECK;

/* The part in which row row of the stacked matrix lies; *row becomes its row there. */
const struct l2_tensor *l2_weight_part(const struct l2_tensor *const *parts, uint32_t *row);

void l2_weight_release(struct l2_weight *w);

#endif
