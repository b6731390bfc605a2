/* Sizes of packed panels, and their values as floats. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/layout.h"

#include <string.h>

#include "util/num.h"

size_t l2_layout_stripe(enum l2_layout layout, size_t n)
{
    switch (layout) {
    case L2_LAYOUT_F16:
    case L2_LAYOUT_BF16:
        return 16 * 2 * n;
    case L2_LAYOUT_BF16_PAIRS:
        return 16 * 4 * ((n + 1) / 2);
    case L2_LAYOUT_Q8_0:
        return 16 * n + (n + 63) / 64 * 64;
    case L2_LAYOUT_Q8_K:
        return n / 256 * (L2_Q8_K_QUANTS + 16 * 256);
    case L2_LAYOUT_Q4_K:
        return n / 256 * 16 * (128 + 2 + 2 + 8 + 8);
    case L2_LAYOUT_Q6_K:
        return n / 256 * (64 + 4 * (64 + 768));
    default:
        return 16 * 4 * n;
    }
}

bool l2_layout_quantised(enum l2_layout layout)
{
    return layout == L2_LAYOUT_Q8_0 || layout == L2_LAYOUT_Q8_K || layout == L2_LAYOUT_Q4_K ||
           layout == L2_LAYOUT_Q6_K;
}

const char *l2_layout_name(enum l2_layout layout)
{
    static const char *const names[] = {
        [L2_LAYOUT_F32] = "F32",         [L2_LAYOUT_F16] = "F16",   [L2_LAYOUT_BF16] = "BF16",
        [L2_LAYOUT_BF16_PAIRS] = "BF16", [L2_LAYOUT_Q8_0] = "Q8_0", [L2_LAYOUT_Q8_K] = "Q8_K",
        [L2_LAYOUT_Q4_K] = "Q4_K",       [L2_LAYOUT_Q6_K] = "Q6_K"};
    return names[layout];
}

size_t l2_piece_panels(const struct l2_piece *piece)
{
    return ((size_t)piece->rows + L2_PANEL - 1) / L2_PANEL;
}

struct l2_panel l2_piece_panel(const struct l2_weight *w, const struct l2_piece *piece,
                               size_t index)
{
    size_t left = piece->rows - index * L2_PANEL;
    struct l2_panel p = {.layout = piece->layout, .cols = w->cols};
    p.valid = left < L2_PANEL ? (uint32_t)left : L2_PANEL;
    p.width = (p.valid + 15) / 16 * 16;
    p.data = (const char *)w->data + piece->offset +
             index * (L2_PANEL / 16) * l2_layout_stripe(piece->layout, w->cols);
    return p;
}

static float f16(const uint8_t *p, size_t i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, sizeof h);
    return l2_f32_from_f16(h);
}

static void expand_q8_0(float *out, size_t ldo, const uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const uint8_t *quants = p + l2_q8_0_quants(k / 32) + k / 4 % 8 * 64 + k % 4;
        for (size_t r = 0; r < 16; r++)
            out[k * ldo + r] =
                f16(p + l2_q8_0_scales(k / 32), r) * (float)((int)quants[4 * r] - 128);
    }
}

static void expand_q8_k(float *out, size_t ldo, const uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const uint8_t *quants = p + L2_Q8_K_QUANTS + k / 4 * 64 + k % 4;
        for (size_t r = 0; r < 16; r++) {
            float scale;
            memcpy(&scale, p + 4 * r, sizeof scale);
            out[k * ldo + r] = scale * (float)((int)quants[4 * r] - 128);
        }
    }
}

static int nibble(const uint8_t *quants, size_t group, size_t k, size_t r)
{
    return quants[group / 2 * 64 + 4 * r + k % 4] >> (group % 2 * 4) & 15;
}

static void expand_q4_k(float *out, size_t ldo, const uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const uint8_t *quants = p + l2_q4_k_quants(k / 32), *scales = p + l2_q4_k_scales(k / 32);
        for (size_t r = 0; r < 16; r++) {
            float step = f16(p, r) * scales[r], offset = f16(p + 32, r) * scales[32 + r];
            out[k * ldo + r] = step * (float)nibble(quants, k / 4 % 8, k, r) - offset;
        }
    }
}

static void expand_q6_k(float *out, size_t ldo, const uint8_t *p, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const uint8_t *quants = p + l2_q6_k_quants(k / 16), *scales = p + l2_q6_k_scales(k / 16);
        size_t group = k / 4 % 4;
        for (size_t r = 0; r < 16; r++) {
            float step = f16(p, r) * (float)(int8_t)scales[r];
            int top = quants[128 + 4 * r + k % 4] >> (group * 2) & 3;
            out[k * ldo + r] = step * (float)((nibble(quants, group, k, r) | top << 4) - 32);
        }
    }
}

void l2_layout_expand(float *out, const struct l2_panel *p, size_t k, size_t n)
{
    size_t n_stripes = p->width / 16, bytes = l2_layout_stripe(p->layout, n);
    const uint8_t *in = (const uint8_t *)p->data + n_stripes * l2_layout_stripe(p->layout, k);
    for (size_t s = 0; s < n_stripes; s++, in += bytes, out += 16) {
        if (p->layout == L2_LAYOUT_Q8_0)
            expand_q8_0(out, p->width, in, n);
        else if (p->layout == L2_LAYOUT_Q8_K)
            expand_q8_k(out, p->width, in, n);
        else if (p->layout == L2_LAYOUT_Q4_K)
            expand_q4_k(out, p->width, in, n);
        else
            expand_q6_k(out, p->width, in, n);
    }
}
