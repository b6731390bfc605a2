/* A model's parameters in memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/params.h"

#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "util/num.h"

#define ALIGN 16 /* floats */

struct load {
    const struct l2_params *p;
    const struct l2_tensor *t;
    float *out;
};

static int plan(struct l2_params *p, struct l2_err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        size_t n;
        p->offset[i] = at;
        l2_tensor_at(&p->hp, i, &role, &layer);
        l2_role_shape(&p->hp, role, &rows, &cols);
        if (!l2_mul_size(rows, cols, &n) || !l2_add_size(n, ALIGN - 1, &n) ||
            !l2_add_size(at, n / ALIGN * ALIGN, &at))
            return l2_err_set(err, L2_LIMIT, "the parameters do not fit into memory");
    }
    p->offset[p->n_tensors] = at;
    return L2_OK;
}

int l2_params_new(struct l2_params **out, const struct l2_hparams *hp, struct l2_err *err)
{
    struct l2_params *p = calloc(1, sizeof *p);
    int r;
    *out = NULL;
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->hp = *hp;
    p->n_tensors = l2_tensor_count(hp);
    p->offset = calloc(p->n_tensors + 1, sizeof *p->offset);
    r = p->offset ? plan(p, err) : l2_err_memory(err, (p->n_tensors + 1) * sizeof *p->offset);
    if (r == L2_OK) {
        p->values = l2_aligned_alloc(p->offset[p->n_tensors], sizeof *p->values, err);
        r = p->values ? L2_OK : L2_MEMORY;
    }
    if (r != L2_OK) {
        l2_params_free(p);
        return r;
    }
    memset(p->values, 0, p->offset[p->n_tensors] * sizeof *p->values);
    *out = p;
    return L2_OK;
}

void l2_params_free(struct l2_params *p)
{
    if (!p)
        return;
    free(p->offset);
    free(p->values);
    free(p);
}

/* Norms and biases lie in one run of values, which the table may call rows or columns. */
static void load_row(void *arg, size_t row)
{
    const struct load *l = arg;
    l2_tensor_row(l->t, l->p->hp.head_dim, (uint32_t)row, l->out + row * l->t->cols);
}

void l2_params_load(struct l2_params *p, const struct l2_model *m, struct l2_pool *pool)
{
    for (size_t i = 0; i < p->n_tensors; i++) {
        struct load l = {p, &m->tensors[i], p->values + p->offset[i]};
        l2_pool_run(pool, load_row, &l, l.t->rows);
    }
}

float *l2_params_at(const struct l2_params *p, enum l2_role role, uint32_t layer)
{
    size_t i = l2_tensor_index(&p->hp, role, layer);
    return i == SIZE_MAX ? NULL : p->values + p->offset[i];
}

int l2_params_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                   float *out, struct l2_err *err)
{
    const struct l2_params *p = arg;
    uint32_t rows, cols;
    (void)err;
    l2_role_shape(&p->hp, role, &rows, &cols);
    memcpy(out, l2_params_at(p, role, layer) + (size_t)row * cols,
           (size_t)n_rows * cols * sizeof *out);
    return L2_OK;
}
