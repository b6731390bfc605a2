/* The operations as plain loops in double, which the tests compare the kernels with. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_REF_H
#define L2_REF_H

#include <stddef.h>

/* y (m, rows) = x (m, cols) w (rows, cols)^T */
void l2_ref_linear(double *y, const float *x, size_t m, const float *w, size_t rows, size_t cols);
void l2_ref_rmsnorm(double *y, const float *x, const float *weight, size_t n, double eps);
/* x (n_heads, head_dim) rotated to position pos. */
void l2_ref_rope(double *y, const float *x, size_t n_heads, size_t head_dim, size_t pos,
                 double theta);
void l2_ref_swiglu(double *y, const float *gate, const float *up, size_t n);
double l2_ref_logsumexp(const float *x, size_t n);
/* o (head_dim) = softmax(q k^T) v for one scaled query; k, v (n, head_dim). */
void l2_ref_attend(double *o, const float *q, const float *k, const float *v, size_t n,
                   size_t head_dim);

#endif
