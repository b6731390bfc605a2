/* Low-rank adapters in memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/ops.h"
#include "util/num.h"
#include "util/philox.h"

#define ALIGN 16 /* floats */

static bool has(const struct l2_lora *l, enum l2_role role)
{
    return (l->opts.roles & L2_LORA_BIT(role)) != 0;
}

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int plan(struct l2_lora *l, struct l2_err *err)
{
    size_t at = 0, rank = l->opts.rank;
    for (int role = 0; role < L2_N_ROLES; role++) {
        uint32_t rows, cols;
        if (!has(l, (enum l2_role)role))
            continue;
        l2_role_shape(&l->hp, (enum l2_role)role, &rows, &cols);
        if (rank > rows || rank > cols)
            return l2_err_set(err, L2_ARGUMENT, "adapters of rank %zu for matrices of %u x %u",
                              rank, (unsigned)rows, (unsigned)cols);
        l->offset[role] = at; /* rank <= both sides: no more than twice the matrix itself */
        at += aligned(rank * cols) + aligned(rank * rows);
    }
    l->per_layer = at;
    if (!l2_mul_size(at, l->hp.n_layers, &l->n))
        return l2_err_set(err, L2_LIMIT, "the adapters do not fit into memory");
    return L2_OK;
}

int l2_lora_new(struct l2_lora **out, const struct l2_hparams *hp, const struct l2_lora_opts *opts,
                struct l2_err *err)
{
    *out = NULL;
    if (opts->rank == 0 || opts->roles == 0 || (opts->roles & ~L2_LORA_ALL) != 0)
        return l2_err_set(err, L2_ARGUMENT, "adapters need a rank above 0, and projections");
    struct l2_lora *l = calloc(1, sizeof *l);
    if (!l)
        return l2_err_memory(err, sizeof *l);
    l->hp = *hp;
    l->opts = *opts;
    int r = plan(l, err);
    if (r == L2_OK) {
        l->values = l2_aligned_alloc(l->n, sizeof *l->values, err);
        r = l->values ? L2_OK : L2_MEMORY;
    }
    if (r != L2_OK) {
        l2_lora_free(l);
        return r;
    }
    memset(l->values, 0, l->n * sizeof *l->values);
    *out = l;
    return L2_OK;
}

void l2_lora_free(struct l2_lora *l)
{
    if (!l)
        return;
    free(l->values);
    free(l);
}

bool l2_lora_at(const struct l2_lora *l, enum l2_role role, uint32_t layer, float **a, float **b)
{
    uint32_t rows, cols;
    if (!has(l, role))
        return false;
    l2_role_shape(&l->hp, role, &rows, &cols);
    *a = l->values + layer * l->per_layer + l->offset[role];
    *b = *a + aligned((size_t)l->opts.rank * cols);
    return true;
}

void l2_lora_init(struct l2_lora *l, uint64_t seed)
{
    struct l2_philox_key key = l2_philox_key_of(seed);
    memset(l->values, 0, l->n * sizeof *l->values);
    for (uint32_t layer = 0; layer < l->hp.n_layers; layer++)
        for (int role = 0; role < L2_N_ROLES; role++) {
            uint32_t rows, cols;
            float *a, *b;
            l2_role_shape(&l->hp, (enum l2_role)role, &rows, &cols);
            if (!l2_lora_at(l, (enum l2_role)role, layer, &a, &b))
                continue;
            for (size_t i = 0; i < (size_t)l->opts.rank * cols; i++) {
                double u = l2_philox_uniform(key, (uint64_t)layer * L2_N_ROLES + (uint64_t)role, i);
                a[i] = (float)((2 * u - 1) / sqrt(cols));
            }
        }
}

struct merge {
    float *w;
    const float *a, *b;
    size_t rank, cols;
    float scale;
};

static void merge_row(void *arg, size_t row)
{
    const struct merge *m = arg;
    for (size_t j = 0; j < m->rank; j++)
        l2_dot_bwd(m->w + row * m->cols, m->a + j * m->cols, m->scale * m->b[row * m->rank + j],
                   m->cols);
}

int l2_lora_merged_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                        float *out, struct l2_err *err)
{
    const struct l2_lora_merged *from = arg;
    const struct l2_lora *l = from->lora;
    uint32_t rows, cols;
    float *a, *b;
    int r = l2_params_rows(from->params, role, layer, row, n_rows, out, err);
    if (r != L2_OK || !l2_lora_at(l, role, layer, &a, &b))
        return r;
    l2_role_shape(&l->hp, role, &rows, &cols);
    struct merge m = {.w = out,
                      .a = a,
                      .b = b + (size_t)row * l->opts.rank,
                      .rank = l->opts.rank,
                      .cols = cols,
                      .scale = l->opts.alpha / (float)l->opts.rank};
    for (uint32_t i = 0; i < n_rows; i++)
        merge_row(&m, i);
    return L2_OK;
}

void l2_lora_merge(struct l2_params *p, const struct l2_lora *l, struct l2_pool *pool)
{
    for (uint32_t layer = 0; layer < l->hp.n_layers; layer++)
        for (int role = 0; role < L2_N_ROLES; role++) {
            uint32_t rows, cols;
            float *a, *b;
            l2_role_shape(&l->hp, (enum l2_role)role, &rows, &cols);
            if (!l2_lora_at(l, (enum l2_role)role, layer, &a, &b))
                continue;
            struct merge m = {.w = l2_params_at(p, (enum l2_role)role, layer),
                              .a = a,
                              .b = b,
                              .rank = l->opts.rank,
                              .cols = cols,
                              .scale = l->opts.alpha / (float)l->opts.rank};
            l2_pool_run(pool, merge_row, &m, rows);
        }
}
