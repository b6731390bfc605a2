/* Products of quantised weights with activations in 8 bits: included once by each q8_*.c, which has
 * defined L2_LANES, L2_TARGET, Q8_SET, Q8_K_SET and Q8_NAME, and Q8_DOT_VNNI where there is the
 * instruction.
 *
 * Weights are unsigned quants u of which a constant z is to be taken off: the integer sum of a
 * block is sum(u x) - z sum(x), exact in 32 bits. In floats, per superblock of 256 columns from sum
 * 0 and in order of the blocks: sum += block * (scale * s), and for Q4_K then sum += minimum * -(s
 * sum(x)). The sums of the superblocks are added in order. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_Q8_H
#define L2_VEC_Q8_H

#include <stdint.h>

#include "kern/vec_narrow.h"

typedef int32_t vi_mem __attribute__((vector_size(4 * L2_LANES), aligned(4), may_alias));
typedef uint8_t vb __attribute__((vector_size(L2_LANES)));
typedef int8_t vsb __attribute__((vector_size(L2_LANES)));

/* Tiles that unpack nibbles for themselves at most; more share what is unpacked once. */
#define Q8_DIRECT 2

/* Two stripes of Q8_0. */
#define Q8_AHEAD (2 * (4096 + 256))

/* How the weights of a stripe lie where the kernel reads them. */
enum q8_form {
    Q8_FORM_Q8_0, /* as packed */
    Q8_FORM_Q4_K,
    Q8_FORM_Q6_K,
    Q8_FORM_Q8_K,
    Q8_FORM_MIN,    /* Q4_K unpacked: bytes; then f32 scales and minima (8, 16) each */
    Q8_FORM_SIXTEEN /* Q6_K unpacked: bytes; then f32 scales (16, 16) */
};
#define Q8_UNPACKED (4096 + 16 * 16 * 4) /* bytes of a stripe at most */

VEC_FN vi q8_load(const uint8_t *p)
{
    return *(const vi_mem *)(const void *)p;
}

/* acc += the four products of each lane. signed_weights: w is given as u ^ 0x80. */
#if defined(Q8_DOT_VNNI)
#    define Q8_SIGNED(form) false
VEC_FN vi q8_dot(vi acc, vi w, int32_t x, bool signed_weights)
{
    (void)signed_weights;
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)w, _mm512_set1_epi32(x));
}
#elif L2_LANES == 8
/* Sums of two products must fit into 16 bits: they do where quants have 7 bits, and for Q8_0 by
 * taking the sign over to the activation, which is never -128. */
#    define Q8_SIGNED(form) ((form) == Q8_FORM_Q8_0 || (form) == Q8_FORM_Q8_K)
VEC_FN vi q8_dot(vi acc, vi w, int32_t x, bool signed_weights)
{
    __m256i a = (__m256i)w, b = _mm256_set1_epi32(x);
    if (signed_weights) {
        b = _mm256_sign_epi8(b, a);
        a = _mm256_abs_epi8(a);
    }
    __m256i pairs = _mm256_maddubs_epi16(a, b);
    return acc + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
#    define Q8_SIGNED(form) false
VEC_FN vi q8_dot(vi acc, vi w, int32_t x, bool signed_weights)
{
    vu u = (vu)w;
    (void)signed_weights;
    for (int i = 0; i < 4; i++)
        acc += (vi)(u >> 8 * i & 255) * (int32_t)(int8_t)((uint32_t)x >> 8 * i);
    return acc;
}
#endif

/* The quants of block b: of 16 columns in Q6_K, else of 32. */
VEC_FN const uint8_t *q8_block_of(const uint8_t *w, size_t b, enum q8_form form)
{
    switch (form) {
    case Q8_FORM_Q8_0:
        return w + l2_q8_0_quants(b);
    case Q8_FORM_Q4_K:
        return w + l2_q4_k_quants(b);
    case Q8_FORM_Q6_K:
        return w + l2_q6_k_quants(b);
    default:
        return w + b * (form == Q8_FORM_SIXTEEN ? 256 : 512);
    }
}

/* Group j of a block, lanes from 4 * L2_LANES * g on. */
VEC_FN vi q8_weights(const uint8_t *block, size_t j, int g, enum q8_form form)
{
    const uint8_t *at = block + (size_t)g * 4 * L2_LANES;
    if (form == Q8_FORM_Q4_K || form == Q8_FORM_Q6_K) {
        vu v = (vu)q8_load(at + j / 2 * 64);
        vu low = (j % 2 ? v >> 4 : v) & 0x0f0f0f0f;
        if (form == Q8_FORM_Q4_K)
            return (vi)low;
        vu high = (vu)q8_load(at + 128) >> (uint32_t)(j * 2);
        return (vi)(low | (high & 0x03030303) << 4);
    }
    vi v = q8_load(at + j * 64);
    return Q8_SIGNED(form) ? v ^ (int32_t)0x80808080 : v;
}

VEC_FN vf q8_bytes(const uint8_t *p)
{
#if L2_LANES == 16
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif L2_LANES == 8
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    vb b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vf);
#endif
}

