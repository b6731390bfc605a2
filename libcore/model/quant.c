/* Block-quantised weights: the table, and decoding, in the layouts of ggml. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/quant.h"

#include <string.h>

#include "model/quant_encode.h"
#include "util/num.h"

static float get_f16(const uint8_t *p)
{
    return l2_f32_from_f16(l2_get_u16le(p));
}

/* d f16, 32 x int8: d * q */
static void decode_q8_0(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 34, out += 32) {
        float d = get_f16(in);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)(int8_t)in[2 + i];
    }
}

/* d f16, 16 bytes of nibbles, the low ones first: d * (q - 8) */
static void decode_q4_0(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 18, out += 32) {
        float d = get_f16(in);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)((in[2 + i] & 15) - 8);
            out[i + 16] = d * (float)((in[2 + i] >> 4) - 8);
        }
    }
}

/* d f16, m f16, nibbles: d * q + m */
static void decode_q4_1(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 20, out += 32) {
        float d = get_f16(in), m = get_f16(in + 2);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(in[4 + i] & 15) + m;
            out[i + 16] = d * (float)(in[4 + i] >> 4) + m;
        }
    }
}

/* Value i < 32 of 16 bytes of nibbles with a fifth bit each in high. */
static int five_bits(const uint8_t *nibbles, uint32_t high, int i)
{
    int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return low | (int)(high >> i & 1) << 4;
}

/* d f16, 32 high bits, nibbles: d * (q - 16) */
static void decode_q5_0(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 22, out += 32) {
        float d = get_f16(in);
        uint32_t high = l2_get_u32le(in + 2);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)(five_bits(in + 6, high, i) - 16);
    }
}

/* d f16, m f16, 32 high bits, nibbles: d * q + m */
static void decode_q5_1(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 24, out += 32) {
        float d = get_f16(in), m = get_f16(in + 2);
        uint32_t high = l2_get_u32le(in + 4);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)five_bits(in + 8, high, i) + m;
    }
}

/* The first four pairs lie in 6 bits of a byte each; the last four have their low 4 bits in bytes 8
 * to 11 and their high 2 bits at the top of the first eight bytes. */
void l2_kquant_scale_min(const uint8_t packed[12], unsigned j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4);
        *min = (uint8_t)((packed[j + 4] >> 4) | (packed[j] >> 6) << 4);
    }
}

/* d f16, dmin f16, scales and minima, then 64 values in each 32 bytes: low nibbles, then high ones.
 * Value: d * scale * q - dmin * min. */
static void decode_q4_k(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 144, out += 256) {
        float d = get_f16(in), dmin = get_f16(in + 2);
        for (unsigned j = 0; j < 8; j++) {
            const uint8_t *q = in + 16 + 32 * (j / 2);
            uint8_t scale, min;
            l2_kquant_scale_min(in + 4, j, &scale, &min);
            float step = d * scale, offset = dmin * min;
            for (int i = 0; i < 32; i++)
                out[32 * j + i] = step * (float)(j % 2 ? q[i] >> 4 : q[i] & 15) - offset;
        }
    }
}

/* As Q4_K, with bit j of the 32 bytes after the scales as the fifth bit of sub-block j. */
static void decode_q5_k(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 176, out += 256) {
        float d = get_f16(in), dmin = get_f16(in + 2);
        for (unsigned j = 0; j < 8; j++) {
            const uint8_t *high = in + 16, *q = in + 48 + 32 * (j / 2);
            uint8_t scale, min;
            l2_kquant_scale_min(in + 4, j, &scale, &min);
            float step = d * scale, offset = dmin * min;
            for (int i = 0; i < 32; i++) {
                int low = j % 2 ? q[i] >> 4 : q[i] & 15;
                out[32 * j + i] = step * (float)(low | (high[i] >> j & 1) << 4) - offset;
            }
        }
    }
}

/* 128 bytes of low nibbles, 64 of high pairs of bits, 16 x int8 scales, d f16. */
static void decode_q6_k(float *out, const uint8_t *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 210, out += 256) {
        float d = get_f16(in + 208);
        for (unsigned i = 0; i < 256; i++) {
            float step = d * (float)(int8_t)in[192 + i / 16];
            out[i] = step * (float)(l2_q6_k_value(in, i) - 32);
        }
    }
}

const struct l2_quant l2_quants[] = {
    {"Q4_0", 2, 32, 18, decode_q4_0, NULL},
    {"Q4_1", 3, 32, 20, decode_q4_1, NULL},
    {"Q5_0", 6, 32, 22, decode_q5_0, NULL},
    {"Q5_1", 7, 32, 24, decode_q5_1, NULL},
    {"Q8_0", 8, 32, 34, decode_q8_0, l2_encode_q8_0},
    {"Q4_K", 12, 256, 144, decode_q4_k, l2_encode_q4_k},
    {"Q5_K", 13, 256, 176, decode_q5_k, NULL},
    {"Q6_K", 14, 256, 210, decode_q6_k, l2_encode_q6_k},
    {NULL, 0, 0, 0, NULL, NULL},
};

const struct l2_quant *l2_quant_by_ggml_type(uint32_t type)
{
    for (const struct l2_quant *q = l2_quants; q->name; q++)
        if (q->ggml_type == type)
            return q;
    return NULL;
}

const struct l2_quant *l2_quant_by_name(const char *name)
{
    for (const struct l2_quant *q = l2_quants; q->name; q++)
        if (strcmp(q->name, name) == 0)
            return q;
    return NULL;
}
