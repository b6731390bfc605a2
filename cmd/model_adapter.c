/* l2-model merge: a model with low-rank adapters added to its matrices. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <stdlib.h>

#include "model/adapter.h"

/* A model on its way. */
struct adapted {
    struct l2_cli *cli;
    const struct l2_model *base;
    const struct l2_adapter *adapter;
    float *scratch; /* owned */
    uint64_t done, total;
};

static void one_row(const struct adapted *m, enum l2_role role, uint32_t layer, uint32_t row,
                    float *out)
{
    uint32_t head_dim = m->base->hp.head_dim;
    if (role == L2_T_SCORE && m->adapter->score.data) {
        l2_tensor_row(&m->adapter->score, head_dim, row, out);
        return;
    }
    l2_tensor_row(l2_model_tensor(m->base, role, layer), head_dim, row, out);
    l2_adapter_add(m->adapter, role, layer, row, out, m->scratch);
}

static int adapted_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                        float *out, struct l2_err *err)
{
    struct adapted *m = arg;
    uint32_t rows, cols;
    (void)err;
    l2_role_shape(&m->adapter->hp, role, &rows, &cols);
    for (uint32_t i = 0; i < n_rows; i++)
        one_row(m, role, layer, row + i, out + (size_t)i * cols);
    m->done += (uint64_t)n_rows * cols;
    l2_cli_progress(m->cli, m->done, m->total, "parameters");
    return L2_OK;
}

int model_write_adapted(struct l2_cli *cli, const struct model_out *out, struct l2_model *base,
                        const char *path, struct l2_err *err)
{
    struct adapted m = {.cli = cli, .base = base};
    const struct l2_model_source source = {.rows = adapted_rows, .arg = &m};
    struct l2_adapter *adapter;
    size_t widest = 0;
    int r = l2_adapter_open(&adapter, path, &base->hp, err);
    if (r != L2_OK)
        return r;
    for (size_t i = 0; i < l2_tensor_count(&base->hp); i++)
        widest = base->tensors[i].cols > widest ? base->tensors[i].cols : widest;
    widest += adapter->rank;
    m.adapter = adapter;
    m.total = l2_hparams_parameters(&adapter->hp);
    m.scratch = calloc(widest, sizeof *m.scratch);
    r = m.scratch ? model_write_rows(cli, out, base, &adapter->hp, &source, err)
                  : l2_err_memory(err, widest * sizeof *m.scratch);
    free(m.scratch);
    l2_adapter_close(adapter);
    return r;
}
