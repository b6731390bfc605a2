/* Vectors of L2_LANES floats, for the kernel sources that simd_set.h puts together. Operations are
 * those of GCC's and clang's vector extension, lane by lane; a product is fused into a sum where
 * vec_mul_add says so and nowhere else. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_H
#define L2_VEC_H

#include <math.h>
#include <string.h>
#include "kern/expf.h"

#if L2_LANES > 4
#    include <immintrin.h>
#endif

#define VEC_FN static inline __attribute__((always_inline, unused)) L2_TARGET

#ifdef __clang__
#    define VEC_UNROLL _Pragma("clang loop unroll(full)")
#    pragma clang fp contract(off)
#else
#    define VEC_UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(4 * L2_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * L2_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * L2_LANES)));
/* In memory, at the alignment of a single value. */
typedef float vf_mem __attribute__((vector_size(4 * L2_LANES), aligned(4), may_alias));

/* Sums over lanes have 16 of them whatever L2_LANES is: VEC_16 vectors. */
#define VEC_16 (16 / L2_LANES)

VEC_FN vf vec_load(const float *p)
{
    return *(const vf_mem *)p;
}

VEC_FN void vec_store(float *p, vf v)
{
    *(vf_mem *)p = v;
}

VEC_FN vf vec_set(float v)
{
    return v - (vf){0};
}

/* Whether vec_mul_add rounds once: what the results of a set of kernels are made of. */
#if L2_LANES > 4 || defined(__FP_FAST_FMAF)
#    define VEC_FUSED true
#else
#    define VEC_FUSED false
#endif

/* a * b + c */
VEC_FN vf vec_mul_add(float a, vf b, vf c)
{
#if L2_LANES == 16
    return (vf)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)c);
#elif L2_LANES == 8
    return (vf)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
    for (int i = 0; i < L2_LANES; i++)
        c[i] = __builtin_fmaf(a, b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

/* a * b + c, of vectors */
VEC_FN vf vec_fma(vf a, vf b, vf c)
{
#if L2_LANES == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif L2_LANES == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
    for (int i = 0; i < L2_LANES; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

/* The lanes of a where the mask is all ones, of b where it is 0. */
VEC_FN vf vec_select(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}

/* The larger of a and b; b where a is NaN. */
VEC_FN vf vec_larger(vf a, vf b)
{
    return vec_select(a > b, a, b);
}

typedef uint16_t vh __attribute__((vector_size(2 * L2_LANES)));
typedef uint16_t vh_mem __attribute__((vector_size(2 * L2_LANES), aligned(2), may_alias));

VEC_FN vu vec_widen(const uint16_t *p)
{
#if L2_LANES == 16
    return (vu)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
#elif L2_LANES == 8
    return (vu)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
#else
    return __builtin_convertvector((vh) * (const vh_mem *)p, vu);
#endif
}

/* Half-precision values to float, exactly. */
VEC_FN vf vec_from_f16(const uint16_t *p)
{
#if L2_LANES == 16
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#else
    /* Exponent and fraction in their places, then the bias is mended by a product, which serves
     * subnormals too; an exponent of all ones stays one. */
    vu h = vec_widen(p);
    vf magnitude = (vf)((h & 0x7fff) << 13) * 0x1p112f;
    vu special = (vu)((h & 0x7c00) == 0x7c00) & 0x7f800000;
    return (vf)((vu)magnitude | special | (h & 0x8000) << 16);
#endif
}

VEC_FN vf vec_from_bf16(const uint16_t *p)
{
    return (vf)(vec_widen(p) << 16);
}

VEC_FN vf vec_from_s8(const int8_t *p)
{
#if L2_LANES == 16
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif L2_LANES == 8
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    vf y;
    for (int i = 0; i < L2_LANES; i++)
        y[i] = p[i];
    return y;
#endif
}

/* A row's last n < 16 values, with fill behind them. */
VEC_FN void vec_tail(float out[16], const float *p, size_t n, float fill)
{
    for (size_t i = 0; i < 16; i++)
        out[i] = fill;
    memcpy(out, p, n * sizeof *p);
}

/* Lane i + lane i + 8, then + 4, + 2, + 1. */
VEC_FN float vec_sum16(const vf v[VEC_16])
{
    float t[16];
    for (int i = 0; i < VEC_16; i++)
        vec_store(t + i * L2_LANES, v[i]);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] += t[i + half];
    return t[0];
}

/* The largest lane; NaN lanes may be passed over. */
VEC_FN float vec_max16(const vf v[VEC_16])
{
    float t[16];
    for (int i = 0; i < VEC_16; i++)
        vec_store(t + i * L2_LANES, v[i]);
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] = t[i] > t[i + half] ? t[i] : t[i + half];
    return t[0];
}

/* exp, the same operations in the same order as l2_expf. */
VEC_FN vf vec_exp(vf x)
{
    vf t = x * L2_EXPF_LOG2E + L2_EXPF_ROUND;
    vi n = (vi)((vu)t - (vu)vec_set(L2_EXPF_ROUND));
    t -= L2_EXPF_ROUND;
    vf r = x - t * L2_EXPF_LN2_HI - t * L2_EXPF_LN2_LO;
    vf q = vec_set(L2_EXPF_C4);
    q = q * r + L2_EXPF_C3;
    q = q * r + L2_EXPF_C2;
    q = q * r + L2_EXPF_C1;
    q = q * r + L2_EXPF_C0;
    vf p = q * (r * r) + r + 1.0f;
    vi half = n >> 1;
    vf a = (vf)(((vu)half + 127) << 23), b = (vf)(((vu)n - (vu)half + 127) << 23);
    vf y = p * a * b;
    y = vec_select(x > L2_EXPF_MAX, vec_set(INFINITY), y);
    return vec_select(x < L2_EXPF_MIN, vec_set(0), y);
}

#endif
