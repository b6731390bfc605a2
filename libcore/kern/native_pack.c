/* Packs matrices into panels: what layout each part gets, and its values in that layout. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/native_pack.h"

#include <string.h>
#include "kern/aligned.h"
#include "kern/layout.h"
#include "kern/pack_quant.h"
#include "kern/weight.h"
#include "util/num.h"

/* Columns that transpose_strip moves at a time: a line of each of the panel's rows. */
#define STRIP 16

struct pack {
    struct l2_weight *w;
    const struct l2_tensor *const *parts;
    uint32_t head_dim;
};

static enum l2_layout own_layout(const struct l2_tensor *t, bool narrow)
{
    switch (t->dtype) {
    case L2_F32:
        return L2_LAYOUT_F32;
    case L2_F16:
        return L2_LAYOUT_F16;
    case L2_BF16:
        return narrow ? L2_LAYOUT_BF16_PAIRS : L2_LAYOUT_BF16;
    case L2_QUANTISED:
        break;
    }
    switch (t->quant->ggml_type) {
    case L2_GGML_Q8_0:
        return L2_LAYOUT_Q8_0;
    case L2_GGML_Q4_K:
        return L2_LAYOUT_Q4_K;
    case L2_GGML_Q6_K:
        return L2_LAYOUT_Q6_K;
    default:
        return narrow ? L2_LAYOUT_Q8_0 : L2_LAYOUT_F32;
    }
}

static enum l2_layout choose_layout(const struct l2_tensor *t, const struct l2_pack_opts *opts)
{
    enum l2_layout own = own_layout(t, opts->narrow);
    enum l2_pack_type type = opts->type;
    if ((type == L2_PACK_Q8_K || type == L2_PACK_Q4_K || type == L2_PACK_Q6_K) &&
        t->cols % 256 != 0)
        type = L2_PACK_Q8_0;
    if (type == L2_PACK_Q8_0 && t->cols % 32 != 0)
        type = L2_PACK_AS_IS;
    switch (type) {
    case L2_PACK_BF16:
        return opts->narrow ? L2_LAYOUT_BF16_PAIRS : L2_LAYOUT_BF16;
    case L2_PACK_Q8_0:
        return L2_LAYOUT_Q8_0;
    case L2_PACK_Q8_K:
        return L2_LAYOUT_Q8_K;
    case L2_PACK_Q4_K:
        return L2_LAYOUT_Q4_K;
    case L2_PACK_Q6_K:
        return L2_LAYOUT_Q6_K;
    default:
        return own;
    }
}

static int too_large(const struct l2_weight *w, struct l2_err *err)
{
    return l2_err_set(err, L2_LIMIT, "a matrix of %u rows and %u columns is too large",
                      (unsigned)w->rows, (unsigned)w->cols);
}

int l2_native_plan(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                   const struct l2_pack_opts *opts, struct l2_err *err)
{
    int r = l2_weight_init(out, parts, n_parts, err);
    if (r != L2_OK)
        return r;
    out->narrow = opts->narrow;
    struct l2_piece *p = NULL;
    for (size_t i = 0; i < n_parts; i++) {
        enum l2_layout layout = choose_layout(parts[i], opts);
        if (!p || p->layout != layout) {
            uint32_t first = p ? p->first + p->rows : 0;
            p = &out->pieces[out->n_pieces++];
            *p = (struct l2_piece){.first = first, .layout = layout};
        }
        p->rows += parts[i]->rows;
    }
    for (size_t i = 0; i < out->n_pieces; i++) {
        size_t stripes = ((size_t)out->pieces[i].rows + 15) / 16, values, bytes;
        p = &out->pieces[i];
        p->offset = out->bytes;
        /* no layout takes more than 4 bytes a value, a pair of its own for an odd column */
        if (!l2_mul_size(stripes, 64 * ((size_t)out->cols + 1), &values))
            return too_large(out, err);
        bytes = stripes * l2_layout_stripe(p->layout, out->cols);
        if (!l2_add_size(out->bytes, (bytes + 63) / 64 * 64, &out->bytes))
            return too_large(out, err);
    }
    return L2_OK;
}

/* Values [k, k + n) of the rows of a panel, as 32 or 16 bits in native order, become columns of
 * out, width apart. */
static void transpose_strip(void *out, const uint8_t *const *rows, uint32_t n_rows, uint32_t width,
                            size_t k, size_t n, size_t size)
{
    for (uint32_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < n; i++) {
            const uint8_t *p = rows[r] + (k + i) * size;
            if (size == 4)
                ((uint32_t *)out)[(k + i) * width + r] = l2_get_u32le(p);
            else
                ((uint16_t *)out)[(k + i) * width + r] = l2_get_u16le(p);
        }
}

/* A bf16 value in the pairs, where subnormals are 0. */
static void put_pair(uint16_t *out, uint32_t width, uint32_t r, size_t k, uint16_t value)
{
    out[(k / 2 * width + r) * 2 + k % 2] = value & 0x7f80 ? value : value & 0x8000;
}

static void pair_strip(uint16_t *out, const uint8_t *const *rows, uint32_t n_rows, uint32_t width,
                       size_t k, size_t n)
{
    for (uint32_t r = 0; r < n_rows; r++)
        for (size_t i = k; i < k + n; i++)
            put_pair(out, width, r, i, l2_get_u16le(rows[r] + 2 * i));
}

