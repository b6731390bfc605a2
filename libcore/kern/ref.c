/* The operations as plain loops in double: the formulas and nothing else. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/ref.h"

#include <math.h>

void l2_ref_linear(double *y, const float *x, size_t m, const float *w, size_t rows, size_t cols)
{
    for (size_t i = 0; i < m; i++)
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t k = 0; k < cols; k++)
                sum += (double)x[i * cols + k] * w[r * cols + k];
            y[i * rows + r] = sum;
        }
}

void l2_ref_rmsnorm(double *y, const float *x, const float *weight, size_t n, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(sum / (double)n + eps) * weight[i];
}

void l2_ref_rope(double *y, const float *x, size_t n_heads, size_t head_dim, size_t pos,
                 double theta)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < n_heads; h++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)pos * pow(theta, -2.0 * (double)i / (double)head_dim);
            double a = x[h * head_dim + i], b = x[h * head_dim + half + i];
            y[h * head_dim + i] = a * cos(angle) - b * sin(angle);
            y[h * head_dim + half + i] = b * cos(angle) + a * sin(angle);
        }
}

void l2_ref_swiglu(double *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + exp(-(double)gate[i])) * up[i];
}

double l2_ref_logsumexp(const float *x, size_t n)
{
    double max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

/* Two passes over the keys: the largest score, then everything else. */
void l2_ref_attend(double *o, const float *q, const float *k, const float *v, size_t n,
                   size_t head_dim)
{
    double max = -INFINITY, sum = 0;
    for (size_t d = 0; d < head_dim; d++)
        o[d] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < n; j++) {
            double score = 0;
            for (size_t d = 0; d < head_dim; d++)
                score += (double)q[d] * k[j * head_dim + d];
            if (pass == 0) {
                max = score > max ? score : max;
                continue;
            }
            sum += exp(score - max);
            for (size_t d = 0; d < head_dim; d++)
                o[d] += exp(score - max) * v[j * head_dim + d];
        }
    for (size_t d = 0; d < head_dim; d++)
        o[d] /= sum;
}
