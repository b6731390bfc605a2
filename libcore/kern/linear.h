/* Products with packed matrices by the vector kernels. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LINEAR_H
#define L2_LINEAR_H

#include "kern/backend.h"
#include "kern/simd.h"

/* A packed matrix is a row of panels: L2_PANEL of its rows each, the last as many as are left. */
size_t l2_linear_panels(const struct l2_weight *w);
struct l2_panel l2_linear_panel(const struct l2_weight *w, uint32_t index);

/* y (m, rows) = x (m, cols) W^T with the kernels of simd, split over the pool by panels and rows of
 * x; the bits of y do not depend on the split. */
void l2_linear_run(const struct l2_simd *simd, struct l2_pool *pool, float *y, const float *x,
                   size_t m, const struct l2_weight *w);

#endif
