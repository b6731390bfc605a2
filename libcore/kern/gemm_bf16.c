/* Matrix products of factors rounded to bf16: packed into pairs for AVX-512 BF16, in blocks that
 * stay in the cache. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/gemm_bf16.h"

#include <cblas.h>
#include <string.h>
#include "kern/simd.h"

/* Values of k in a block, and rows of A and columns of B in one. A panel of B (16 KiB) and one of A
 * (6 KiB) fit into the first cache, the blocks into the second. */
#define BLOCK_K 256
#define BLOCK_M 384
#define BLOCK_N 512

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Nearest even; a NaN stays one. */
static uint32_t bf16_high(float f)
{
    uint32_t u = bits(f);
    return f == f ? (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000 : (u | 0x400000) & 0xffff0000;
}

static float round_bf16(float f)
{
    uint32_t u = bf16_high(f);
    memcpy(&f, &u, sizeof f);
    return f;
}

#define PORTABLE_K 128
#define PORTABLE_N 128

static void round_rows(float *out, size_t ldo, const float *in, size_t ldi, size_t rows,
                       size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            out[i * ldo + j] = round_bf16(in[i * ldi + j]);
}

static size_t at_most(size_t n, size_t limit)
{
    return n < limit ? n : limit;
}

/* A block of rounded copies at a time. */
void l2_gemm_bf16_portable(const struct l2_gemm *g)
{
    float a[PORTABLE_N * PORTABLE_K], b[PORTABLE_N * PORTABLE_K];
    bool ta = g->op == L2_GEMM_TN, tb = g->op == L2_GEMM_NT;
    for (size_t k = 0; k < g->k; k += PORTABLE_K)
        for (size_t i = 0; i < g->m; i += PORTABLE_N)
            for (size_t j = 0; j < g->n; j += PORTABLE_N) {
                size_t nk = at_most(g->k - k, PORTABLE_K), m = at_most(g->m - i, PORTABLE_N),
                       n = at_most(g->n - j, PORTABLE_N), lda = ta ? m : nk, ldb = tb ? nk : n;
                round_rows(a, lda, g->a + (ta ? k * g->lda + i : i * g->lda + k), g->lda,
                           ta ? nk : m, lda);
                round_rows(b, ldb, g->b + (tb ? j * g->ldb + k : k * g->ldb + j), g->ldb,
                           tb ? n : nk, ldb);
                cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans,
                            tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)nk, 1, a, (int)lda,
                            b, (int)ldb, g->add || k > 0 ? 1 : 0, g->c + i * g->ldc + j,
                            (int)g->ldc);
            }
}

#ifdef L2_SIMD_X86
#    include <immintrin.h>
#    define BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

#    define ROWS  12 /* of a tile in registers: 24 sums, 2 vectors of B */
#    define LANES 32
#    define PAIRS (BLOCK_K / 2)

/* The values of a and b as pairs, a in the low halves. */
static BF16 inline __m512i pairs16(__m512 a, __m512 b)
{
    return _mm512_or_si512(
        _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a)),
        _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b)), 16));
}

/* Two rows of k, n values wide, become one row of pairs of width lanes, the rest of it 0. */
static BF16 void pack_across(uint32_t *out, size_t width, const float *k0, const float *k1,
                             size_t n)
{
    for (size_t i = 0; i < width; i += 16) {
        size_t left = i < n ? n - i : 0;
        __mmask16 some = (__mmask16)(left >= 16 ? 0xffff : (1u << left) - 1);
        __mmask16 place = (__mmask16)(width - i >= 16 ? 0xffff : (1u << (width - i)) - 1);
        __m512 a = _mm512_maskz_loadu_ps(some, k0 + i);
        __m512 b = k1 ? _mm512_maskz_loadu_ps(some, k1 + i) : _mm512_setzero_ps();
        _mm512_mask_storeu_epi32(out + i, place, pairs16(a, b));
    }
}

/* One row, n values of k, becomes column out[0], out[width], ... of pairs. */
static BF16 void pack_along(uint32_t *out, size_t width, const float *row, size_t n)
{
    for (size_t k = 0; k < n; k += 32) {
        size_t left = n - k;
        uint32_t t[16];
        __mmask16 low = (__mmask16)(left >= 16 ? 0xffff : (1u << left) - 1);
        __mmask16 high = (__mmask16)(left >= 32 ? 0xffff : left > 16 ? (1u << (left - 16)) - 1 : 0);
        __m512 a = _mm512_maskz_loadu_ps(low, row + k);
        __m512 b = _mm512_maskz_loadu_ps(high, row + k + 16);
        _mm512_storeu_si512(t, (__m512i)_mm512_cvtne2ps_pbh(b, a));
        size_t n_pairs = at_most((left + 1) / 2, 16);
        for (size_t i = 0; i < n_pairs; i++)
            out[(k / 2 + i) * width] = t[i];
    }
}