VEC_FN vf q8_signed_bytes(const uint8_t *p)
{
#if L2_LANES == 16
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif L2_LANES == 8
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    vsb b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vf);
#endif
}

VEC_FN vf q8_f16(const uint8_t *p)
{
    return vec_from_f16((const uint16_t *)(const void *)p);
}

VEC_FN vf q8_scale(const uint8_t *w, size_t b, int g, enum q8_form form)
{
    size_t lane = (size_t)g * L2_LANES;
    switch (form) {
    case Q8_FORM_Q8_0:
        return q8_f16(w + l2_q8_0_scales(b) + 2 * lane);
    case Q8_FORM_Q4_K:
        return q8_f16(w + 2 * lane) * q8_bytes(w + l2_q4_k_scales(b) + lane);
    case Q8_FORM_Q6_K:
        return q8_f16(w + 2 * lane) * q8_signed_bytes(w + l2_q6_k_scales(b) + lane);
    default:
        return vec_load((const float *)(const void *)(w + 4096) + b * 16 + lane);
    }
}

VEC_FN vf q8_min(const uint8_t *w, size_t b, int g, enum q8_form form)
{
    size_t lane = (size_t)g * L2_LANES;
    if (form == Q8_FORM_Q4_K)
        return q8_f16(w + 32 + 2 * lane) * q8_bytes(w + l2_q4_k_scales(b) + 32 + lane);
    return vec_load((const float *)(const void *)(w + 4096) + (8 + b) * 16 + lane);
}

/* One stripe's n columns of M rows; see narrow.h for x. */
VEC_FN void q8_stripe(float *y, size_t width, const int32_t *x, const uint8_t *w, size_t n,
                      bool add, enum q8_form form, const int M)
{
    const bool sixteen = form == Q8_FORM_Q6_K || form == Q8_FORM_SIXTEEN;
    const bool has_min = form == Q8_FORM_Q4_K || form == Q8_FORM_MIN;
    const size_t per = sixteen ? 4 : 8, n_blocks = n / 32, rows = (size_t)M;
    const float *s = (const float *)(const void *)(x + n / 4 * rows), *sum = s + n_blocks * rows;
    const int32_t *less = (const int32_t *)(const void *)(sum + n_blocks * rows);
    if (sixteen)
        less += n_blocks * rows; /* those of 16 */
    VEC_UNROLL
    for (int g = 0; g < VEC_16; g++) {
        vf acc[NARROW_HEIGHT] = {0};
        for (size_t b = 0; b < n / (4 * per); b++) {
            vi block[NARROW_HEIGHT];
            VEC_UNROLL
            for (int i = 0; i < M; i++) {
                block[i] = (vi){0};
                if (!has_min && !Q8_SIGNED(form))
                    block[i] += less[b * rows + (size_t)i];
            }
            const uint8_t *quants = q8_block_of(w, b, form);
            VEC_UNROLL
            for (size_t j = 0; j < per; j++) {
                size_t group = b * per + j;
                vi v = q8_weights(quants, j, g, form);
                if (form == Q8_FORM_Q8_0 && M > NARROW_STREAM && g == 0) {
                    narrow_ahead(quants + j * 64 + Q8_AHEAD);
                    if (j == 0) /* scales, or once more the line before */
                        narrow_ahead(quants - 64 + Q8_AHEAD);
                }
                VEC_UNROLL
                for (int i = 0; i < M; i++)
                    block[i] = q8_dot(block[i], v, x[group * rows + (size_t)i], Q8_SIGNED(form));
            }
            vf scale = q8_scale(w, b, g, form);
            VEC_UNROLL
            for (int i = 0; i < M; i++)
                acc[i] = vec_fma(__builtin_convertvector(block[i], vf),
                                 scale * s[(sixteen ? b / 2 : b) * rows + (size_t)i], acc[i]);
            if (has_min) {
                vf min = q8_min(w, b, g, form);
                VEC_UNROLL
                for (int i = 0; i < M; i++)
                    acc[i] = vec_mul_add(sum[b * rows + (size_t)i], min, acc[i]);
            }
        }
        VEC_UNROLL
        for (int i = 0; i < M; i++) {
            float *p = y + (size_t)i * width + g * L2_LANES;
            vec_store(p, add ? vec_load(p) + acc[i] : acc[i]);
        }
    }
}

