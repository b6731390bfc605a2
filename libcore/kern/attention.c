/* Attention over one block of cached keys and values. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ops.h"
#include "kern/simd.h"

void l2_attend_block(const float *q, size_t group, size_t head_dim, const struct l2_kv_head *kv,
                     size_t n, float *m, float *l, float *o)
{
    l2_simd_best()->attend_block(q, group, head_dim, kv, n, m, l, o);
}