/* Packs n rows (or, transposed, columns) and nk values of k of a factor into panels of width. */
static BF16 void pack(uint32_t *out, size_t width, const float *p, size_t ld, bool transposed,
                      size_t n, size_t nk)
{
    size_t n_pairs = (nk + 1) / 2;
    for (size_t i = 0; i < n; i += width, out += n_pairs * width) {
        size_t valid = at_most(n - i, width);
        if (transposed) {
            for (size_t k = 0; k < nk; k += 2)
                pack_across(out + k / 2 * width, width, p + k * ld + i,
                            k + 1 < nk ? p + (k + 1) * ld + i : NULL, valid);
            continue;
        }
        if (valid < width)
            memset(out, 0, n_pairs * width * sizeof *out);
        for (size_t r = 0; r < valid; r++)
            pack_along(out + r, width, p + (i + r) * ld, nk);
    }
}

/* c (rows, cols) of one pair of panels; rows <= ROWS, cols <= LANES. */
static BF16 void tile(float *c, size_t ldc, size_t rows, size_t cols, const uint32_t *a,
                      const uint32_t *b, size_t n_pairs, bool add)
{
    __m512 sum[ROWS][2];
    __mmask16 low = (__mmask16)(cols >= 16 ? 0xffff : (1u << cols) - 1);
    __mmask16 high = (__mmask16)(cols >= 32 ? 0xffff : cols > 16 ? (1u << (cols - 16)) - 1 : 0);
#    pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (size_t k = 0; k < n_pairs; k++, a += ROWS, b += LANES) {
        __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
        __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + 16);
#    pragma GCC unroll 12
        for (int r = 0; r < ROWS; r++) {
            __m512bh v = (__m512bh)_mm512_set1_epi32((int)a[r]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], b0, v);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], b1, v);
        }
    }
#    pragma GCC unroll 12
    for (size_t r = 0; r < ROWS; r++) {
        if (r >= rows)
            break;
        float *to = c + r * ldc;
        if (add) {
            sum[r][0] = _mm512_add_ps(sum[r][0], _mm512_maskz_loadu_ps(low, to));
            sum[r][1] = _mm512_add_ps(sum[r][1], _mm512_maskz_loadu_ps(high, to + 16));
        }
        _mm512_mask_storeu_ps(to, low, sum[r][0]);
        _mm512_mask_storeu_ps(to + 16, high, sum[r][1]);
    }
}

static BF16 void native(const struct l2_gemm *g)
{
    uint32_t a[BLOCK_M * PAIRS] __attribute__((aligned(64)));
    uint32_t b[BLOCK_N * PAIRS] __attribute__((aligned(64)));
    bool ta = g->op == L2_GEMM_TN, tb = g->op == L2_GEMM_NT;
    for (size_t j = 0; j < g->n; j += BLOCK_N)
        for (size_t k = 0; k < g->k; k += BLOCK_K) {
            size_t n = at_most(g->n - j, BLOCK_N), nk = at_most(g->k - k, BLOCK_K);
            size_t n_pairs = (nk + 1) / 2;
            pack(b, LANES, g->b + (tb ? j * g->ldb + k : k * g->ldb + j), g->ldb, !tb, n, nk);
            for (size_t i = 0; i < g->m; i += BLOCK_M) {
                size_t m = at_most(g->m - i, BLOCK_M);
                pack(a, ROWS, g->a + (ta ? k * g->lda + i : i * g->lda + k), g->lda, ta, m, nk);
                for (size_t q = 0; q < n; q += LANES)
                    for (size_t r = 0; r < m; r += ROWS)
                        tile(g->c + (i + r) * g->ldc + j + q, g->ldc, at_most(m - r, ROWS),
                             at_most(n - q, LANES), a + r * n_pairs, b + q * n_pairs, n_pairs,
                             g->add || k > 0);
            }
        }
}

bool l2_gemm_bf16_native(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}
#else
bool l2_gemm_bf16_native(void)
{
    return false;
}
#endif

void l2_gemm_bf16(const struct l2_gemm *g)
{
#ifdef L2_SIMD_X86
    if (l2_gemm_bf16_native()) {
        native(g);
        return;
    }
#endif
    l2_gemm_bf16_portable(g);
}
