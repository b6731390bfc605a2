/* Operations on single rows; see simd_set.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_ROWS_H
#define L2_VEC_ROWS_H

static L2_TARGET void vec_rmsnorm(float *y, const float *x, const float *weight, size_t n,
                                  float eps)
{
    vf sum[VEC_16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int g = 0; g < VEC_16; g++) {
            vf v = vec_load(x + i + g * L2_LANES);
            sum[g] += v * v;
        }
    if (i < n) {
        float t[16];
        vec_tail(t, x + i, n - i, 0);
        for (int g = 0; g < VEC_16; g++) {
            vf v = vec_load(t + g * L2_LANES);
            sum[g] += v * v;
        }
    }
    float scale = 1.0f / sqrtf(vec_sum16(sum) / (float)n + eps);
    for (i = 0; i + L2_LANES <= n; i += L2_LANES)
        vec_store(y + i, vec_load(x + i) * scale * vec_load(weight + i));
    for (; i < n; i++)
        y[i] = x[i] * scale * weight[i];
}

static L2_TARGET void vec_rope(float *x, size_t n_heads, size_t head_dim, const float *cos,
                               const float *sin)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < n_heads; h++) {
        float *a = x + h * head_dim, *b = a + half;
        size_t i = 0;
        for (; i + L2_LANES <= half; i += L2_LANES) {
            vf c = vec_load(cos + i), s = vec_load(sin + i);
            vf u = vec_load(a + i), v = vec_load(b + i);
            vec_store(a + i, u * c - v * s);
            vec_store(b + i, v * c + u * s);
        }
        for (; i < half; i++) {
            float u = a[i], v = b[i];
            a[i] = u * cos[i] - v * sin[i];
            b[i] = v * cos[i] + u * sin[i];
        }
    }
}

VEC_FN vf vec_silu_times(vf gate, vf up)
{
    return gate / (1.0f + vec_exp(-gate)) * up;
}

static L2_TARGET void vec_swiglu(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(y + i, vec_silu_times(vec_load(gate + i), vec_load(up + i)));
    if (i < n) {
        float g[16], u[16];
        vec_tail(g, gate + i, n - i, 0);
        vec_tail(u, up + i, n - i, 0);
        vec_store(g, vec_silu_times(vec_load(g), vec_load(u)));
        memcpy(y + i, g, (n - i) * sizeof *y);
    }
}

static L2_TARGET void vec_add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(x + i, vec_load(x + i) + vec_load(y + i));
    for (; i < n; i++)
        x[i] += y[i];
}

static L2_TARGET void vec_scale(float *y, const float *x, size_t n, float factor)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(y + i, vec_load(x + i) * factor);
    for (; i < n; i++)
        y[i] = x[i] * factor;
}

static L2_TARGET void vec_expf_row(float *y, const float *x, size_t n, float shift)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(y + i, vec_exp(vec_load(x + i) - shift));
    if (i < n) {
        float t[16];
        vec_tail(t, x + i, n - i, shift);
        vec_store(t, vec_exp(vec_load(t) - shift));
        memcpy(y + i, t, (n - i) * sizeof *y);
    }
}

/* v - v is NaN where v is not finite, and a sum of zeros else. */
static L2_TARGET float vec_max(const float *x, size_t n)
{
    vf high[VEC_16], odd[VEC_16] = {0};
    for (int g = 0; g < VEC_16; g++)
        high[g] = vec_set(-INFINITY);
    for (size_t i = 0; i < n; i += 16) {
        float t[16];
        const float *p = x + i;
        if (n - i < 16) {
            vec_tail(t, p, n - i, *p);
            p = t;
        }
        for (int g = 0; g < VEC_16; g++) {
            vf v = vec_load(p + g * L2_LANES);
            high[g] = vec_larger(v, high[g]);
            odd[g] += v - v;
        }
    }
    return vec_max16(high) + vec_sum16(odd);
}

typedef float vf_half __attribute__((vector_size(2 * L2_LANES), aligned(4), may_alias));
typedef double vd __attribute__((vector_size(4 * L2_LANES)));

static L2_TARGET double vec_sum_exp(const float *x, size_t n, float shift)
{
    vd sum[2 * VEC_16] = {0};
    for (size_t i = 0; i < n; i += 16) {
        float t[16];
        if (n - i < 16)
            vec_tail(t, x + i, n - i, -INFINITY);
        else
            memcpy(t, x + i, sizeof t);
        for (int g = 0; g < VEC_16; g++)
            vec_store(t + g * L2_LANES, vec_exp(vec_load(t + g * L2_LANES) - shift));
        for (int g = 0; g < 2 * VEC_16; g++)
            sum[g] += __builtin_convertvector(*(const vf_half *)(t + g * (L2_LANES / 2)), vd);
    }
    double total = 0;
    for (int g = 0; g < 2 * VEC_16; g++)
        for (int i = 0; i < L2_LANES / 2; i++)
            total += sum[g][i];
    return total;
}

#endif
