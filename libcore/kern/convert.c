/* Conversion of rows between types of values. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_from_bf16(float *y, const uint16_t *x, size_t n)
{
    l2_simd_best()->from_bf16(y, x, n);
}
