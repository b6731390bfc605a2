/* The gated activation of the feed-forward layer. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_swiglu_fwd(float *y, const float *gate, const float *up, size_t n)
{
    l2_simd_best()->swiglu(y, gate, up, n);
}

void l2_swiglu_bwd(float *dgate, float *dup, const float *gate, const float *up, const float *dy,
                   size_t n)
{
    l2_simd_best()->swiglu_bwd(dgate, dup, gate, up, dy, n);
}
