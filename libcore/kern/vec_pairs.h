/* Products of bf16 pairs, summed in f32: included once by each pairs_*.c, which has defined
 * L2_LANES, L2_TARGET, PAIRS_SET and PAIRS_NAME, and PAIRS_DOT where there is an instruction. The
 * sum of a lane takes a pair's second product, then its first, rounds after each, and is 0 where it
 * would be subnormal: what VDPBF16PS does. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_PAIRS_H
#define L2_VEC_PAIRS_H

#include <stdint.h>

#include "kern/vec_narrow.h"

#ifndef PAIRS_DOT
/* v, or 0 (of its sign) where it is subnormal. */
VEC_FN vf pairs_flush(vf v)
{
    vu bits = (vu)v;
    vi tiny = (vi)((bits & 0x7fffffff) < 0x00800000);
    return (vf)(bits & ~((vu)tiny & 0x7fffffff));
}

VEC_FN vf pairs_dot(vf sum, vu w, uint32_t x)
{
    /* products of bf16 values are exact: fused or not is the same */
    vf first = (vf)(w << 16), second = (vf)(w & 0xffff0000);
    vu xs = (vu)vec_set(0) + x;
    sum = pairs_flush(vec_fma(second, (vf)(xs & 0xffff0000), sum));
    return pairs_flush(vec_fma(first, (vf)(xs << 16), sum));
}
#    define PAIRS_DOT pairs_dot
#endif

typedef uint32_t vu_mem __attribute__((vector_size(4 * L2_LANES), aligned(4), may_alias));

/* n pairs of columns of M rows and NV vectors of lanes of a panel of width columns. */
VEC_FN void pairs_stripe(float *y, size_t width, const uint32_t *x, const uint32_t *w, size_t n,
                         bool add, const int M, const int NV)
{
    vf acc[NARROW_HEIGHT][4] = {0};
    for (size_t k = 0; k < n; k++) {
        vu b[4];
        VEC_UNROLL
        for (int j = 0; j < NV; j++) {
            const uint32_t *p = w + k * width + (size_t)j * L2_LANES;
            b[j] = *(const vu_mem *)p;
            if (M > NARROW_STREAM && NV * L2_LANES < L2_PANEL && j * L2_LANES % 16 == 0)
                narrow_ahead(p + n * width);
        }
        VEC_UNROLL
        for (int i = 0; i < M; i++) {
            uint32_t a = x[k * (size_t)M + (size_t)i];
            VEC_UNROLL
            for (int j = 0; j < NV; j++)
                acc[i][j] = PAIRS_DOT(acc[i][j], b[j], a);
        }
    }
    VEC_UNROLL
    for (int i = 0; i < M; i++) {
        VEC_UNROLL
        for (int j = 0; j < NV; j++) {
            float *p = y + (size_t)i * width + j * L2_LANES;
            vec_store(p, add ? vec_load(p) + acc[i][j] : acc[i][j]);
        }
    }
}

#if L2_LANES == 16
#    define PAIRS_NV(m) ((m) <= 6 ? 4 : 2)
#else
#    define PAIRS_NV(m) 2
#endif

#define PAIRS_DEFINE(m)                                                                            \
    static L2_TARGET void pairs_rows_##m(float *y, size_t width, const uint32_t *x,                \
                                         const uint32_t *w, size_t n, bool add)                    \
    {                                                                                              \
        size_t j = 0;                                                                              \
        for (; j + PAIRS_NV(m) * L2_LANES <= width; j += PAIRS_NV(m) * L2_LANES)                   \
            pairs_stripe(y + j, width, x, w + j, n, add, m, PAIRS_NV(m));                          \
        for (; j < width; j += 16)                                                                 \
            pairs_stripe(y + j, width, x, w + j, n, add, m, VEC_16);                               \
    }
PAIRS_DEFINE(1)
PAIRS_DEFINE(2)
PAIRS_DEFINE(3)
PAIRS_DEFINE(4)
#if NARROW_HEIGHT > 4
PAIRS_DEFINE(5)
PAIRS_DEFINE(6)
PAIRS_DEFINE(7)
PAIRS_DEFINE(8)
PAIRS_DEFINE(9)
PAIRS_DEFINE(10)
PAIRS_DEFINE(11)
PAIRS_DEFINE(12)
#endif

static void (*const pairs_rows[])(float *, size_t, const uint32_t *, const uint32_t *, size_t,
                                  bool) = {
    pairs_rows_1,  pairs_rows_2,  pairs_rows_3, pairs_rows_4,
#if NARROW_HEIGHT > 4
    pairs_rows_5,  pairs_rows_6,  pairs_rows_7, pairs_rows_8, pairs_rows_9,
    pairs_rows_10, pairs_rows_11, pairs_rows_12
#endif
};

static L2_TARGET void pairs_sums(float *sums, const struct l2_tiles *t, const struct l2_panel *p)
{
    size_t n_pairs = ((size_t)p->cols + 1) / 2, step = L2_SUM_BLOCK / 2;
    for (size_t k = 0; k < n_pairs; k += step) {
        size_t n = n_pairs - k < step ? n_pairs - k : step;
        const uint32_t *w = (const uint32_t *)p->data + k * p->width;
        for (size_t i = 0; i < t->m; i += t->height) {
            size_t rows = t->m - i < t->height ? t->m - i : t->height;
            const uint32_t *x = (const uint32_t *)(const void *)(t->data + i * t->row_bytes);
            pairs_rows[rows - 1](sums + i * p->width, p->width, x + k * rows, w, n, k > 0);
        }
    }
}

static void pairs_panel(float *y, size_t ldy, const struct l2_tiles *t, const struct l2_panel *p)
{
    narrow_panel(y, ldy, t, p, pairs_sums);
}

/* Rounds to bf16, nearest even, in the high half; subnormals become 0 and NaN stays NaN. */
VEC_FN vu pairs_round(vu bits)
{
    vu size = bits & 0x7fffffff;
    vu rounded = bits + 0x7fff + (bits >> 16 & 1);
    vu nan = (vu)(size > 0x7f800000), tiny = (vu)(size < 0x00800000);
    rounded = (rounded & ~nan) | ((bits | 0x00400000) & nan);
    return rounded & ~(tiny & 0x7fffffff) & 0xffff0000;
}

static L2_TARGET void pairs_tile(char *out, const float *x, size_t m, size_t cols)
{
    uint32_t *o = (uint32_t *)(void *)out;
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < cols; k += 16) {
            float t[16];
            uint32_t r[16];
            size_t n = cols - k < 16 ? cols - k : 16;
            const float *p = x + i * cols + k;
            if (n < 16) {
                vec_tail(t, p, n, 0);
                p = t;
            }
            for (int g = 0; g < VEC_16; g++)
                *(vu_mem *)(r + g * L2_LANES) = pairs_round((vu)vec_load(p + g * L2_LANES));
            for (size_t j = 0; j < (n + 1) / 2; j++)
                o[(k / 2 + j) * m + i] = r[2 * j] >> 16 | r[2 * j + 1];
        }
}

const struct l2_narrow PAIRS_SET = {
    .name = PAIRS_NAME, .tile = pairs_tile, .panel = pairs_panel, .height = NARROW_HEIGHT};

#endif
