/* The row-wise operations of a Llama layer. Every result row depends on its own input row alone and
 * is summed in a fixed order. Formulas: Llama 2 (arXiv 2307.09288), section 2.2. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OPS_H
#define L2_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kern/kv_block.h"
#include "model/hparams.h"

/* y[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i], for i < n. y may be x. */
void l2_rmsnorm_fwd(float *y, const float *x, const float *weight, size_t n, float eps);
/* Adds the gradients to dx and dweight. */
void l2_rmsnorm_bwd(float *dx, float *dweight, const float *x, const float *weight, const float *dy,
                    size_t n, float eps);

/* Rotary position embedding. The angle of pair i < head_dim / 2 at position pos is pos *
 * frequency[i], frequency[i] = theta^(-2i/head_dim) over the model's scaling, in double by our own
 * functions. */
void l2_rope_frequencies(double *frequency, const struct l2_hparams *hp);
/* cos and sin (head_dim / 2) of one position's angles. */
void l2_rope_angles(float *cos, float *sin, uint32_t pos, const double *frequency, size_t head_dim);
/* Rotates n_heads heads of x (n_heads, head_dim) in place, pairs (i, i + head_dim/2), by one
 * position's angles. */
void l2_rope_fwd(float *x, size_t n_heads, size_t head_dim, const float *cos, const float *sin);
/* Turns the gradient of the rotated heads into that of x, in place. */
void l2_rope_bwd(float *dx, size_t n_heads, size_t head_dim, const float *cos, const float *sin);

/* y[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + exp(-v)). y may be gate. */
void l2_swiglu_fwd(float *y, const float *gate, const float *up, size_t n);
/* dgate may be gate, dup may be up. */
void l2_swiglu_bwd(float *dgate, float *dup, const float *gate, const float *up, const float *dy,
                   size_t n);

/* x[i] += y[i] */
void l2_add_fwd(float *x, const float *y, size_t n);

/* sum of x[i] y[i]; and dx[i] += d y[i], d the gradient of the product. */
float l2_dot_fwd(const float *x, const float *y, size_t n);
void l2_dot_bwd(float *dx, const float *y, float d, size_t n);

/* y[i] = x[i] * factor. y may be x. */
void l2_scale_fwd(float *y, const float *x, size_t n, float factor);

/* y[i] = x[i], bf16 values. */
void l2_from_bf16(float *y, const uint16_t *x, size_t n);

/* max and log(sum(exp(x - max))) + max over n >= 1 logits, in double for the sum. False when a
 * logit is not finite. */
bool l2_logsumexp(const float *x, size_t n, float *max, double *lse);

/* What is known of a row of n logits: log p(i) = logit i - max - log_sum. */
/* AdamW: m and v are the moments, p the values; g becomes 0. The same bits on all processors. */
struct l2_adamw_rates {
    float beta1, beta2, eps, lr;
    float scale;              /* of gradients */
    float correct1, correct2; /* of the moments' bias: 1 / (1 - beta^step) */
    float decay;              /* what is left of a value: 1 - lr * weight decay */
};
void l2_adamw_row(float *p, float *g, float *m, float *v, size_t n, const struct l2_adamw_rates *r);

struct l2_softmax_row {
    float max;
    double sum, log_sum; /* of exp(logit - max) */
    float entropy;       /* in nats */
};
/* Replaces the logits x by exp(x - max). Not finite where a logit is not. */
void l2_log_softmax_fwd(struct l2_softmax_row *out, float *x, size_t n);
/* After it: x becomes the gradient, with respect to the logits, of the sum of c(i) log p(i) over
 * some tokens i, but for the c(i) that the caller adds to x[i] himself; total is the sum of c. */
void l2_log_softmax_bwd(float *x, size_t n, const struct l2_softmax_row *row, float total);

/* Attention of queries over the first n positions of one block of keys and values, merged into a
 * running (m, l, o) by log-sum-exp. q (group, head_dim): queries that see the same n positions (the
 * heads that share this key/value head, of one row or several), scaled by the caller; keys and
 * values are taken as the floats that their type stands for; 1 <= n <= L2_KV_BLOCK; m, l (group); o
 * (group, head_dim), not yet divided by l. What lies behind position n - 1 is without effect. Start
 * with m = -inf, l = 0, o = 0. */
void l2_attend_block(const float *q, size_t group, size_t head_dim, const struct l2_kv_head *kv,
                     size_t n, float *m, float *l, float *o);

#endif
