/* RewardBench's output rows: a scored pair with its result. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BENCHROW_H
#define L2_BENCHROW_H

#include "stream/record.h"
#include "text/vocab.h"
#include "util/buf.h"

/* Appends {prompt, results, scores_chosen, scores_rejected, text_chosen, text_rejected, id, and the
 * fields of meta} as a line; the texts are the prompt's and the answer's together, and results is 1
 * where the first completion's score is larger, else (ties too) 0. L2_CORRUPT where the record has
 * not two completions with the score. v may be NULL where the record holds text. */
int l2_benchrow_write(const struct l2_vocab *v, const struct l2_record *rec, const char *score,
                      struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
