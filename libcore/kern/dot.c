/* The inner product of two rows. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

float l2_dot_fwd(const float *x, const float *y, size_t n)
{
    return l2_simd_best()->dot(x, y, n);
}

void l2_dot_bwd(float *dx, const float *y, float d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += d * y[i];
}
