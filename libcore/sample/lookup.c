/* Guesses of the next tokens. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/lookup.h"

size_t l2_lookup(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b, uint32_t *out,
                 size_t most)
{
    size_t n = n_a + n_b, count = 0;
    if (n < 3)
        return 0;
#define TOKEN(i) ((i) < n_a ? a[i] : b[(i)-n_a])
    uint32_t last = b[n_b - 1], before = TOKEN(n - 2);
    for (size_t i = n - 2; i > 0; i--) {
        if (TOKEN(i) != last || TOKEN(i - 1) != before)
            continue;
        for (size_t j = i + 1; j < n && count < most; j++)
            out[count++] = TOKEN(j);
        break;
    }
#undef TOKEN
    return count;
}
