/* Stop rules: a PCRE2 pattern over the text of a completion as it grows. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STOP_H
#define L2_STOP_H

#include <stdbool.h>
#include "util/err.h"

struct l2_stop; /* a compiled pattern and working memory; one thread at a time */

/* pattern is PCRE2 with UTF and UCP. Errors name the offset in the pattern. A pattern that matches
 * the empty text is L2_ARGUMENT: every completion would end before it begins. Owned, free with
 * l2_stop_free. */
int l2_stop_new(struct l2_stop **out, const char *pattern, struct l2_err *err) L2_MUST_CHECK;
void l2_stop_free(struct l2_stop *s);

/* Where to go on searching in a text that grows; starts all zero. */
struct l2_stop_state {
    size_t from; /* no match can begin before this byte, however the text goes on */
};

/* Searches text[0..n), valid UTF-8, of which earlier calls have seen a prefix. *found, and *begin
 * is where the match begins. Finds what a search of the whole text so far would find. L2_LIMIT when
 * the pattern needs more backtracking than PCRE2 allows by default. */
int l2_stop_search(struct l2_stop *s, struct l2_stop_state *state, const char *text, size_t n,
                   bool *found, size_t *begin, struct l2_err *err) L2_MUST_CHECK;

#endif
