/* The small interface behind which the matrix products of inference and training stand. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BACKEND_H
#define L2_BACKEND_H

#include "model/tensors.h"
#include "util/pool.h"

/* A matrix W (rows, cols) converted once into a backend's own layout. All zero is none. */
struct l2_weight {
    uint32_t rows, cols;
    enum l2_dtype dtype; /* what the packed values are */
    void *data;          /* owned, aligned to 64; layout private to the backend */
    size_t bytes;
};

struct l2_backend {
    const char *name;
    /* What --version prints: machines that print the same line give equal bits (native), or the
     * library and core that run (blas). */
    void (*describe)(char *out, size_t out_size);
    /* Packs parts[0..n_parts), matrices of equal cols, one below the other, so that one product
     * computes all that have the same input; head_dim restores Hugging Face row order where a part
     * is interleaved. Owned by the caller, free with release. */
    int (*pack)(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                uint32_t head_dim, struct l2_pool *pool, struct l2_err *err);
    void (*release)(struct l2_weight *w);
    /* y (m, rows) = x (m, cols) W^T, row-major. native: each element of y is summed in one fixed
     * order that depends on cols alone, so a row of y depends on its row of x and W and on nothing
     * else. */
    void (*linear)(struct l2_pool *pool, float *y, const float *x, size_t m,
                   const struct l2_weight *w);
};

extern const struct l2_backend l2_backend_native;
extern const struct l2_backend l2_backend_blas; /* links OpenBLAS; only users of this symbol do */

#endif
