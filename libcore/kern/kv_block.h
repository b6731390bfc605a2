/* One block of keys and values of one key/value head: how it lies in memory, and how it is filled.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_KV_BLOCK_H
#define L2_KV_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Positions of a block. */
#define L2_KV_BLOCK 64

/* How keys and values are kept. BF16 rounds each to nearest even. Q8 is s * q with an integer |q|
 * <= 127 rounded to nearest even and s = largest |x| / 127 of the position's key, or value; s is
 * NaN where one of them is not finite, and 0 where all are below 2^-100. */
enum l2_kv_type { L2_KV_F32, L2_KV_BF16, L2_KV_Q8 };

/* Keys are transposed, (head_dim, L2_KV_BLOCK): position j is column j. Values are (L2_KV_BLOCK,
 * l2_kv_stride(head_dim)). Both are float, bf16 or int8_t; scales (L2_KV_BLOCK) are with Q8 only.
 */
struct l2_kv_head {
    enum l2_kv_type type;
    void *k, *v;
    float *k_scale, *v_scale;
};

/* Values from one position's value vector to the next's. */
static inline size_t l2_kv_stride(size_t head_dim)
{
    return (head_dim + 15) / 16 * 16;
}

/* Bytes of all that, a multiple of 64. */
size_t l2_kv_head_bytes(enum l2_kv_type type, size_t head_dim);

/* The parts of what begins at data. */
struct l2_kv_head l2_kv_head_at(void *data, enum l2_kv_type type, size_t head_dim);

/* Stores the key and the value (head_dim each) of position slot. */
void l2_kv_head_put(const struct l2_kv_head *h, size_t head_dim, size_t slot, const float *k,
                    const float *v);

#endif
