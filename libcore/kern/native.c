/* The native backend: weights packed into panels whose rows are vector lanes. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/backend.h"

#include <float.h>
#include <stdio.h>
#include "kern/linear.h"
#include "kern/native_pack.h"
#include "kern/simd.h"
#include "kern/weight.h"

/* Counted up whenever a change of the kernels changes the bits of any result. */
#define KERNELS_VERSION 2

static void describe(char *out, size_t out_size)
{
    snprintf(out, out_size, "native %d%s%s", KERNELS_VERSION, l2_simd_best()->fused ? " fused" : "",
             FLT_EVAL_METHOD == 0 ? "" : " x87");
}

static void linear(struct l2_pool *pool, float *y, const float *x, size_t m,
                   const struct l2_weight *w, void *scratch)
{
    l2_linear_run(l2_simd_best(), pool, y, x, m, w, scratch);
}

const struct l2_backend l2_backend_native = {
    .name = "native",
    .describe = describe,
    .pack = l2_native_pack,
    .release = l2_weight_release,
    .scratch = l2_linear_scratch,
    .linear = linear,
};
