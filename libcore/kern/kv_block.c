/* Blocks of keys and values: places and stores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/kv_block.h"

#include <math.h>
#include <string.h>
#include "util/num.h"

#define TINY 0x1p-100f

static size_t size_of(enum l2_kv_type type)
{
    return type == L2_KV_F32 ? sizeof(float) : type == L2_KV_BF16 ? sizeof(uint16_t) : 1;
}

size_t l2_kv_head_bytes(enum l2_kv_type type, size_t head_dim)
{
    size_t scales = type == L2_KV_Q8 ? 2 * L2_KV_BLOCK * sizeof(float) : 0;
    return L2_KV_BLOCK * (head_dim + l2_kv_stride(head_dim)) * size_of(type) + scales;
}

struct l2_kv_head l2_kv_head_at(void *data, enum l2_kv_type type, size_t head_dim)
{
    struct l2_kv_head h = {.type = type, .k = data};
    char *v = (char *)data + L2_KV_BLOCK * head_dim * size_of(type);
    h.v = v;
    if (type == L2_KV_Q8) {
        h.k_scale = (float *)(void *)(v + L2_KV_BLOCK * l2_kv_stride(head_dim));
        h.v_scale = h.k_scale + L2_KV_BLOCK;
    }
    return h;
}

/* x[i] goes to out[i * step]; returns the scale. Adding and taking away 1.5 * 2^23 rounds what is
 * below 2^22 to an integer. */
static float quantise(int8_t *out, size_t step, const float *x, size_t n)
{
    const float round = 0x1.8p23f;
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return NAN;
        most = fmaxf(most, fabsf(x[i]));
    }
    float scale = most < TINY ? 0 : most / 127, inverse = most < TINY ? 0 : 127 / most;
    for (size_t i = 0; i < n; i++)
        out[i * step] = (int8_t)(x[i] * inverse + round - round);
    return scale;
}

void l2_kv_head_put(const struct l2_kv_head *h, size_t head_dim, size_t slot, const float *k,
                    const float *v)
{
    size_t at = slot * l2_kv_stride(head_dim);
    switch (h->type) {
    case L2_KV_F32:
        for (size_t d = 0; d < head_dim; d++)
            ((float *)h->k)[d * L2_KV_BLOCK + slot] = k[d];
        memcpy((float *)h->v + at, v, head_dim * sizeof *v);
        break;
    case L2_KV_BF16:
        for (size_t d = 0; d < head_dim; d++) {
            ((uint16_t *)h->k)[d * L2_KV_BLOCK + slot] = l2_bf16_from_f32(k[d]);
            ((uint16_t *)h->v)[at + d] = l2_bf16_from_f32(v[d]);
        }
        break;
    case L2_KV_Q8:
        h->k_scale[slot] = quantise((int8_t *)h->k + slot, L2_KV_BLOCK, k, head_dim);
        h->v_scale[slot] = quantise((int8_t *)h->v + at, 1, v, head_dim);
        break;
    }
}
