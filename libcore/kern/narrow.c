/* Sizes of narrowed activations. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/narrow.h"

size_t l2_pairs_row_bytes(size_t cols)
{
    return (cols + 1) / 2 * 4;
}

size_t l2_q8_row_bytes(size_t cols)
{
    return cols / L2_Q8_BLOCK * (L2_Q8_BLOCK + 5 * 4);
}

size_t l2_q8_k_row_bytes(size_t cols)
{
    return cols / L2_SUM_BLOCK * (L2_SUM_BLOCK + 2 * 4);
}
