/* Matrix products of training: forward, for the input's gradient and for the weights'. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GEMM_H
#define L2_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include "util/pool.h"

enum l2_gemm_op {
    L2_GEMM_NT, /* C (m, n) = A (m, k) B (n, k)^T:  Y = X W^T */
    L2_GEMM_NN, /* C (m, n) = A (m, k) B (k, n):    dX = dY W */
    L2_GEMM_TN, /* C (m, n) = A (k, m)^T B (k, n):  dW = dY^T X */
};

/* One product, row-major; m, n, k > 0; ld is the distance of rows in floats. */
struct l2_gemm {
    enum l2_gemm_op op;
    bool add; /* C += instead of C = */
    size_t m, n, k;
    const float *a, *b;
    float *c;
    size_t lda, ldb, ldc;
};

/* Computes products that do not depend on each other, tile by tile on the pool. The tiles depend on
 * the shapes alone, so results do not depend on the number of threads. With bf16 the factors are
 * rounded to bf16 (nearest even) and the sums are f32. */
void l2_gemm_run(struct l2_pool *pool, const struct l2_gemm *jobs, size_t n_jobs, bool bf16);

#endif
