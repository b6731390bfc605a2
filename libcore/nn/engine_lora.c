/* Adapters in the engine's forward pass, so that one packed copy of the weights serves a model with
 * and without them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/engine_state.h"

#include <stdlib.h>

#include "kern/aligned.h"
#include "kern/ops.h"
#include "nn/lora.h"

/* The projections of a packed matrix, in its order. */
static const enum l2_role roles[L2_N_GROUPS][L2_MAX_PARTS] = {
    [L2_GROUP_QKV] = {L2_T_Q, L2_T_K, L2_T_V},
    [L2_GROUP_O] = {L2_T_O},
    [L2_GROUP_GATE_UP] = {L2_T_GATE, L2_T_UP},
    [L2_GROUP_DOWN] = {L2_T_DOWN},
};
static const size_t n_roles[L2_N_GROUPS] = {3, 1, 2, 1};

/* Of one packed matrix: the A of its projections one below the other, as they have one input. */
struct l2_engine_adapter {
    struct l2_weight a; /* (n rank, cols), or empty: none of its projections has an adapter */
    struct l2_weight b[L2_MAX_PARTS]; /* (rows, rank), or empty */
};

struct l2_engine_lora {
    const struct l2_backend *backend;
    struct l2_engine_adapter *adapters; /* (n_layers, L2_N_GROUPS) */
    size_t n;                           /* of them */
    size_t rank;
    float scale;
    float *u;      /* (max_rows, L2_MAX_PARTS rank) scale A x */
    float *part;   /* (max_rows, rank) that of one projection */
    float *y;      /* (max_rows, rows of the widest) */
    void *scratch; /* or NULL */
};

static void lora_free(struct l2_engine_lora *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++) {
        l->backend->release(&l->adapters[i].a);
        for (size_t j = 0; j < L2_MAX_PARTS; j++)
            l->backend->release(&l->adapters[i].b[j]);
    }
    free(l->adapters);
    free(l->u);
    free(l->part);
    free(l->y);
    free(l->scratch);
    free(l);
}

void l2_engine_lora_free(struct l2_engine *e)
{
    lora_free(e->lora);
    e->lora = NULL;
}

static bool same_projections(const struct l2_hparams *a, const struct l2_hparams *b)
{
    bool same = a->n_layers == b->n_layers;
    for (int role = L2_T_Q; role <= L2_T_DOWN; role++) {
        uint32_t rows[2], cols[2];
        l2_role_shape(a, (enum l2_role)role, &rows[0], &cols[0]);
        l2_role_shape(b, (enum l2_role)role, &rows[1], &cols[1]);
        same = same && rows[0] == rows[1] && cols[0] == cols[1];
    }
    return same;
}

static struct l2_tensor matrix(const float *values, uint32_t rows, uint32_t cols)
{
    return (struct l2_tensor){
        .dtype = L2_F32, .rows = rows, .cols = cols, .data = (const uint8_t *)values};
}

static int pack_adapter(struct l2_engine *e, struct l2_engine_adapter *out, enum l2_group group,
                        const struct l2_lora *lora, uint32_t layer, struct l2_err *err)
{
    const struct l2_pack_opts opts = {.head_dim = e->hp.head_dim};
    const struct l2_backend *backend = e->weights.backend;
    struct l2_tensor a[L2_MAX_PARTS];
    const struct l2_tensor *parts[L2_MAX_PARTS];
    size_t n = 0;
    int rc = L2_OK;
    for (size_t i = 0; i < n_roles[group] && rc == L2_OK; i++) {
        float *values[2];
        uint32_t rows, cols;
        if (!l2_lora_at(lora, roles[group][i], layer, &values[0], &values[1]))
            continue;
        l2_role_shape(&e->hp, roles[group][i], &rows, &cols);
        a[n] = matrix(values[0], lora->opts.rank, cols);
        parts[n] = &a[n];
        n++;
        struct l2_tensor b = matrix(values[1], rows, lora->opts.rank);
        const struct l2_tensor *only[] = {&b};
        rc = backend->pack(&out->b[i], only, 1, &opts, e->opts.pool, err);
    }
    if (rc == L2_OK && n > 0)
        rc = backend->pack(&out->a, parts, n, &opts, e->opts.pool, err);
    return rc;
}

