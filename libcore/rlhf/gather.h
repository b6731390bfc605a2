/* Holding records, and pooling them: completions of equal id and equal prompt, from anywhere in the
 * input, come together. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GATHER_H
#define L2_GATHER_H

#include "stream/record.h"

struct l2_gather;

/* Holds all records in memory until it is freed; without pool each stays by itself. Owned, free
 * with l2_gather_free. */
int l2_gather_new(struct l2_gather **out, bool pool, struct l2_err *err) L2_MUST_CHECK;
void l2_gather_free(struct l2_gather *g);

/* Takes rec over (also on failure); it is heap allocated. */
int l2_gather_add(struct l2_gather *g, struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* The records one by one, in order of their first appearance: the first one's fields, with the
 * completions of the later ones after its own. *rec stays g's, NULL when there is no more. */
int l2_gather_next(struct l2_gather *g, struct l2_record **rec, struct l2_err *err) L2_MUST_CHECK;
/* Back to the first record. */
void l2_gather_rewind(struct l2_gather *g);

#endif
