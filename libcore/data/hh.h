/* Dialogues written as one text, the way the Anthropic HH data has them:
 * "\n\nHuman: ...\n\nAssistant: ...". */
/* SPDX-License-Identifier: MIT */
#ifndef L2_HH_H
#define L2_HH_H

#include <jansson.h>
#include <stdbool.h>
#include "util/err.h"

#define L2_HH_HUMAN     "\n\nHuman:"
#define L2_HH_ASSISTANT "\n\nAssistant:"

/* True when s begins with either marker and holds an assistant's. */
bool l2_hh_is(const char *s, size_t n);

/* The offset of the first marker at or after from, and which it is and how long; n when there is
 * none. */
size_t l2_hh_marker(const char *s, size_t n, size_t from, bool *assistant, size_t *len);

/* Where the prompt of two dialogues ends: after the last assistant marker that lies before their
 * first difference; 0 when there is none. */
size_t l2_hh_boundary(const char *a, size_t na, const char *b, size_t nb);

/* The turns as a new array of {role, content}, roles "user" and "assistant"; one space after a
 * marker does not count. in_answer: s goes on after an assistant marker. Else a last turn that is
 * the assistant's and empty is left out. NULL: out of memory. */
json_t *l2_hh_turns(const char *s, size_t n, bool in_answer, struct l2_err *err) L2_MUST_CHECK;

#endif
