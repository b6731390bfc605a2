/* Products whose activations are narrowed to the width of the weights: bf16 by bf16, 8 bits by 8, 6
 * or 4. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NARROW_H
#define L2_NARROW_H

#include "kern/layout.h"

/* Rows of activations a tile, at most, whatever the instruction set. */
#define L2_NARROW_MAX 12

/* Narrowed activations: tiles of up to height rows, one after the other, bytes of row i of a tile
 * of R rows interleaved with the others' so that one step of a product reads them in order:
 *   pairs  (ceil(cols / 2), R) pairs of bf16, as BF16_PAIRS
 *   q8     for each L2_SUM_BLOCK columns, n of them (fewer at the end): (n / 4, R) groups of 4 x
 * s8; (n / 32, R) each of f32 scale s; f32 -(s * sum of quants); s32 -128 * sum; then (n / 16, R)
 * s32 -32 * sum of 16 quants
 *   q8_k   for each 256 columns: (64, R) groups of 4 x s8; (R) f32 scales s; (R) s32 -128 * sum of
 * quants
 * A value is s * quant with |quant| <= 127, s = largest |x| of its 32 (or 256) / 127, rounded to
 * nearest even; s is NaN where one of them is not finite, and 0 where all are below 2^-100. */
struct l2_tiles {
    const char *data; /* aligned to 64 */
    size_t m;         /* rows */
    size_t height;
    size_t row_bytes; /* of a row; tile t begins at t * height * row_bytes */
};

/* Kernels of one instruction set for one kind of activations. All sets give equal bits (q8: all
 * that are alike in struct l2_simd's fused). */
struct l2_narrow {
    const char *name;
    /* One tile out of x (m, cols); m <= L2_NARROW_MAX. */
    void (*tile)(char *out, const float *x, size_t m, size_t cols);
    /* y[i * ldy + j] for i < t->m, j < p->valid. */
    void (*panel)(float *y, size_t ldy, const struct l2_tiles *t, const struct l2_panel *p);
    size_t height; /* rows of a tile that suit it best */
};

size_t l2_pairs_row_bytes(size_t cols);
size_t l2_q8_row_bytes(size_t cols);
size_t l2_q8_k_row_bytes(size_t cols);

/* Sums of a panel are gathered in a buffer of this many rows. */
#define L2_NARROW_ROWS 240

extern const struct l2_narrow l2_pairs_portable, l2_q8_portable, l2_q8_k_portable;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__SSE2__)
extern const struct l2_narrow l2_pairs_avx2, l2_q8_avx2, l2_q8_k_avx2;
extern const struct l2_narrow l2_pairs_avx512, l2_q8_avx512, l2_q8_k_avx512;
#endif

#endif
