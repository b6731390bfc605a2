/* All that a JSON value says in words. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ROWTEXT_H
#define L2_ROWTEXT_H

#include <jansson.h>
#include "util/buf.h"

/* Appends the texts in j, also those in its lists and objects down to `depth` levels, each on a
 * line of its own; an "id" is none. */
int l2_row_text(const json_t *j, unsigned depth, struct l2_buf *out,
                struct l2_err *err) L2_MUST_CHECK;

#endif
