/* Parameters in memory as a model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/params_view.h"

#include <stdlib.h>

/* Tensors of models are little-endian bytes. */
static bool is_little_endian(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

static struct l2_tensor view(const struct l2_params *p, size_t i)
{
    struct l2_tensor t = {.dtype = L2_F32};
    enum l2_role role;
    uint32_t layer;
    l2_tensor_at(&p->hp, i, &role, &layer);
    l2_role_shape(&p->hp, role, &t.rows, &t.cols);
    t.data = (const uint8_t *)l2_params_at(p, role, layer);
    if (!t.data) {
        t.dtype = L2_BF16;
        t.data = (const uint8_t *)(p->frozen + p->offset[i]);
    }
    return t;
}

int l2_params_view(struct l2_model **out, const struct l2_params *p, struct l2_err *err)
{
    *out = NULL;
    if (!is_little_endian())
        return l2_err_set(err, L2_UNSUPPORTED, "a model in memory, on a big-endian machine");
    struct l2_model *m = calloc(1, sizeof *m);
    if (!m)
        return l2_err_memory(err, sizeof *m);
    m->hp = p->hp;
    m->tensors = calloc(p->n_tensors, sizeof *m->tensors);
    if (!m->tensors) {
        l2_model_close(m);
        return l2_err_memory(err, p->n_tensors * sizeof *m->tensors);
    }
    for (size_t i = 0; i < p->n_tensors; i++)
        m->tensors[i] = view(p, i);
    *out = m;
    return L2_OK;
}
