/* Quantisation of weights to the block types that l2 writes. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_QUANT_ENCODE_H
#define L2_QUANT_ENCODE_H

#include <stddef.h>
#include <stdint.h>

/* As struct l2_quant's encode. */
void l2_encode_q8_0(uint8_t *out, const float *in, size_t n_blocks);
void l2_encode_q4_k(uint8_t *out, const float *in, size_t n_blocks);
void l2_encode_q6_k(uint8_t *out, const float *in, size_t n_blocks);

/* The 6-bit number of value i < 256 in a Q6_K block. In each half of 128 values, byte l < 32 of the
 * high pairs serves values l, l + 32, l + 64 and l + 96; the low nibbles of bytes l and l + 32
 * belong to the first two, the high nibbles to the last two. */
int l2_q6_k_value(const uint8_t *block, unsigned i);

#endif
