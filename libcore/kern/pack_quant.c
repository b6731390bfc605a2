/* Brings rows of quantised blocks into the panels' order. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/pack_quant.h"

#include <math.h>
#include <string.h>

#include "model/quant_encode.h"
#include "util/num.h"

/* Blocks of Q8_K: an f32 scale and 256 quants, which no file has. */
#define Q8_K_BYTES (4 + 256)

static void encode_q8_k(uint8_t *out, const float *in, size_t n_blocks)
{
    for (size_t b = 0; b < n_blocks; b++, out += Q8_K_BYTES, in += 256) {
        float most = 0;
        for (size_t i = 0; i < 256; i++)
            most = fmaxf(most, fabsf(in[i]));
        /* smaller scales would have no inverse */
        bool zero = most < 0x1p-100f;
        l2_put_f32le(out, zero ? 0 : most / 127);
        for (size_t i = 0; i < 256; i++)
            out[4 + i] = zero ? 0 : (uint8_t)(int8_t)lrintf(in[i] * (127 / most));
    }
}

static void decode_q8_k(float *out, const uint8_t *in, size_t n_blocks)
{
    for (size_t b = 0; b < n_blocks; b++, in += Q8_K_BYTES, out += 256)
        for (size_t i = 0; i < 256; i++)
            out[i] = l2_get_f32le(in) * (float)(int8_t)in[4 + i];
}

static const struct l2_quant q8_k = {.name = "Q8_K",
                                     .ggml_type = UINT32_MAX,
                                     .block_values = 256,
                                     .block_bytes = Q8_K_BYTES,
                                     .decode = decode_q8_k,
                                     .encode = encode_q8_k};

const struct l2_quant *l2_layout_quant(enum l2_layout layout)
{
    if (layout == L2_LAYOUT_Q8_K)
        return &q8_k;
    return l2_quant_by_ggml_type(layout == L2_LAYOUT_Q8_0   ? L2_GGML_Q8_0
                                 : layout == L2_LAYOUT_Q4_K ? L2_GGML_Q4_K
                                                            : L2_GGML_Q6_K);
}

/* An f16 of a file in native order. */
static void put_f16(uint8_t *out, size_t i, const uint8_t *in)
{
    uint16_t h = l2_get_u16le(in);
    memcpy(out + 2 * i, &h, sizeof h);
}

static void pack_q8_0(uint8_t *out, size_t r, const uint8_t *in, size_t n)
{
    for (size_t b = 0; b < n / 32; b++, in += 34) {
        uint8_t *quants = out + l2_q8_0_quants(b) + 4 * r;
        for (size_t i = 0; i < 32; i++)
            quants[i / 4 * 64 + i % 4] = in[2 + i] ^ 0x80;
        put_f16(out + l2_q8_0_scales(b), r, in);
    }
}

static void pack_q8_k(uint8_t *out, size_t r, const uint8_t *in)
{
    float scale = l2_get_f32le(in);
    memcpy(out + 4 * r, &scale, sizeof scale);
    for (size_t i = 0; i < 256; i++)
        out[L2_Q8_K_QUANTS + i / 4 * 64 + 4 * r + i % 4] = in[4 + i] ^ 0x80;
}

/* Ors the nibble of column i of a block and row r in. */
static void put_nibble(uint8_t *quants, size_t i, size_t r, unsigned v)
{
    quants[i / 8 * 64 + 4 * r + i % 4] |= (uint8_t)(v << (i / 4 % 2 * 4));
}

static void pack_q4_k(uint8_t *out, size_t r, const uint8_t *in)
{
    put_f16(out, r, in);
    put_f16(out + 32, r, in + 2);
    for (size_t b = 0; b < 8; b++) {
        const uint8_t *q = in + 16 + 32 * (b / 2);
        uint8_t *quants = out + l2_q4_k_quants(b), *scales = out + l2_q4_k_scales(b);
        l2_kquant_scale_min(in + 4, (unsigned)b, &scales[r], &scales[32 + r]);
        for (size_t i = 0; i < 32; i++)
            put_nibble(quants, i, r, b % 2 ? q[i] >> 4 : q[i] & 15);
    }
}

static void pack_q6_k(uint8_t *out, size_t r, const uint8_t *in)
{
    put_f16(out, r, in + 208);
    for (size_t b = 0; b < 16; b++) {
        uint8_t *quants = out + l2_q6_k_quants(b);
        for (size_t i = 0; i < 16; i++) {
            unsigned q = (unsigned)l2_q6_k_value(in, (unsigned)(16 * b + i));
            put_nibble(quants, i, r, q & 15);
            quants[128 + 4 * r + i % 4] |= (uint8_t)(q >> 4 << (i / 4 * 2));
        }
        out[l2_q6_k_scales(b) + r] = in[192 + b];
    }
}

void l2_pack_stripe(uint8_t *out, enum l2_layout layout, const uint8_t *const rows[16], size_t n)
{
    memset(out, 0, l2_layout_stripe(layout, n));
    for (size_t r = 0; r < 16; r++) {
        if (!rows[r])
            continue;
        if (layout == L2_LAYOUT_Q8_0)
            pack_q8_0(out, r, rows[r], n);
        else if (layout == L2_LAYOUT_Q8_K)
            pack_q8_k(out, r, rows[r]);
        else if (layout == L2_LAYOUT_Q4_K)
            pack_q4_k(out, r, rows[r]);
        else
            pack_q6_k(out, r, rows[r]);
    }
}
