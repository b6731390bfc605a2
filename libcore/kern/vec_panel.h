/* Products of a few rows with a panel of a packed matrix; see simd_set.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_PANEL_H
#define L2_VEC_PANEL_H

#define VEC_TILE   6 /* rows at once at most */
#define VEC_DIRECT 3 /* tiles that expand 16-bit weights for themselves at most */

/* Bytes of a value. */
VEC_FN size_t vec_size(enum l2_layout layout)
{
    return layout == L2_LAYOUT_F32 ? 4 : layout == L2_LAYOUT_S8 ? 1 : 2;
}

/* Values i, i + 1, ... of w. */
VEC_FN vf vec_weights(const void *w, size_t i, enum l2_layout layout)
{
    switch (layout) {
    case L2_LAYOUT_F16:
        return vec_from_f16((const uint16_t *)w + i);
    case L2_LAYOUT_BF16:
        return vec_from_bf16((const uint16_t *)w + i);
    case L2_LAYOUT_S8:
        return vec_from_s8((const int8_t *)w + i);
    default:
        return vec_load((const float *)w + i);
    }
}

/* y[i][j] = sum over k < n of x[i][k] w[k][j], or that added to y where add is set, for i < M and
 * one stripe of NV vectors: each sum is a lane of an accumulator of its own, so that its order is
 * that of k whatever M and NV are. */
VEC_FN void vec_stripe(float *y, size_t ldy, const float *x, size_t ldx, const void *w, size_t ldw,
                       size_t n, bool add, enum l2_layout layout, const int M, const int NV)
{
    vf acc[VEC_TILE][8] = {0};
    for (size_t k = 0; k < n; k++) {
        vf b[8];
        VEC_UNROLL
        for (int j = 0; j < NV; j++)
            b[j] = vec_weights(w, k * ldw + (size_t)j * L2_LANES, layout);
        VEC_UNROLL
        for (int i = 0; i < M; i++) {
            float a = x[(size_t)i * ldx + k];
            VEC_UNROLL
            for (int j = 0; j < NV; j++)
                acc[i][j] = vec_mul_add(a, b[j], acc[i][j]);
        }
    }
    VEC_UNROLL
    for (int i = 0; i < M; i++) {
        VEC_UNROLL
        for (int j = 0; j < NV; j++) {
            float *p = y + (size_t)i * ldy + j * L2_LANES;
            vec_store(p, add ? vec_load(p) + acc[i][j] : acc[i][j]);
        }
    }
}

/* The stripes of a panel of width columns, a multiple of 16: NV vectors each, as many as leave room
 * in the registers for M rows of sums, and narrow ones for the rest. */
VEC_FN void vec_stripes(float *y, size_t ldy, const float *x, size_t ldx, const void *w, size_t ldw,
                        size_t width, size_t n, bool add, enum l2_layout layout, const int M,
                        const int NV)
{
    const size_t wide = (size_t)NV * L2_LANES;
    size_t size = vec_size(layout), j = 0;
    for (; j + wide <= width; j += wide)
        vec_stripe(y + j, ldy, x, ldx, (const char *)w + j * size, ldw, n, add, layout, M, NV);
    for (; j < width; j += 16)
        vec_stripe(y + j, ldy, x, ldx, (const char *)w + j * size, ldw, n, add, layout, M, VEC_16);
}

/* Vectors a stripe: with 32 registers 24 sums, with 16 registers 8 to 12. */
#if L2_LANES == 16
#    define VEC_NV(m) 4
#else
#    define VEC_NV(m) ((m) == 1 ? 8 : (m) <= 3 ? 4 : 2)
#endif

