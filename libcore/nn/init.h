/* Random weights for new models, as a source for l2_model_write. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_INIT_H
#define L2_INIT_H

#include "model/model.h"
#include "util/pool.h"

/* Norms are 1. Matrices are normal with mean 0 and deviation std; those that end a residual branch
 * (O and DOWN) have std / sqrt(2 n_layers), so that the residual stream does not grow with depth;
 * label scores have 1 / sqrt(dim + 1).
 * A value depends on (seed, name of the tensor, place in it) alone: SHA-256 of the Hugging Face
 * name and the seed key Philox4x32-10, whose block b gives values 4b to 4b + 3 in row-major order
 * as two Box-Muller pairs (cosine, then sine) of its words, u = (word + 1/2) / 2^32. */
struct l2_init {
    const struct l2_hparams *hp; /* borrowed */
    uint64_t seed;
    double std;
    struct l2_pool *pool; /* borrowed; may be NULL */
};

/* l2_model_source's rows; arg is a struct l2_init. */
int l2_init_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                 float *out, struct l2_err *err);

#endif