#define Q8_DEFINE(form, m)                                                                         \
    static L2_TARGET void q8_##form##_##m(float *y, size_t width, const int32_t *x,                \
                                          const uint8_t *w, size_t n, bool add)                    \
    {                                                                                              \
        q8_stripe(y, width, x, w, n, add, Q8_FORM_##form, m);                                      \
    }
#if NARROW_HEIGHT > 4
#    define Q8_DEFINE_ALL(form)                                                                    \
        Q8_DEFINE(form, 1)                                                                         \
        Q8_DEFINE(form, 2)                                                                         \
        Q8_DEFINE(form, 3)                                                                         \
        Q8_DEFINE(form, 4)                                                                         \
        Q8_DEFINE(form, 5)                                                                         \
        Q8_DEFINE(form, 6)                                                                         \
        Q8_DEFINE(form, 7)                                                                         \
        Q8_DEFINE(form, 8)                                                                         \
        Q8_DEFINE(form, 9)                                                                         \
        Q8_DEFINE(form, 10)                                                                        \
        Q8_DEFINE(form, 11)                                                                        \
        Q8_DEFINE(form, 12)
#    define Q8_ROWS(form)                                                                          \
        {                                                                                          \
            q8_##form##_1, q8_##form##_2, q8_##form##_3, q8_##form##_4, q8_##form##_5,             \
                q8_##form##_6, q8_##form##_7, q8_##form##_8, q8_##form##_9, q8_##form##_10,        \
                q8_##form##_11, q8_##form##_12                                                     \
        }
#else
#    define Q8_DEFINE_ALL(form)                                                                    \
        Q8_DEFINE(form, 1)                                                                         \
        Q8_DEFINE(form, 2)                                                                         \
        Q8_DEFINE(form, 3)                                                                         \
        Q8_DEFINE(form, 4)
#    define Q8_ROWS(form)                                                                          \
        {                                                                                          \
            q8_##form##_1, q8_##form##_2, q8_##form##_3, q8_##form##_4                             \
        }
#endif
Q8_DEFINE_ALL(Q8_0)
Q8_DEFINE_ALL(Q4_K)
Q8_DEFINE_ALL(Q6_K)
Q8_DEFINE_ALL(MIN)
Q8_DEFINE_ALL(SIXTEEN)

static void (*const q8_rows[][NARROW_HEIGHT])(float *, size_t, const int32_t *, const uint8_t *,
                                              size_t,
                                              bool) = {[Q8_FORM_Q8_0] = Q8_ROWS(Q8_0),
                                                       [Q8_FORM_Q4_K] = Q8_ROWS(Q4_K),
                                                       [Q8_FORM_Q6_K] = Q8_ROWS(Q6_K),
                                                       [Q8_FORM_MIN] = Q8_ROWS(MIN),
                                                       [Q8_FORM_SIXTEEN] = Q8_ROWS(SIXTEEN)};

/* A stripe of Q4_K or Q6_K to bytes and floats: what the direct kernels make of it in registers. */
static L2_TARGET enum q8_form q8_unpack(uint8_t *out, const uint8_t *w, enum q8_form form)
{
    float *scales = (float *)(void *)(out + 4096);
    size_t n_blocks = form == Q8_FORM_Q4_K ? 8 : 16;
    for (int g = 0; g < VEC_16; g++) {
        for (size_t b = 0; b < n_blocks; b++) {
            uint8_t *to = out + 4096 / n_blocks * b + (size_t)g * 4 * L2_LANES;
            for (size_t j = 0; j < 64 / n_blocks; j++, to += 64)
                *(vi_mem *)(void *)to =
                    form == Q8_FORM_Q4_K
                        ? q8_weights(q8_block_of(w, b, Q8_FORM_Q4_K), j, g, Q8_FORM_Q4_K)
                        : q8_weights(q8_block_of(w, b, Q8_FORM_Q6_K), j, g, Q8_FORM_Q6_K);
        }
        for (size_t b = 0; b < n_blocks; b++)
            vec_store(scales + 16 * b + (size_t)g * L2_LANES, q8_scale(w, b, g, form));
        for (size_t b = 0; b < 8 && form == Q8_FORM_Q4_K; b++)
            vec_store(scales + 128 + 16 * b + (size_t)g * L2_LANES, q8_min(w, b, g, form));
    }
    return form == Q8_FORM_Q4_K ? Q8_FORM_MIN : Q8_FORM_SIXTEEN;
}

/* Rows [i, i + rows) of m ask for their share of the stripe of Q4_K or Q6_K after the next. */
VEC_FN void q8_ahead(const uint8_t *w, size_t bytes, size_t i, size_t rows, size_t m)
{
    size_t end = (i + rows) * bytes / m;
    for (size_t at = i * bytes / m / 64 * 64; at < end; at += 64)
        narrow_ahead(w + 2 * bytes + at);
}

static L2_TARGET void q8_sums(float *sums, const struct l2_tiles *t, const struct l2_panel *p)
{
    uint8_t unpacked[Q8_UNPACKED] __attribute__((aligned(64)));
    const uint8_t *w = p->data;
    enum q8_form packed_form = p->layout == L2_LAYOUT_Q8_0   ? Q8_FORM_Q8_0
                               : p->layout == L2_LAYOUT_Q4_K ? Q8_FORM_Q4_K
                                                             : Q8_FORM_Q6_K;
    bool unpack = packed_form != Q8_FORM_Q8_0 && t->m > Q8_DIRECT * t->height;
    for (size_t k = 0; k < p->cols; k += L2_SUM_BLOCK) {
        size_t n = p->cols - k < L2_SUM_BLOCK ? p->cols - k : L2_SUM_BLOCK;
        size_t bytes = l2_layout_stripe(p->layout, n);
        for (size_t j = 0; j < p->width; j += 16, w += bytes) {
            enum q8_form form = unpack ? q8_unpack(unpacked, w, packed_form) : packed_form;
            for (size_t i = 0; i < t->m; i += t->height) {
                size_t rows = t->m - i < t->height ? t->m - i : t->height;
                if (packed_form != Q8_FORM_Q8_0 && t->m > NARROW_STREAM)
                    q8_ahead(w, bytes, i, rows, t->m);
                const char *x = t->data + i * t->row_bytes + rows * l2_q8_row_bytes(k);
                q8_rows[form][rows - 1](sums + i * p->width + j, p->width,
                                        (const int32_t *)(const void *)x, unpack ? unpacked : w, n,
                                        k > 0);
            }
        }
    }
}

static void q8_panel(float *y, size_t ldy, const struct l2_tiles *t, const struct l2_panel *p)
{
    narrow_panel(y, ldy, t, p, q8_sums);
}

/* The largest of 16 lanes, all positive as signed integers, and their sum. */
VEC_FN uint32_t q8_max16(const vu v[VEC_16])
{
#if L2_LANES == 16
    return (uint32_t)_mm512_reduce_max_epi32((__m512i)v[0]);
#else
    vu most = v[0];
    uint32_t largest = 0;
    for (int i = 1; i < VEC_16; i++)
        most = (vu)vec_select((vi)(v[i] > most), (vf)v[i], (vf)most);
    for (int i = 0; i < L2_LANES; i++)
        largest = most[i] > largest ? most[i] : largest;
    return largest;
#endif
}

VEC_FN int32_t q8_sum16(const vi v[VEC_16])
{
#if L2_LANES == 16
    return _mm512_reduce_add_epi32((__m512i)v[0]);
#else
    vi all = v[0];
    int32_t sum = 0;
    for (int i = 1; i < VEC_16; i++)
        all += v[i];
    for (int i = 0; i < L2_LANES; i++)
        sum += all[i];
    return sum;
#endif
}

VEC_FN void q8_store_bytes(int8_t *out, vi v)
{
#if L2_LANES == 16
    _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi32_epi8((__m512i)v));
#else
    vsb b = __builtin_convertvector(v, vsb);
    memcpy(out, &b, sizeof b);
#endif
}

