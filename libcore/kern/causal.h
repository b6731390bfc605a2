/* Attention of whole runs of rows, for training: blocks of matrix products, never a whole matrix of
 * scores (FlashAttention, arXiv 2205.14135 and 2307.08691). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CAUSAL_H
#define L2_CAUSAL_H

#include <stddef.h>

struct l2_rows {
    size_t first, n;
};

/* One query head and its key/value head. Pointers are to row 0. */
struct l2_causal {
    size_t head_dim;
    size_t ld;     /* floats from row to row of q, k, v and their gradients */
    size_t ld_out; /* of out and dout */
    const float *q, *k, *v;
    float *out; /* softmax(q k^T / sqrt(head_dim)) v */
    float *lse; /* a value a row: log of the sum of exp of its scores */
    const float *dout;
    float *dq, *dk, *dv; /* gradients are added */
};

/* The rows of the last of n_seen runs attend to all rows of the other runs and, causally, to each
 * other. */
void l2_causal_fwd(const struct l2_causal *a, const struct l2_rows *seen, size_t n_seen);
/* After it, with out and lse as it left them. */
void l2_causal_bwd(const struct l2_causal *a, const struct l2_rows *seen, size_t n_seen);

#endif
