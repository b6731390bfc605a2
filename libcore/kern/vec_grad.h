/* Backward passes of the operations on single rows; see simd_set.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_GRAD_H
#define L2_VEC_GRAD_H

/* y = x / r, r = sqrt(mean(x^2) + eps), times weight. With g = dy weight: dx = (g - x mean(g x) /
 * r^2) / r. */
static L2_TARGET void vec_rmsnorm_bwd(float *dx, float *dweight, const float *x,
                                      const float *weight, const float *dy, size_t n, float eps)
{
    vf square[VEC_16] = {0}, dot[VEC_16] = {0};
    for (size_t i = 0; i < n; i += 16) {
        float tx[16], tw[16], td[16];
        size_t left = n - i < 16 ? n - i : 16;
        const float *px = x + i, *pw = weight + i, *pd = dy + i;
        if (left < 16) {
            vec_tail(tx, px, left, 0);
            vec_tail(tw, pw, left, 0);
            vec_tail(td, pd, left, 0);
            px = tx, pw = tw, pd = td;
        }
        for (int g = 0; g < VEC_16; g++) {
            vf v = vec_load(px + g * L2_LANES);
            square[g] += v * v;
            dot[g] += v * vec_load(pw + g * L2_LANES) * vec_load(pd + g * L2_LANES);
        }
    }
    float scale = 1.0f / sqrtf(vec_sum16(square) / (float)n + eps);
    float mean = vec_sum16(dot) / (float)n * scale * scale;
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES) {
        vf v = vec_load(x + i), d = vec_load(dy + i);
        vec_store(dx + i, vec_load(dx + i) + (d * vec_load(weight + i) - v * mean) * scale);
        vec_store(dweight + i, vec_load(dweight + i) + d * v * scale);
    }
    for (; i < n; i++) {
        dx[i] += (dy[i] * weight[i] - x[i] * mean) * scale;
        dweight[i] += dy[i] * x[i] * scale;
    }
}

/* The rotation by the opposite angle. */
static L2_TARGET void vec_rope_bwd(float *dx, size_t n_heads, size_t head_dim, const float *cos,
                                   const float *sin)
{
    size_t half = head_dim / 2;
    for (size_t h = 0; h < n_heads; h++) {
        float *a = dx + h * head_dim, *b = a + half;
        size_t i = 0;
        for (; i + L2_LANES <= half; i += L2_LANES) {
            vf c = vec_load(cos + i), s = vec_load(sin + i);
            vf u = vec_load(a + i), v = vec_load(b + i);
            vec_store(a + i, u * c + v * s);
            vec_store(b + i, v * c - u * s);
        }
        for (; i < half; i++) {
            float u = a[i], v = b[i];
            a[i] = u * cos[i] + v * sin[i];
            b[i] = v * cos[i] - u * sin[i];
        }
    }
}

/* y = gate s up, s = 1 / (1 + exp(-gate)). */
VEC_FN void vec_swiglu_bwd_one(vf *dgate, vf *dup, vf gate, vf up, vf dy)
{
    vf s = 1.0f / (1.0f + vec_exp(-gate));
    *dup = dy * (gate * s);
    *dgate = dy * up * s * (1.0f + gate * (1.0f - s));
}

static L2_TARGET void vec_swiglu_bwd(float *dgate, float *dup, const float *gate, const float *up,
                                     const float *dy, size_t n)
{
    vf dg, du;
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES) {
        vec_swiglu_bwd_one(&dg, &du, vec_load(gate + i), vec_load(up + i), vec_load(dy + i));
        vec_store(dgate + i, dg);
        vec_store(dup + i, du);
    }
    if (i < n) {
        float g[16], u[16], d[16];
        vec_tail(g, gate + i, n - i, 0);
        vec_tail(u, up + i, n - i, 0);
        vec_tail(d, dy + i, n - i, 0);
        vec_swiglu_bwd_one(&dg, &du, vec_load(g), vec_load(u), vec_load(d));
        vec_store(g, dg);
        vec_store(u, du);
        memcpy(dgate + i, g, (n - i) * sizeof *g);
        memcpy(dup + i, u, (n - i) * sizeof *u);
    }
}

/* ds = p (dp - d) factor */
static L2_TARGET void vec_softmax_bwd(float *ds, const float *p, const float *dp, size_t n, float d,
                                      float factor)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(ds + i, vec_load(p + i) * (vec_load(dp + i) - d) * factor);
    for (; i < n; i++)
        ds[i] = p[i] * (dp[i] - d) * factor;
}

static L2_TARGET void vec_bf16_row(float *y, const uint16_t *x, size_t n)
{
    size_t i = 0;
    for (; i + L2_LANES <= n; i += L2_LANES)
        vec_store(y + i, vec_from_bf16(x + i));
    for (; i < n; i++) {
        uint32_t u = (uint32_t)x[i] << 16;
        memcpy(y + i, &u, sizeof u);
    }
}

static L2_TARGET float vec_dot(const float *x, const float *y, size_t n)
{
    vf sum[VEC_16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int g = 0; g < VEC_16; g++)
            sum[g] += vec_load(x + i + g * L2_LANES) * vec_load(y + i + g * L2_LANES);
    if (i < n) {
        float a[16], b[16];
        vec_tail(a, x + i, n - i, 0);
        vec_tail(b, y + i, n - i, 0);
        for (int g = 0; g < VEC_16; g++)
            sum[g] += vec_load(a + g * L2_LANES) * vec_load(b + g * L2_LANES);
    }
    return vec_sum16(sum);
}

#define VEC_EXP_STEP 256 /* values summed in float before they go into a double */

static L2_TARGET double vec_exp_sum(float *y, const float *x, size_t n, float shift, double *moment)
{
    double total = 0, first = 0;
    for (size_t i = 0; i < n; i += VEC_EXP_STEP) {
        size_t end = n - i < VEC_EXP_STEP ? n : i + VEC_EXP_STEP;
        vf sum[VEC_16] = {0}, by[VEC_16] = {0};
        for (size_t j = i; j < end; j += 16) {
            float t[16];
            const float *p = x + j;
            float *out = y + j;
            if (end - j < 16) {
                vec_tail(t, p, end - j, shift - 200.0f);
                p = out = t;
            }
            for (int g = 0; g < VEC_16; g++) {
                vf z = vec_load(p + g * L2_LANES) - shift;
                vf e = vec_exp(z);
                vec_store(out + g * L2_LANES, e);
                sum[g] += e;
                by[g] += e * z;
            }
            if (out == t)
                memcpy(y + j, t, (end - j) * sizeof *t);
        }
        total += (double)vec_sum16(sum);
        first += (double)vec_sum16(by);
    }
    if (moment)
        *moment = first;
    return total;
}

#endif
