/* The normaliser of the softmax over a row of logits. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/math.h"
#include "kern/ops.h"
#include "kern/simd.h"

bool l2_logsumexp(const float *x, size_t n, float *max, double *lse)
{
    const struct l2_simd *simd = l2_simd_best();
    *max = simd->max(x, n);
    *lse = 0;
    if (*max != *max)
        return false;
    *lse = *max + l2_log(simd->sum_exp(x, n, *max));
    return true;
}
