/* The row-wise operations of a Llama layer. Every result row depends on its own input row alone and is
 * summed in a fixed order. Formulas: Llama 2 (arXiv 2307.09288), section 2.2. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OPS_H
#define L2_OPS_H

#include <stddef.h>
#include <stdint.h>

/* y[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i], for i < n. y may be x. */
void l2_rmsnorm_fwd(float *y, const float *x, const float *weight, size_t n, float eps);

/* Rotary position embedding: fills cos and sin, each (n_positions, head_dim / 2), with the angles
 * pos * theta^(-2i/head_dim), computed in double by our own functions. */
void l2_rope_table(float *cos, float *sin, size_t n_positions, size_t head_dim, double theta);
/* Rotates n_heads heads of x (n_heads, head_dim) in place, pairs (i, i + head_dim/2), with one
 * position's row of the tables. */
void l2_rope_fwd(float *x, size_t n_heads, size_t head_dim, const float *cos, const float *sin);

/* gate[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)). */
void l2_swiglu_fwd(float *gate, const float *up, size_t n);

/* x[i] += y[i] */
void l2_add_fwd(float *x, const float *y, size_t n);

/* max and log(sum(exp(x - max))) + max over n logits, in double for the sum. False when a logit is not
 * finite. */
int l2_logsumexp(const float *x, size_t n, float *max, double *lse);

/* Attention of the query heads of one row over one block of keys and values, merged into a running
 * (m, l, o) by log-sum-exp.
 * q (group, head_dim): the query heads that share this key/value head, scaled by the caller;
 * k, v (n, head_dim), n <= 64; m, l (group); o (group, head_dim), not yet divided by l.
 * Start with m = -inf, l = 0, o = 0. */
void l2_attend_block(const float *q, size_t group, size_t head_dim, const float *k, const float *v,
                     size_t n, float *m, float *l, float *o);

#endif
