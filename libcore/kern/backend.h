/* The small interface behind which the matrix products of inference and training stand. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BACKEND_H
#define L2_BACKEND_H

#include "model/tensors.h"
#include "util/pool.h"

/* How native lays out the values of a matrix; see kern/layout.h. */
enum l2_layout {
    L2_LAYOUT_F32,
    L2_LAYOUT_F16,
    L2_LAYOUT_BF16,
    L2_LAYOUT_BF16_PAIRS,
    L2_LAYOUT_Q8_0,
    L2_LAYOUT_Q8_K,
    L2_LAYOUT_Q4_K,
    L2_LAYOUT_Q6_K,
    L2_LAYOUT_S8 /* plain integers: of keys and values only */
};

/* Successive rows of a packed matrix that have one layout. */
struct l2_piece {
    uint32_t first, rows;
    enum l2_layout layout;
    size_t offset; /* of its values in data, a multiple of 64 */
};

/* Matrices that are packed into one, at most. */
#define L2_MAX_PARTS 3

/* A matrix W (rows, cols) converted once into a backend's own layout. All zero is none. */
struct l2_weight {
    uint32_t rows, cols;
    struct l2_piece pieces[L2_MAX_PARTS]; /* native: cover the rows in order */
    size_t n_pieces;
    bool narrow; /* as l2_pack_opts */
    void *data;  /* aligned to 64; layout private to the backend */
    size_t bytes;
    bool borrowed; /* data is part of a map and not freed */
};

/* The type that weights are quantised to while they are packed. */
enum l2_pack_type {
    L2_PACK_AS_IS, /* the tensor's own; types without a layout become Q8_0 (narrow) or F32 */
    L2_PACK_BF16,
    L2_PACK_Q8_0,
    L2_PACK_Q8_K, /* 8 bits with a scale every 256 values; no file has it; Q8_0 where rows are not
                     whole blocks of 256, as they are where not of 32 */
    L2_PACK_Q4_K, /* likewise Q8_0 */
    L2_PACK_Q6_K, /* likewise */
    L2_N_PACK_TYPES
};

struct l2_pack_opts {
    uint32_t head_dim; /* restores Hugging Face row order where a part is interleaved */
    enum l2_pack_type type;
    bool narrow; /* products with BF16 weights take activations rounded to bf16, those with
                    quantised ones to 8 bits with a scale every 32 values, every 256 with
                    Q8_K; else all are of f32 */
};

struct l2_backend {
    const char *name;
    /* What --version prints: machines that print the same line give equal bits (native), or the
     * library and core that run (blas). */
    void (*describe)(char *out, size_t out_size);
    /* Packs parts[0..n_parts), at most L2_MAX_PARTS matrices of equal cols, one below the other, so
     * that one product computes all that have the same input. blas keeps F32 whatever opts say.
     * Owned by the caller, free with release. */
    int (*pack)(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                const struct l2_pack_opts *opts, struct l2_pool *pool, struct l2_err *err);
    void (*release)(struct l2_weight *w);
    /* Bytes of working memory that linear wants for m rows or fewer; 0 where it needs none. */
    size_t (*scratch)(const struct l2_weight *w, size_t m);
    /* y (m, rows) = x (m, cols) W^T, row-major. native: each element of y is summed in one fixed
     * order that depends on cols and the layout alone, so a row of y depends on its row of x and W
     * and on nothing else. scratch is aligned to 64. */
    void (*linear)(struct l2_pool *pool, float *y, const float *x, size_t m,
                   const struct l2_weight *w, void *scratch);
};

extern const struct l2_backend l2_backend_native;
extern const struct l2_backend l2_backend_blas; /* links OpenBLAS; only users of this symbol do */

#endif