static int alloc_work(struct l2_engine *e, struct l2_engine_lora *l, struct l2_err *err)
{
    size_t rows = e->opts.max_rows, widest = 0, scratch = 0;
    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; j <= L2_MAX_PARTS; j++) {
            const struct l2_weight *w = j < L2_MAX_PARTS ? &l->adapters[i].b[j] : &l->adapters[i].a;
            size_t bytes = l->backend->scratch(w, rows);
            scratch = bytes > scratch ? bytes : scratch;
            widest = w->rows > widest ? w->rows : widest;
        }
    l->u = l2_aligned_alloc(rows * L2_MAX_PARTS * l->rank, sizeof *l->u, err);
    l->part = l2_aligned_alloc(rows * l->rank, sizeof *l->part, err);
    l->y = l2_aligned_alloc(rows * widest, sizeof *l->y, err);
    if (scratch > 0)
        l->scratch = l2_aligned_alloc(scratch, 1, err);
    return l->u && l->part && l->y && (l->scratch || scratch == 0) ? L2_OK : L2_MEMORY;
}

int l2_engine_set_lora(struct l2_engine *e, const struct l2_lora *lora, struct l2_err *err)
{
    uint32_t layers = e->weights.n_layers;
    l2_engine_lora_free(e);
    if (!lora)
        return L2_OK;
    if (!same_projections(&e->hp, &lora->hp))
        return l2_err_set(err, L2_ARGUMENT, "adapters for a model of another shape");
    struct l2_engine_lora *l = calloc(1, sizeof *l);
    if (!l)
        return l2_err_memory(err, sizeof *l);
    *l = (struct l2_engine_lora){.backend = e->weights.backend,
                                 .rank = lora->opts.rank,
                                 .scale = lora->opts.alpha / (float)lora->opts.rank};
    int rc = L2_OK;
    l->adapters = calloc((size_t)layers * L2_N_GROUPS, sizeof *l->adapters);
    if (!l->adapters)
        rc = l2_err_memory(err, (size_t)layers * L2_N_GROUPS * sizeof *l->adapters);
    for (size_t i = 0; rc == L2_OK && i < (size_t)layers * L2_N_GROUPS; i++) {
        l->n++;
        rc = pack_adapter(e, &l->adapters[i], (enum l2_group)(i % L2_N_GROUPS), lora,
                          (uint32_t)(i / L2_N_GROUPS), err);
    }
    if (rc == L2_OK)
        rc = alloc_work(e, l, err);
    if (rc == L2_OK)
        e->lora = l;
    else
        lora_free(l);
    return rc;
}

/* ---- a pass ---- */

/* Columns [first, first + width) of y (rows, ld) += what is in l->y (rows, width). */
struct add_job {
    float *y;
    size_t first, width, ld;
};

static void add_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    const struct add_job *job = arg;
    for (size_t i = first; i < first + n; i++)
        l2_add_fwd(job->y + i * job->ld + job->first, e->lora->y + i * job->width, job->width);
}

void l2_engine_adapt(struct l2_engine *e, float *y, const float *x, const struct l2_weight *w,
                     enum l2_group group, size_t n_rows)
{
    const struct l2_engine_lora *l = e->lora;
    const struct l2_engine_adapter *ad = &l->adapters[(size_t)e->layer * L2_N_GROUPS + group];
    struct add_job job = {.y = y, .ld = w->rows};
    size_t at = 0; /* in a row of u */
    if (!ad->a.data)
        return;
    l->backend->linear(e->opts.pool, l->u, x, n_rows, &ad->a, l->scratch);
    for (size_t i = 0; i < n_roles[group]; i++, job.first += job.width) {
        uint32_t rows, cols;
        l2_role_shape(&e->hp, roles[group][i], &rows, &cols);
        job.width = rows;
        if (!ad->b[i].data)
            continue;
        for (size_t row = 0; row < n_rows; row++)
            for (size_t k = 0; k < l->rank; k++)
                l->part[row * l->rank + k] = l->scale * l->u[row * ad->a.rows + at + k];
        at += l->rank;
        l->backend->linear(e->opts.pool, l->y, l->part, n_rows, &ad->b[i], l->scratch);
        l2_engine_rows(e, add_rows, &job, n_rows, job.width);
    }
}