/* Quantises n values, a multiple of 16, and sums 16 quants each; returns the scale. */
VEC_FN float q8_block(int8_t *q, const float *x, size_t n, int32_t *sum)
{
    vu size[VEC_16] = {0};
    for (size_t at = 0; at < n; at += 16)
        for (int i = 0; i < VEC_16; i++) {
            vu a = (vu)vec_load(x + at + i * L2_LANES) & 0x7fffffff;
            size[i] = (vu)vec_select((vi)(a > size[i]), (vf)a, (vf)size[i]);
        }
    uint32_t largest = q8_max16(size);
    float amax;
    memcpy(&amax, &largest, sizeof amax);
    if (!(amax >= 0x1p-100f && amax < INFINITY)) {
        memset(q, 0, n);
        memset(sum, 0, n / 16 * sizeof *sum);
        return amax < 0x1p-100f ? 0 : NAN;
    }
    const float inverse = 127 / amax, round = 0x1.8p23f; /* to nearest even, in the low bits */
    for (size_t at = 0; at < n; at += 16) {
        vi v[VEC_16];
        for (int i = 0; i < VEC_16; i++) {
            size_t to = at + (size_t)i * L2_LANES;
            v[i] = (vi)(vec_load(x + to) * inverse + round) - (vi)vec_set(round);
            q8_store_bytes(q + to, v[i]);
        }
        sum[at / 16] = q8_sum16(v);
    }
    return amax / 127;
}

