/* A model's parameters in memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/params.h"

#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/ops.h"
#include "util/num.h"

#define ALIGN 16 /* floats */

struct load {
    const struct l2_params *p;
    const struct l2_tensor *t;
    float *out;     /* or, where it is NULL, */
    uint16_t *half; /* in bf16 */
};

/* Whether a role's tensors are in frozen. */
static bool is_frozen(const struct l2_params *p, enum l2_role role)
{
    return p->frozen && l2_roles[role].decayed && role != L2_T_SCORE;
}

/* Sets offsets; sizes[0] floats go into values, and of frozen parameters sizes[1] into frozen. */
static int plan(struct l2_params *p, bool frozen, size_t sizes[2], struct l2_err *err)
{
    sizes[0] = sizes[1] = 0;
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        size_t n;
        l2_tensor_at(&p->hp, i, &role, &layer);
        size_t *at = &sizes[frozen && l2_roles[role].decayed && role != L2_T_SCORE];
        p->offset[i] = *at;
        l2_role_shape(&p->hp, role, &rows, &cols);
        if (!l2_mul_size(rows, cols, &n) || !l2_add_size(n, ALIGN - 1, &n) ||
            !l2_add_size(*at, n / ALIGN * ALIGN, at))
            return l2_err_set(err, L2_LIMIT, "the parameters do not fit into memory");
    }
    p->offset[p->n_tensors] = sizes[frozen];
    return L2_OK;
}

static int allocate(struct l2_params *p, bool frozen, struct l2_err *err)
{
    size_t sizes[2];
    int r = plan(p, frozen, sizes, err);
    if (r != L2_OK)
        return r;
    p->values = l2_aligned_alloc(sizes[0], sizeof *p->values, err);
    if (frozen)
        p->frozen = l2_aligned_alloc(sizes[1], sizeof *p->frozen, err);
    if (!p->values || (frozen && !p->frozen))
        return err ? err->code : L2_MEMORY;
    memset(p->values, 0, sizes[0] * sizeof *p->values);
    if (frozen)
        memset(p->frozen, 0, sizes[1] * sizeof *p->frozen);
    return L2_OK;
}

static int new (struct l2_params **out, const struct l2_hparams *hp, bool frozen,
                struct l2_err *err)
{
    struct l2_params *p = calloc(1, sizeof *p);
    int r;
    *out = NULL;
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->hp = *hp;
    p->n_tensors = l2_tensor_count(hp);
    p->offset = calloc(p->n_tensors + 1, sizeof *p->offset);
    r = p->offset ? allocate(p, frozen, err)
                  : l2_err_memory(err, (p->n_tensors + 1) * sizeof *p->offset);
    if (r == L2_OK)
        *out = p;
    else
        l2_params_free(p);
    return r;
}

int l2_params_new(struct l2_params **out, const struct l2_hparams *hp, struct l2_err *err)
{
    return new (out, hp, false, err);
}

int l2_params_new_frozen(struct l2_params **out, const struct l2_hparams *hp, struct l2_err *err)
{
    return new (out, hp, true, err);
}

void l2_params_free(struct l2_params *p)
{
    if (!p)
        return;
    free(p->offset);
    free(p->values);
    free(p->frozen);
    free(p);
}

#define STEP 256 /* values that l2_tensor_values converts at a time */

static void load_row(void *arg, size_t row)
{
    const struct load *l = arg;
    const struct l2_tensor *t = l->t;
    uint32_t head_dim = l->p->hp.head_dim;
    if (l->out) {
        l2_tensor_row(t, head_dim, (uint32_t)row, l->out + row * t->cols);
        return;
    }
    const uint8_t *bytes = l2_tensor_row_bytes(t, head_dim, (uint32_t)row);
    uint16_t *out = l->half + row * t->cols;
    for (uint32_t k = 0; k < t->cols; k += STEP) {
        float v[STEP];
        uint32_t n = t->cols - k < STEP ? t->cols - k : STEP;
        l2_tensor_values(t, bytes, k, n, v);
        for (uint32_t i = 0; i < n; i++)
            out[k + i] = l2_bf16_from_f32(v[i]);
    }
}

void l2_params_load(struct l2_params *p, const struct l2_model *m, struct l2_pool *pool)
{
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&p->hp, i, &role, &layer);
        struct load l = {p, l2_model_tensor(m, role, layer), NULL, NULL};
        if (!l.t)
            continue;
        if (is_frozen(p, role))
            l.half = p->frozen + p->offset[i];
        else
            l.out = p->values + p->offset[i];
        l2_pool_run(pool, load_row, &l, l.t->rows);
        l2_model_drop_tensor(m, l.t);
    }
}

float *l2_params_at(const struct l2_params *p, enum l2_role role, uint32_t layer)
{
    size_t i = l2_tensor_index(&p->hp, role, layer);
    return i == SIZE_MAX || is_frozen(p, role) ? NULL : p->values + p->offset[i];
}

void l2_params_get(const struct l2_params *p, enum l2_role role, uint32_t layer, size_t first,
                   size_t n, float *out)
{
    size_t at = p->offset[l2_tensor_index(&p->hp, role, layer)] + first;
    if (is_frozen(p, role))
        l2_from_bf16(out, p->frozen + at, n);
    else
        memcpy(out, p->values + at, n * sizeof *out);
}

int l2_params_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                   float *out, struct l2_err *err)
{
    const struct l2_params *p = arg;
    uint32_t rows, cols;
    (void)err;
    l2_role_shape(&p->hp, role, &rows, &cols);
    l2_params_get(p, role, layer, (size_t)row * cols, (size_t)n_rows * cols, out);
    return L2_OK;
}
