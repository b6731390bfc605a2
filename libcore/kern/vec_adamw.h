/* A step of AdamW on a row of values; see simd_set.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_ADAMW_H
#define L2_VEC_ADAMW_H

/* Correctly rounded, as sqrtf is. */
VEC_FN vf vec_sqrt(vf x)
{
#if L2_LANES == 16
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif L2_LANES == 8
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < L2_LANES; i++)
        x[i] = sqrtf(x[i]);
    return x;
#endif
}

VEC_FN void vec_adamw_lanes(float *p, float *g, float *m, float *v, const struct l2_adamw_rates *r)
{
    vf x = vec_load(g) * r->scale, a = vec_load(m), b = vec_load(v);
    a = a * r->beta1 + x * (1 - r->beta1);
    b = b * r->beta2 + x * x * (1 - r->beta2);
    vf move = a * r->correct1 / (vec_sqrt(b * r->correct2) + r->eps);
    vec_store(p, vec_load(p) * r->decay - move * r->lr);
    vec_store(g, (vf){0});
    vec_store(m, a);
    vec_store(v, b);
}

static L2_TARGET void vec_adamw(float *p, float *g, float *m, float *v, size_t n,
                                const struct l2_adamw_rates *r)
{
    size_t i = 0, left;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_adamw_lanes(p + i, g + i, m + i, v + i, r);
    left = n - i;
    if (left > 0) {
        float tail[4][16], *rows[4] = {p + i, g + i, m + i, v + i};
        for (int k = 0; k < 4; k++)
            vec_tail(tail[k], rows[k], left, 0);
        vec_adamw_lanes(tail[0], tail[1], tail[2], tail[3], r);
        for (int k = 0; k < 4; k++)
            memcpy(rows[k], tail[k], left * sizeof(float));
    }
}

#endif
