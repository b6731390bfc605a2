/* The vector kernels: one source, compiled for several instruction sets, chosen at run time. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SIMD_H
#define L2_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kern/kv_block.h"
#include "kern/layout.h"
#include "kern/narrow.h"
#include "kern/ops.h"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__SSE2__)
#    define L2_SIMD_X86 1
#endif

/* The kernels of one instruction set. Sets that are alike in fused give equal bits: the same
 * operations in the same order, and sums over lanes have 16 lanes whatever the width of a register.
 */
struct l2_simd {
    const char *name;
    bool fused; /* products of matrices round once for a multiplication and an addition */
    const struct l2_narrow *pairs, *q8, *q8_k; /* products with narrowed activations */
    /* y[i * ldy + j] = sum over k of x[i * cols + k] * panel[k][j] for i < m, j < valid; any layout
     * but BF16_PAIRS, quantised values as l2_layout_expand has them. */
    void (*panel)(float *y, size_t ldy, const float *x, size_t m, const struct l2_panel *p);
    /* The rest as ops.h and math.h have them. */
    void (*attend_block)(const float *q, size_t group, size_t head_dim, const struct l2_kv_head *kv,
                         size_t n, float *m, float *l, float *o);
    void (*rmsnorm)(float *y, const float *x, const float *weight, size_t n, float eps);
    void (*rope)(float *x, size_t n_heads, size_t head_dim, const float *cos, const float *sin);
    void (*swiglu)(float *y, const float *gate, const float *up, size_t n);
    void (*add)(float *x, const float *y, size_t n);
    void (*scale)(float *y, const float *x, size_t n, float factor);
    void (*expf_row)(float *y, const float *x, size_t n, float shift);
    /* The largest of x[0..n); NaN when one is not finite. */
    float (*max)(const float *x, size_t n);
    /* sum of expf(x[i] - shift), summed in double. */
    double (*sum_exp)(const float *x, size_t n, float shift);
    void (*rmsnorm_bwd)(float *dx, float *dweight, const float *x, const float *weight,
                        const float *dy, size_t n, float eps);
    void (*rope_bwd)(float *dx, size_t n_heads, size_t head_dim, const float *cos,
                     const float *sin);
    void (*swiglu_bwd)(float *dgate, float *dup, const float *gate, const float *up,
                       const float *dy, size_t n);
    /* ds[i] = p[i] (dp[i] - d) factor. ds may be dp. */
    void (*softmax_bwd)(float *ds, const float *p, const float *dp, size_t n, float d,
                        float factor);
    /* y[i] = expf(x[i] - shift); returns their sum, and in moment, where it is not NULL, the sum of
     * y[i] (x[i] - shift). y may be x. */
    double (*exp_sum)(float *y, const float *x, size_t n, float shift, double *moment);
    void (*from_bf16)(float *y, const uint16_t *x, size_t n);
    float (*dot)(const float *x, const float *y, size_t n);
    void (*adamw)(float *p, float *g, float *m, float *v, size_t n, const struct l2_adamw_rates *r);
};

/* The fastest set that this processor has. */
const struct l2_simd *l2_simd_best(void);

/* All sets that this processor has, the portable one first; tests compare them. Returns their
 * number. */
#define L2_SIMD_MAX 5
size_t l2_simd_all(const struct l2_simd *out[L2_SIMD_MAX]);

extern const struct l2_simd l2_simd_portable;
#ifdef L2_SIMD_X86
extern const struct l2_simd l2_simd_avx2, l2_simd_avx512;
/* AVX-512 with VNNI, and with BF16 too. */
extern const struct l2_simd l2_simd_avx512_vnni, l2_simd_avx512_bf16;
#endif

#endif
