/* Guesses of the next tokens: what followed the last few where they stood before. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LOOKUP_H
#define L2_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

/* Finds where the last two tokens of a followed by b (n_b >= 1) were last seen before, and copies
 * up to most of the tokens behind that place, as far as there are any, into out. Returns their
 * number. (Prompt lookup: what is copied from a text is guessed whole, and costs nothing to guess.)
 */
size_t l2_lookup(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b, uint32_t *out,
                 size_t most);

#endif