/* A row whose type is another than the panel's, which is of floats. */
static void convert_row(void *out, const struct l2_panel *panel, uint32_t r,
                        const struct l2_tensor *t, const uint8_t *p)
{
    float values[256];
    for (uint32_t k = 0; k < t->cols; k += 256) {
        uint32_t n = t->cols - k < 256 ? t->cols - k : 256;
        l2_tensor_values(t, p, k, n, values);
        for (uint32_t i = 0; i < n; i++) {
            size_t at = (size_t)(k + i) * panel->width + r;
            if (panel->layout == L2_LAYOUT_F32)
                ((float *)out)[at] = values[i];
            else if (panel->layout == L2_LAYOUT_BF16)
                ((uint16_t *)out)[at] = l2_bf16_from_f32(values[i]);
            else
                put_pair(out, panel->width, r, k + i, l2_bf16_from_f32(values[i]));
        }
    }
}

static bool same_type(const struct l2_tensor *t, enum l2_layout layout)
{
    switch (layout) {
    case L2_LAYOUT_F32:
        return t->dtype == L2_F32;
    case L2_LAYOUT_F16:
        return t->dtype == L2_F16;
    case L2_LAYOUT_BF16:
    case L2_LAYOUT_BF16_PAIRS:
        return t->dtype == L2_BF16;
    default:
        return t->dtype == L2_QUANTISED && t->quant == l2_layout_quant(layout);
    }
}

/* The rows of a panel in the file; those that are padding are NULL. */
struct rows {
    const uint8_t *bytes[L2_PANEL];
    const struct l2_tensor *parts[L2_PANEL];
};

static void pack_floats(void *out, const struct l2_panel *p, const struct rows *rows)
{
    bool same = true;
    memset(out, 0, p->width / 16 * l2_layout_stripe(p->layout, p->cols));
    for (uint32_t r = 0; r < p->valid; r++)
        same = same && same_type(rows->parts[r], p->layout);
    for (size_t k = 0; same && k < p->cols; k += STRIP) {
        size_t n = p->cols - k < STRIP ? p->cols - k : STRIP;
        if (p->layout == L2_LAYOUT_BF16_PAIRS)
            pair_strip(out, rows->bytes, p->valid, p->width, k, n);
        else
            transpose_strip(out, rows->bytes, p->valid, p->width, k, n,
                            p->layout == L2_LAYOUT_F32 ? 4 : 2);
    }
    for (uint32_t r = 0; !same && r < p->valid; r++)
        convert_row(out, p, r, rows->parts[r], rows->bytes[r]);
}

/* The blocks of columns [k, k + n) of a row in the layout's codec: the file's own, or in buffer. */
static const uint8_t *row_blocks(uint8_t *buffer, const struct l2_tensor *t, const uint8_t *row,
                                 enum l2_layout layout, uint32_t k, uint32_t n)
{
    const struct l2_quant *q = l2_layout_quant(layout);
    if (same_type(t, layout))
        return row + (size_t)k / q->block_values * q->block_bytes;
    float values[L2_SUM_BLOCK];
    l2_tensor_values(t, row, k, n, values);
    q->encode(buffer, values, n / q->block_values);
    return buffer;
}

static void pack_quantised(uint8_t *out, const struct l2_panel *p, const struct rows *rows)
{
    uint8_t buffers[16][8 * 34]; /* the largest blocks of 256 values */
    for (uint32_t k = 0; k < p->cols; k += L2_SUM_BLOCK) {
        uint32_t n = p->cols - k < L2_SUM_BLOCK ? p->cols - k : L2_SUM_BLOCK;
        for (uint32_t j = 0; j < p->width; j += 16) {
            const uint8_t *blocks[16] = {0};
            for (uint32_t r = 0; r < 16; r++)
                if (rows->bytes[j + r])
                    blocks[r] = row_blocks(buffers[r], rows->parts[j + r], rows->bytes[j + r],
                                           p->layout, k, n);
            l2_pack_stripe(out, p->layout, blocks, n);
            out += l2_layout_stripe(p->layout, n);
        }
    }
}

static void pack_panel(void *arg, size_t index)
{
    const struct pack *job = arg;
    const struct l2_piece *piece = job->w->pieces;
    struct rows rows = {0};
    for (; index >= l2_piece_panels(piece); piece++)
        index -= l2_piece_panels(piece);
    struct l2_panel p = l2_piece_panel(job->w, piece, index);
    char *out = (char *)job->w->data + ((const char *)p.data - (const char *)job->w->data);
    for (uint32_t r = 0; r < p.valid; r++) {
        uint32_t row = piece->first + (uint32_t)index * L2_PANEL + r;
        rows.parts[r] = l2_weight_part(job->parts, &row);
        rows.bytes[r] = l2_tensor_row_bytes(rows.parts[r], job->head_dim, row);
    }
    if (l2_layout_quantised(p.layout))
        pack_quantised((uint8_t *)out, &p, &rows);
    else
        pack_floats(out, &p, &rows);
}

int l2_native_pack(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                   const struct l2_pack_opts *opts, struct l2_pool *pool, struct l2_err *err)
{
    struct pack job = {out, parts, opts->head_dim};
    size_t n_panels = 0;
    int r = l2_native_plan(out, parts, n_parts, opts, err);
    if (r != L2_OK)
        return r;
    out->data = l2_aligned_alloc(out->bytes, 1, err);
    if (!out->data)
        return err ? err->code : L2_MEMORY;
    for (size_t i = 0; i < out->n_pieces; i++)
        n_panels += l2_piece_panels(&out->pieces[i]);
    l2_pool_run(pool, pack_panel, &job, n_panels);
    return L2_OK;
}