#define VEC_DEFINE_TILE(type, m)                                                                   \
    static L2_TARGET void vec_tile_##type##_##m(float *y, size_t ldy, const float *x, size_t ldx,  \
                                                const void *w, size_t ldw, size_t width, size_t n, \
                                                bool add)                                          \
    {                                                                                              \
        vec_stripes(y, ldy, x, ldx, w, ldw, width, n, add, L2_LAYOUT_##type, m, VEC_NV(m));        \
    }
#define VEC_DEFINE_TILES(type)                                                                     \
    VEC_DEFINE_TILE(type, 1)                                                                       \
    VEC_DEFINE_TILE(type, 2)                                                                       \
    VEC_DEFINE_TILE(type, 3)                                                                       \
    VEC_DEFINE_TILE(type, 4)                                                                       \
    VEC_DEFINE_TILE(type, 5)                                                                       \
    VEC_DEFINE_TILE(type, 6)
#define VEC_TILES(type)                                                                            \
    {                                                                                              \
        vec_tile_##type##_1, vec_tile_##type##_2, vec_tile_##type##_3, vec_tile_##type##_4,        \
            vec_tile_##type##_5, vec_tile_##type##_6                                               \
    }
VEC_DEFINE_TILES(F32)
VEC_DEFINE_TILES(F16)
VEC_DEFINE_TILES(BF16)
VEC_DEFINE_TILES(S8)

/* y (m, width) = x (m, n) w (n, width), or added to y; m <= VEC_TILE. */
static L2_TARGET void vec_tile(size_t m, float *y, size_t ldy, const float *x, size_t ldx,
                               const void *w, enum l2_layout layout, size_t ldw, size_t width,
                               size_t n, bool add)
{
    static void (*const tiles[][VEC_TILE])(float *, size_t, const float *, size_t, const void *,
                                           size_t, size_t, size_t,
                                           bool) = {[L2_LAYOUT_F32] = VEC_TILES(F32),
                                                    [L2_LAYOUT_F16] = VEC_TILES(F16),
                                                    [L2_LAYOUT_BF16] = VEC_TILES(BF16),
                                                    [L2_LAYOUT_S8] = VEC_TILES(S8)};
    tiles[layout][m - 1](y, ldy, x, ldx, w, ldw, width, n, add);
}

static L2_TARGET void vec_expand(float *out, const void *w, size_t n, enum l2_layout layout)
{
    if (layout == L2_LAYOUT_F16)
        for (size_t i = 0; i < n; i += L2_LANES)
            vec_store(out + i, vec_from_f16((const uint16_t *)w + i));
    else
        for (size_t i = 0; i < n; i += L2_LANES)
            vec_store(out + i, vec_from_bf16((const uint16_t *)w + i));
}

/* One block of columns of x (m, ldx) with the n * width weights w, in tiles of about equal height.
 * 16-bit weights are expanded once for all tiles where they are more than VEC_DIRECT, else by each.
 */
static L2_TARGET void vec_panel_block(float *y, size_t ldy, const float *x, size_t ldx, size_t m,
                                      const void *w, enum l2_layout layout, size_t width, size_t n,
                                      bool add)
{
    float expanded[L2_SUM_BLOCK * L2_PANEL] __attribute__((aligned(64)));
    size_t left = (m + VEC_TILE - 1) / VEC_TILE;
    if (layout != L2_LAYOUT_F32 && left > VEC_DIRECT) {
        vec_expand(expanded, w, n * width, layout);
        w = expanded;
        layout = L2_LAYOUT_F32;
    }
    for (size_t i = 0; i < m; left--) {
        size_t rows = (m - i + left - 1) / left;
        vec_tile(rows, y + i * ldy, ldy, x + i * ldx, ldx, w, layout, width, width, n, add);
        i += rows;
    }
}

/* Columns [k, k + n) of a panel for m rows of x; quantised ones are expanded first. */
static L2_TARGET void vec_panel_columns(float *y, size_t ldy, const float *x, size_t m,
                                        const struct l2_panel *p, size_t k, size_t n)
{
    float expanded[L2_SUM_BLOCK * L2_PANEL] __attribute__((aligned(64)));
    if (l2_layout_quantised(p->layout)) {
        l2_layout_expand(expanded, p, k, n);
        vec_panel_block(y, ldy, x + k, p->cols, m, expanded, L2_LAYOUT_F32, p->width, n, k > 0);
    } else {
        vec_panel_block(y, ldy, x + k, p->cols, m,
                        (const char *)p->data + k * p->width * vec_size(p->layout), p->layout,
                        p->width, n, k > 0);
    }
}

/* A panel with padding has its sums in a buffer first, so many rows at a time. */
#define VEC_PADDED (4 * VEC_TILE)

static L2_TARGET void vec_panel(float *y, size_t ldy, const float *x, size_t m,
                                const struct l2_panel *p)
{
    float sums[VEC_PADDED * L2_PANEL];
    bool padded = p->valid < p->width;
    size_t step = padded ? VEC_PADDED : m;
    for (size_t i = 0; i < m; i += step) {
        size_t rows = m - i < step ? m - i : step;
        for (size_t k = 0; k < p->cols; k += L2_SUM_BLOCK) {
            size_t n = p->cols - k < L2_SUM_BLOCK ? p->cols - k : L2_SUM_BLOCK;
            vec_panel_columns(padded ? sums : y + i * ldy, padded ? p->width : ldy, x + i * p->cols,
                              rows, p, k, n);
        }
        for (size_t r = 0; padded && r < rows; r++)
            memcpy(y + (i + r) * ldy, sums + r * p->width, p->valid * sizeof *y);
    }
}

#endif
