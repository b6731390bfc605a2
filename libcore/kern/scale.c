/* Multiplication of a row by a number. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_scale_fwd(float *y, const float *x, size_t n, float factor)
{
    l2_simd_best()->scale(y, x, n, factor);
}
