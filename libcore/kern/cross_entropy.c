/* The log-probability of tokens under logits, and its gradient. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/math.h"
#include "kern/ops.h"
#include "kern/simd.h"

void l2_log_softmax_fwd(struct l2_softmax_row *out, float *x, size_t n)
{
    const struct l2_simd *simd = l2_simd_best();
    double moment;
    out->max = simd->max(x, n);
    out->sum = simd->exp_sum(x, x, n, out->max, &moment);
    out->log_sum = l2_log(out->sum);
    out->entropy = (float)(out->log_sum - moment / out->sum);
}

void l2_log_softmax_bwd(float *x, size_t n, const struct l2_softmax_row *row, float total)
{
    l2_simd_best()->scale(x, x, n, (float)(-total / row->sum));
}
