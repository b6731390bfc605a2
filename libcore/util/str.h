/* Questions about strings. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_STR_H
#define L2_STR_H

#include <stdbool.h>

bool l2_ends_in(const char *s, const char *end);

#endif
