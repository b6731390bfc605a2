/* Questions about strings. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/str.h"

#include <string.h>

bool l2_ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}
