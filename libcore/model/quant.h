/* Block-quantised weights as GGUF lays them out: one table of codecs. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_QUANT_H
#define L2_QUANT_H

#include <stddef.h>
#include <stdint.h>

/* A row is a sequence of blocks of block_values values in block_bytes bytes; rows are whole blocks.
 */
struct l2_quant {
    const char *name;      /* "Q8_0" */
    uint32_t ggml_type;    /* GGUF's number for it */
    uint32_t block_values; /* 32 or 256 */
    uint32_t block_bytes;
    /* n_blocks blocks at any alignment to n_blocks * block_values floats. */
    void (*decode)(float *out, const uint8_t *in, size_t n_blocks);
    /* The other way, of finite values; NULL where l2 does not write the type. A value too large for
     * the type's scale becomes one that is not finite. */
    void (*encode)(uint8_t *out, const float *in, size_t n_blocks);
};

/* Ended by a row without a name. */
extern const struct l2_quant l2_quants[];

/* GGUF's numbers of the types that are computed with as they are. */
#define L2_GGML_Q8_0 8
#define L2_GGML_Q4_K 12
#define L2_GGML_Q6_K 14

/* NULL when there is no such type. */
const struct l2_quant *l2_quant_by_ggml_type(uint32_t type);
const struct l2_quant *l2_quant_by_name(const char *name);

/* Scale and minimum of sub-block j < 8 among the 12 bytes of Q4_K and Q5_K that pack them. */
void l2_kquant_scale_min(const uint8_t packed[12], unsigned j, uint8_t *scale, uint8_t *min);

#endif
