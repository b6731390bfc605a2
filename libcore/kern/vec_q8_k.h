/* Products of weights and activations that both have 8 bits and one scale for 256 columns: included
 * by each q8_*.c after vec_q8.h.
 *
 * The sum over a superblock of 256 columns is one of integers, so in any order; then y += (scale *
 * s) * sum, superblock after superblock. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_Q8_K_H
#define L2_VEC_Q8_K_H

#include "kern/vec_q8.h"

#define Q8_K_GROUPS (L2_SUM_BLOCK / 4)
#define Q8_K_STRIPE (L2_Q8_K_QUANTS + 16 * L2_SUM_BLOCK)

/* Few rows have sums of their own for every so many groups, as one product waits for the one before
 * it in the same sum. */
#define Q8_K_CHAINS(M) ((M) <= 2 ? 4 : (M) <= 4 ? 2 : 1)

/* One superblock of 16 rows of W and M rows of x. */
VEC_FN void q8_k_stripe(float *y, size_t width, const int32_t *x, const uint8_t *w, bool add,
                        const int M)
{
    const size_t rows = (size_t)M;
    const float *s = (const float *)(const void *)(x + Q8_K_GROUPS * rows);
    const int32_t *less = (const int32_t *)(const void *)(s + rows);
    VEC_UNROLL
    for (int g = 0; g < VEC_16; g++) {
        const uint8_t *quants = w + L2_Q8_K_QUANTS + (size_t)g * 4 * L2_LANES;
        vi sum[4][NARROW_HEIGHT] = {{{0}}};
        if (M > NARROW_STREAM && g == 0)
            narrow_ahead(w + 2 * Q8_K_STRIPE);
        for (size_t first = 0; first < Q8_K_GROUPS; first += 8) {
            VEC_UNROLL
            for (size_t j = 0; j < 8; j++) {
                size_t group = first + j;
                vi v = q8_load(quants + group * 64);
                if (Q8_SIGNED(Q8_FORM_Q8_K))
                    v ^= (int32_t)0x80808080;
                if (M > NARROW_STREAM && g == 0)
                    narrow_ahead(quants + group * 64 + 2 * Q8_K_STRIPE);
                VEC_UNROLL
                for (int i = 0; i < M; i++)
                    sum[j % Q8_K_CHAINS(M)][i] =
                        q8_dot(sum[j % Q8_K_CHAINS(M)][i], v, x[group * rows + (size_t)i],
                               Q8_SIGNED(Q8_FORM_Q8_K));
            }
        }
        vf scale = vec_load((const float *)(const void *)w + g * L2_LANES);
        VEC_UNROLL
        for (int i = 0; i < M; i++) {
            float *p = y + (size_t)i * width + g * L2_LANES;
            vi all = sum[0][i];
            VEC_UNROLL
            for (int c = 1; c < 4; c++)
                all += sum[c][i];
            if (!Q8_SIGNED(Q8_FORM_Q8_K))
                all += less[i];
            vf v = __builtin_convertvector(all, vf) * (scale * s[i]);
            vec_store(p, add ? vec_load(p) + v : v);
        }
    }
}

#define Q8_K_DEFINE(m)                                                                             \
    static L2_TARGET void q8_k_##m(float *y, size_t width, const int32_t *x, const uint8_t *w,     \
                                   bool add)                                                       \
    {                                                                                              \
        q8_k_stripe(y, width, x, w, add, m);                                                       \
    }
Q8_K_DEFINE(1)
Q8_K_DEFINE(2)
Q8_K_DEFINE(3)
Q8_K_DEFINE(4)
#if NARROW_HEIGHT > 4
Q8_K_DEFINE(5)
Q8_K_DEFINE(6)
Q8_K_DEFINE(7)
Q8_K_DEFINE(8)
Q8_K_DEFINE(9)
Q8_K_DEFINE(10)
Q8_K_DEFINE(11)
Q8_K_DEFINE(12)
#endif

static void (*const q8_k_rows[NARROW_HEIGHT])(float *, size_t, const int32_t *, const uint8_t *,
                                              bool) = {
    q8_k_1, q8_k_2, q8_k_3, q8_k_4,
#if NARROW_HEIGHT > 4
    q8_k_5, q8_k_6, q8_k_7, q8_k_8, q8_k_9, q8_k_10, q8_k_11, q8_k_12,
#endif
};

static void q8_k_sums(float *sums, const struct l2_tiles *t, const struct l2_panel *p)
{
    const uint8_t *w = p->data;
    for (size_t k = 0; k < p->cols; k += L2_SUM_BLOCK)
        for (size_t j = 0; j < p->width; j += 16, w += Q8_K_STRIPE)
            for (size_t i = 0; i < t->m; i += t->height) {
                size_t rows = t->m - i < t->height ? t->m - i : t->height;
                const char *x = t->data + i * t->row_bytes + rows * l2_q8_k_row_bytes(k);
                q8_k_rows[rows - 1](sums + i * p->width + j, p->width,
                                    (const int32_t *)(const void *)x, w, k > 0);
            }
}

static void q8_k_panel(float *y, size_t ldy, const struct l2_tiles *t, const struct l2_panel *p)
{
    narrow_panel(y, ldy, t, p, q8_k_sums);
}

static L2_TARGET void q8_k_tile(char *out, const float *x, size_t m, size_t cols)
{
    for (size_t k = 0; k < cols; k += L2_SUM_BLOCK) {
        int32_t *o = (int32_t *)(void *)(out + m * l2_q8_k_row_bytes(k));
        float *scale = (float *)(void *)(o + Q8_K_GROUPS * m);
        int32_t *less = (int32_t *)(void *)(scale + m);
        for (size_t i = 0; i < m; i++) {
            int8_t q[L2_SUM_BLOCK];
            int32_t s[L2_SUM_BLOCK / 16], sum = 0;
            scale[i] = q8_block(q, x + i * cols + k, L2_SUM_BLOCK, s);
            for (size_t j = 0; j < L2_SUM_BLOCK / 16; j++)
                sum += s[j];
            for (size_t j = 0; j < Q8_K_GROUPS; j++)
                memcpy(o + j * m + i, q + 4 * j, 4);
            less[i] = -128 * sum;
        }
    }
}

const struct l2_narrow Q8_K_SET = {
    .name = Q8_NAME, .tile = q8_k_tile, .panel = q8_k_panel, .height = NARROW_HEIGHT};

#endif
