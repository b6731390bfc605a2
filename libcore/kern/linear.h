/* Products with packed matrices by the vector kernels. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LINEAR_H
#define L2_LINEAR_H

#include "kern/backend.h"
#include "kern/simd.h"

/* As struct l2_backend's scratch. */
size_t l2_linear_scratch(const struct l2_weight *w, size_t m);

/* y (m, rows) = x (m, cols) W^T with the kernels of simd, split over the pool by panels and rows of
 * x; the bits of y do not depend on the split. */
void l2_linear_run(const struct l2_simd *simd, struct l2_pool *pool, float *y, const float *x,
                   size_t m, const struct l2_weight *w, void *scratch);

#endif
