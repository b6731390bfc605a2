/* Root mean square normalisation. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_rmsnorm_fwd(float *y, const float *x, const float *weight, size_t n, float eps)
{
    l2_simd_best()->rmsnorm(y, x, weight, n, eps);
}

void l2_rmsnorm_bwd(float *dx, float *dweight, const float *x, const float *weight, const float *dy,
                    size_t n, float eps)
{
    l2_simd_best()->rmsnorm_bwd(dx, dweight, x, weight, dy, n, eps);
}
