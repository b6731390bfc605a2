/* A step of AdamW on a row of values. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_adamw_row(float *p, float *g, float *m, float *v, size_t n, const struct l2_adamw_rates *r)
{
    l2_simd_best()->adamw(p, g, m, v, n, r);
}
