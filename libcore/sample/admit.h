/* What a generator takes in: the checks of a prompt, its truncation, and the number of the first
 * completion to make. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ADMIT_H
#define L2_ADMIT_H

#include "sample/generate.h"

/* Checks that rec's prompt can be completed: it has tokens, all of them below vocab_size. */
int l2_admit_check(const struct l2_record *rec, uint32_t vocab_size,
                   struct l2_err *err) L2_MUST_CHECK;

/* The number of the first new completion of rec: its largest gen.k + 1, or, where no completion has
 * one, their number. L2_LIMIT when fewer than n numbers are left. */
int l2_admit_first_k(const struct l2_record *rec, uint32_t n, uint64_t *first,
                     struct l2_err *err) L2_MUST_CHECK;

/* The message for a prompt that leaves no room in the context. */
int l2_admit_overlong(const struct l2_record *rec, uint32_t context,
                      struct l2_err *err) L2_MUST_CHECK;

/* Cuts rec's prompt to n >= 1 tokens and its spans with it: from the left, where the first token
 * stays if it is bos, or from the right. */
int l2_admit_truncate(struct l2_record *rec, size_t n, bool left, uint32_t bos,
                      struct l2_err *err) L2_MUST_CHECK;

/* True when the prompt's tokens stand for any text, so that a completion continues it. */
bool l2_admit_has_text(const struct l2_vocab *vocab, const struct l2_u32s *prompt);

#endif
