/* The row-wise operations of a Llama layer. Every result row depends on its own input row alone and
 * is summed in a fixed order. Formulas: Llama 2 (arXiv 2307.09288), section 2.2. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OPS_H
#define L2_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/hparams.h"

/* y[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i], for i < n. y may be x. */
void l2_rmsnorm_fwd(float *y, const float *x, const float *weight, size_t n, float eps);

/* Rotary position embedding. The angle of pair i < head_dim / 2 at position pos is pos *
 * frequency[i], frequency[i] = theta^(-2i/head_dim) over the model's scaling, in double by our own
 * functions. */
void l2_rope_frequencies(double *frequency, const struct l2_hparams *hp);
/* cos and sin (head_dim / 2) of one position's angles. */
void l2_rope_angles(float *cos, float *sin, uint32_t pos, const double *frequency, size_t head_dim);
/* Rotates n_heads heads of x (n_heads, head_dim) in place, pairs (i, i + head_dim/2), by one
 * position's angles. */
void l2_rope_fwd(float *x, size_t n_heads, size_t head_dim, const float *cos, const float *sin);

/* y[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)). y may be gate. */
void l2_swiglu_fwd(float *y, const float *gate, const float *up, size_t n);

/* x[i] += y[i] */
void l2_add_fwd(float *x, const float *y, size_t n);

/* y[i] = x[i] * factor. y may be x. */
void l2_scale_fwd(float *y, const float *x, size_t n, float factor);

/* max and log(sum(exp(x - max))) + max over n >= 1 logits, in double for the sum. False when a
 * logit is not finite. */
bool l2_logsumexp(const float *x, size_t n, float *max, double *lse);

/* Positions of a block of keys and values. */
#define L2_ATTEND_BLOCK 64

/* Floats from one position's value vector to the next's. */
static inline size_t l2_attend_stride(size_t head_dim)
{
    return (head_dim + 15) / 16 * 16;
}

/* Attention of queries over the first n positions of one block of keys and values, merged into a
 * running (m, l, o) by log-sum-exp. q (group, head_dim): queries that see the same n positions (the
 * heads that share this key/value head, of one row or several), scaled by the caller; k (head_dim,
 * L2_ATTEND_BLOCK), position j in column j; v (L2_ATTEND_BLOCK, l2_attend_stride(head_dim)); 1 <= n
 * <= L2_ATTEND_BLOCK; m, l (group); o (group, head_dim), not yet divided by l. What lies behind
 * position n - 1 is without effect. Start with m = -inf, l = 0, o = 0. */
void l2_attend_block(const float *q, size_t group, size_t head_dim, const float *k, const float *v,
                     size_t n, float *m, float *l, float *o);

#endif
