/* What a model is asked about: a context and its continuation, as token ids. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ASK_H
#define L2_ASK_H

#include "stream/record.h"
#include "text/encode.h"

/* Ids of context and continuation by the rule of lm-evaluation-harness: white space at the end of
 * the context (by Unicode, as Python's str.rstrip has it) moves to the front of the continuation,
 * whose ids are what is left of the ids of both together behind as many as the context alone has.
 * With bos, or where the context is empty, prompt begins with the vocabulary's BOS (or EOS where it
 * has no BOS). Appended to prompt and answer. A continuation that has no id of its own is
 * L2_CORRUPT, an empty context in a vocabulary with neither piece L2_ARGUMENT. */
int l2_ask_encode(struct l2_encoder *e, const struct l2_str *context,
                  const struct l2_str *continuation, bool bos, struct l2_ids *prompt,
                  struct l2_ids *answer, struct l2_err *err) L2_MUST_CHECK;

/* The ids of a prompt to go on from, with BOS as above. */
int l2_ask_prompt(struct l2_encoder *e, const struct l2_str *context, bool bos,
                  struct l2_ids *prompt, struct l2_err *err) L2_MUST_CHECK;

/* Bytes of s without the white space at its end. */
size_t l2_ask_stripped(const char *s, size_t n);
/* Bytes of white space at the start of s. */
size_t l2_ask_leading(const char *s, size_t n);

#endif
