/* Stop rules: a PCRE2 pattern over the text of a completion as it grows. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STOP_H
#define L2_STOP_H

#include <stdbool.h>
#include "util/err.h"

struct l2_stop; /* compiled, immutable */

/* pattern is PCRE2 with UTF and UCP. Errors name the offset in the pattern. */
int l2_stop_new(struct l2_stop **out, const char *pattern, struct l2_err *err) L2_MUST_CHECK;
void l2_stop_free(struct l2_stop *s);

/* Where to go on searching in a text that grows; starts all zero. */
struct l2_stop_state {
    size_t from;
};

/* Searches text[0..n), valid UTF-8, of which earlier calls have seen a prefix. *found, and *begin is
 * where the match begins. Finds what a search of the whole text so far would find. */
int l2_stop_search(const struct l2_stop *s, struct l2_stop_state *state, const char *text, size_t n,
                   bool *found, size_t *begin, struct l2_err *err) L2_MUST_CHECK;

#endif
