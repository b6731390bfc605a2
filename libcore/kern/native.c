/* The native backend: weights packed into panels whose rows are vector lanes. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/backend.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/linear.h"
#include "kern/simd.h"
#include "kern/weight.h"
#include "util/num.h"

/* Counted up whenever a change of the kernels changes the bits of any result. */
#define KERNELS_VERSION 1

/* Columns that pack_panel moves at a time: a line of each of the panel's rows. */
#define STRIP 16

struct pack {
    struct l2_weight *w;
    const struct l2_tensor *const *parts;
    uint32_t head_dim;
};

static void describe(char *out, size_t out_size)
{
    snprintf(out, out_size, "native %d%s%s", KERNELS_VERSION, l2_simd_best()->fused ? " fused" : "",
             FLT_EVAL_METHOD == 0 ? "" : " x87");
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

/* A row whose type may be another than the panel's, which is then F32. */
static void convert_row(float *out, uint32_t width, const struct l2_tensor *t, const uint8_t *p)
{
    float values[256];
    for (uint32_t k = 0; k < t->cols; k += 256) {
        uint32_t n = t->cols - k < 256 ? t->cols - k : 256;
        l2_tensor_values(t, p, k, n, values);
        for (uint32_t i = 0; i < n; i++)
            out[(size_t)(k + i) * width] = values[i];
    }
}

static void pack_panel(void *arg, size_t index)
{
    const struct pack *job = arg;
    const struct l2_weight *w = job->w;
    struct l2_panel panel = l2_linear_panel(w, (uint32_t)index);
    const uint8_t *rows[L2_PANEL];
    const struct l2_tensor *parts[L2_PANEL];
    size_t size = l2_dtype_size(w->dtype);
    char *out = (char *)w->data + index * L2_PANEL * w->cols * size;
    bool same = true;
    if (panel.valid < panel.width)
        memset(out, 0, (size_t)w->cols * panel.width * size);
    for (uint32_t r = 0; r < panel.valid; r++) {
        uint32_t row = (uint32_t)index * L2_PANEL + r;
        parts[r] = l2_weight_part(job->parts, &row);
        rows[r] = l2_tensor_row_bytes(parts[r], job->head_dim, row);
        same = same && parts[r]->dtype == w->dtype;
    }
    if (same)
        for (size_t k = 0; k < w->cols; k += STRIP)
            transpose_strip(out, rows, panel.valid, panel.width, k,
                            w->cols - k < STRIP ? w->cols - k : STRIP, size);
    else
        for (uint32_t r = 0; r < panel.valid; r++)
            convert_row((float *)(void *)out + r, panel.width, parts[r], rows[r]);
}

static int pack(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                uint32_t head_dim, struct l2_pool *pool, struct l2_err *err)
{
    struct pack job = {out, parts, head_dim};
    size_t values;
    int r = l2_weight_init(out, parts, n_parts, err);
    if (r != L2_OK)
        return r;
    size_t padded = ((size_t)out->rows + 15) / 16 * 16;
    if (!l2_mul_size(padded, out->cols, &values))
        return l2_err_set(err, L2_LIMIT, "a matrix of %u rows and %u columns is too large",
                          (unsigned)out->rows, (unsigned)out->cols);
    out->data = l2_aligned_alloc(values, l2_dtype_size(out->dtype), err);
    if (!out->data)
        return err ? err->code : L2_MEMORY;
    out->bytes = values * l2_dtype_size(out->dtype);
    l2_pool_run(pool, pack_panel, &job, l2_linear_panels(out));
    return L2_OK;
}

static void linear(struct l2_pool *pool, float *y, const float *x, size_t m,
                   const struct l2_weight *w)
{
    l2_linear_run(l2_simd_best(), pool, y, x, m, w);
}

const struct l2_backend l2_backend_native = {
    .name = "native",
    .describe = describe,
    .pack = pack,
    .release = l2_weight_release,
    .linear = linear,
};
