/* Rows of token ids, as TRL takes them instead of text: {input_ids, labels, completion_mask} and
 * {chosen_ids, rejected_ids, margin}. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_IDROW_H
#define L2_IDROW_H

#include <jansson.h>
#include "stream/record.h"
#include "util/buf.h"

/* The label that takes no part in the loss. */
#define L2_IGNORED_LABEL (-100)

/* False where a line of JSON surely is no such row; a quick look, to save parsing it. */
bool l2_idrow_possible(const char *line, size_t n);
/* True where the row holds ids, input_ids or a chosen side's, and is no record of l2's own. */
bool l2_idrow_is(const json_t *row);

/* The row as a record (reset first); otherwise is its id where it has none.
 * input_ids: the prompt is what completion_mask has as 0, or labels as -100, at the beginning;
 * without either the first id alone. All that follows is the completion, in which spans are what
 * the mask or the labels take; a label that is neither -100 nor its id is an error. chosen_ids and
 * rejected_ids (or chosen_input_ids, rejected_input_ids): prompt_ids is the prompt; without it,
 * what both have in common, as long as both go on. Other fields go to meta. */
int l2_idrow_read(const json_t *row, const struct l2_id *otherwise, struct l2_record *rec,
                  struct l2_err *err) L2_MUST_CHECK;

/* Appends the record as rows, a line each: a pair (two completions, but where the shape is that of
 * something else) as chosen_ids and rejected_ids; else every completion, and a prompt that has
 * none, as input_ids. */
int l2_idrow_write(const struct l2_record *rec, struct l2_buf *out,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
