/* Brings rows of quantised blocks into the panels' order. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/pack_quant.h"

#include <string.h>

#include "model/quant_encode.h"
#include "util/num.h"

const struct l2_quant *l2_layout_quant(enum l2_layout layout)
{
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
        for (size_t i = 0; i < 32; i++)
            out[(8 * b + i / 4) * 64 + 4 * r + i % 4] = in[2 + i] ^ 0x80;
        put_f16(out + 16 * n, 16 * b + r, in);
    }
}

/* Ors the nibble of column k and row r in. */
static void put_nibble(uint8_t *out, size_t k, size_t r, unsigned v)
{
    out[k / 8 * 64 + 4 * r + k % 4] |= (uint8_t)(v << (k / 4 % 2 * 4));
}

static void pack_q4_k(uint8_t *out, size_t r, const uint8_t *in)
{
    uint8_t *scales = out + 2048 + 64, scale, min;
    put_f16(out + 2048, r, in);
    put_f16(out + 2048 + 32, r, in + 2);
    for (size_t j = 0; j < 8; j++) {
        const uint8_t *q = in + 16 + 32 * (j / 2);
        l2_kquant_scale_min(in + 4, (unsigned)j, &scale, &min);
        scales[16 * j + r] = scale;
        scales[128 + 16 * j + r] = min;
        for (size_t i = 0; i < 32; i++)
            put_nibble(out, 32 * j + i, r, j % 2 ? q[i] >> 4 : q[i] & 15);
    }
}

static void pack_q6_k(uint8_t *out, size_t r, const uint8_t *in)
{
    uint8_t *high = out + 2048, *scales = high + 1024;
    for (size_t k = 0; k < 256; k++) {
        unsigned q = (unsigned)l2_q6_k_value(in, (unsigned)k);
        put_nibble(out, k, r, q & 15);
        high[k / 16 * 64 + 4 * r + k % 4] |= (uint8_t)(q >> 4 << (k / 4 % 4 * 2));
    }
    for (size_t j = 0; j < 16; j++)
        scales[16 * j + r] = in[192 + j];
    put_f16(scales + 256, r, in + 208);
}

void l2_pack_stripe(uint8_t *out, enum l2_layout layout, const uint8_t *const rows[16], size_t n)
{
    memset(out, 0, l2_layout_stripe(layout, n));
    for (size_t r = 0; r < 16; r++) {
        if (!rows[r])
            continue;
        if (layout == L2_LAYOUT_Q8_0)
            pack_q8_0(out, r, rows[r], n);
        else if (layout == L2_LAYOUT_Q4_K)
            pack_q4_k(out, r, rows[r]);
        else
            pack_q6_k(out, r, rows[r]);
    }
}
