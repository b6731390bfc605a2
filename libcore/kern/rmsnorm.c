/* Root mean square normalisation. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_rmsnorm_fwd(float *y, const float *x, const float *weight, size_t n, float eps)
{
    l2_simd_best()->rmsnorm(y, x, weight, n, eps);
}
