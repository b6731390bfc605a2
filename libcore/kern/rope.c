/* Rotary position embedding. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/math.h"
#include "kern/ops.h"
#include "kern/simd.h"

void l2_rope_frequencies(double *frequency, const struct l2_hparams *hp)
{
    double log_theta = l2_log(hp->rope_theta);
    for (uint32_t i = 0; i < hp->head_dim / 2; i++) {
        double f = l2_exp(-2.0 * i / hp->head_dim * log_theta);
        frequency[i] = f / l2_rope_divisor(hp, i, f);
    }
}

void l2_rope_angles(float *cos, float *sin, uint32_t pos, const double *frequency, size_t head_dim)
{
    for (size_t i = 0; i < head_dim / 2; i++) {
        double s, c;
        l2_sincos(pos * frequency[i], &s, &c);
        cos[i] = (float)c;
        sin[i] = (float)s;
    }
}

void l2_rope_fwd(float *x, size_t n_heads, size_t head_dim, const float *cos, const float *sin)
{
    l2_simd_best()->rope(x, n_heads, head_dim, cos, sin);
}

void l2_rope_bwd(float *dx, size_t n_heads, size_t head_dim, const float *cos, const float *sin)
{
    l2_simd_best()->rope_bwd(dx, n_heads, head_dim, cos, sin);
}
