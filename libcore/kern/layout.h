/* How native lays out packed matrices: panels of rows that are the lanes of vectors. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LAYOUT_H
#define L2_LAYOUT_H

#include "kern/backend.h"

/* Counted up whenever a layout changes: packed weights on disk are of one version. */
#define L2_LAYOUT_VERSION 3

/* Rows of a panel, the last panel of a piece as many as are left. */
#define L2_PANEL 64

/* A matrix product sums this many columns at a time: within a block in order from 0, then block
 * after block. Part of the definition of native's results; also the columns of a superblock of the
 * quantised types. */
#define L2_SUM_BLOCK 256

/* Columns that share a scale of an activation in 8 bits; L2_SUM_BLOCK of them with Q8_K. */
#define L2_Q8_BLOCK 32

/* A panel of width rows, a multiple of 16, whose last ones are zero, over all columns.
 *   F32, F16, BF16   (cols, width)
 *   BF16_PAIRS       (ceil(cols / 2), width) pairs of columns 2k and 2k + 1, the first in the low
 *                    half; numbers too small for a normal bf16 are 0
 * The quantised types are, for each L2_SUM_BLOCK columns (n of them; fewer at the end of Q8_0) and
 * each 16 rows ("stripe"), one run of bytes in the order in which a product reads it, since nothing
 * is as fast as one forward stream. Quants come 4 columns at a time: byte 4r + i of group j (64
 * bytes) belongs to row r and column 4j + i. A unit is 64 columns, 16 groups; the last of Q8_0 may
 * be half of one:
 *   Q8_0  units of 2 x 16 f16 scales and 16 groups of bytes, quant + 128
 *   Q8_K  16 f32 scales and 64 groups of bytes, quant + 128: one scale for 256 columns, so that a
 *         product is of integers but for one step in 256
 *   Q4_K  16 f16 d; 16 f16 dmin; then units of 2 x 16 scales u8, 2 x 16 minima u8 and 8 half groups
 *         of nibbles: group 2i in the low and group 2i + 1 in the high nibbles of 64 bytes
 *   Q6_K  16 f16 d; 32 zeros; then units of 4 x 16 scales s8 and 4 times 64 bytes x 3: low nibbles
 *         of 4 groups, as in Q4_K, and their high two bits, from the low to the high bits */
struct l2_panel {
    const void *data; /* aligned to 64 */
    enum l2_layout layout;
    uint32_t cols, width, valid; /* valid rows are real */
};

/* Where in a stripe the quants of a block begin, and its scales (2 or 1 bytes each). Blocks are of
 * 32 columns, in Q6_K of 16; the minima of Q4_K are 32 bytes behind its scales. */
static inline size_t l2_q8_0_quants(size_t block)
{
    return block * 512 + (block / 2 + 1) * 64;
}

static inline size_t l2_q8_0_scales(size_t block)
{
    return block / 2 * (64 + 1024) + block % 2 * 32;
}

/* Where the quants of Q8_K begin, behind the scales. */
#define L2_Q8_K_QUANTS 64

static inline size_t l2_q4_k_quants(size_t block)
{
    return 64 + block * 256 + (block / 2 + 1) * 64;
}

static inline size_t l2_q4_k_scales(size_t block)
{
    return 64 + block / 2 * (64 + 512) + block % 2 * 16;
}

static inline size_t l2_q6_k_quants(size_t block)
{
    return 64 + block * 192 + (block / 4 + 1) * 64;
}

static inline size_t l2_q6_k_scales(size_t block)
{
    return 64 + block / 4 * (64 + 768) + block % 4 * 16;
}

/* Bytes of n columns of 16 rows; of quantised types n is a multiple of the block, and 256 but for
 * the last. */
size_t l2_layout_stripe(enum l2_layout layout, size_t n);

bool l2_layout_quantised(enum l2_layout layout);
const char *l2_layout_name(enum l2_layout layout);

/* Panels of a piece, and one of them. */
size_t l2_piece_panels(const struct l2_piece *piece);
struct l2_panel l2_piece_panel(const struct l2_weight *w, const struct l2_piece *piece,
                               size_t index);

/* Columns [k, k + n) of a panel of a quantised layout as floats (n, width): the values that the
 * type's own decoder gives. k is a multiple of 256, n at most 256. */
void l2_layout_expand(float *out, const struct l2_panel *p, size_t k, size_t n);

#endif