static L2_TARGET void q8_tile(char *out, const float *x, size_t m, size_t cols)
{
    for (size_t k = 0; k < cols; k += 32) {
        size_t first = k / L2_SUM_BLOCK * L2_SUM_BLOCK, b = k % L2_SUM_BLOCK / 32;
        size_t n = cols - first < L2_SUM_BLOCK ? cols - first : L2_SUM_BLOCK, n_blocks = n / 32;
        int32_t *o = (int32_t *)(void *)(out + m * l2_q8_row_bytes(first));
        float *scale = (float *)(void *)(o + n / 4 * m), *sum = scale + n_blocks * m;
        int32_t *less = (int32_t *)(void *)(sum + n_blocks * m), *less16 = less + n_blocks * m;
        for (size_t i = 0; i < m; i++) {
            int8_t q[32];
            int32_t s[2];
            float d = q8_block(q, x + i * cols + k, 32, s);
            for (size_t j = 0; j < 8; j++)
                memcpy(o + (8 * b + j) * m + i, q + 4 * j, 4);
            scale[b * m + i] = d;
            sum[b * m + i] = -(d * (float)(s[0] + s[1]));
            less[b * m + i] = -128 * (s[0] + s[1]);
            less16[2 * b * m + i] = -32 * s[0];
            less16[(2 * b + 1) * m + i] = -32 * s[1];
        }
    }
}

const struct l2_narrow Q8_SET = {
    .name = Q8_NAME, .tile = q8_tile, .panel = q8_panel, .height = NARROW_HEIGHT};

#endif
