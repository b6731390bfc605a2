/* Makes engines: weights, KV cache and all working memory. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/engine_state.h"

#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/native_pack.h"
#include "kern/ops.h"
#include "util/num.h"

/* n * width values of size bytes; NULL and *r set on failure, nothing where *r is set already. They
 * are only counted where the engine is only planned. */
static void *buffer(struct l2_engine *e, size_t n, size_t width, size_t size, int *r,
                    struct l2_err *err)
{
    size_t values;
    void *p = NULL;
    if (*r != L2_OK)
        return NULL;
    if (!l2_mul_size(n, width, &values)) {
        *r = l2_err_set(err, L2_LIMIT, "%zu rows of %zu values do not fit into memory", n, width);
        return NULL;
    }
    if (!e->planned && !(p = l2_aligned_alloc(values, size, err)))
        *r = L2_MEMORY;
    else
        e->work_bytes += values * size;
    return p;
}

static int alloc_buffers(struct l2_engine *e, struct l2_err *err)
{
    const struct l2_hparams *hp = &e->hp;
    size_t n = e->opts.max_rows, q_width = (size_t)hp->n_heads * hp->head_dim;
    size_t kv_width = (size_t)hp->n_kv_heads * hp->head_dim;
    int r = L2_OK;
    e->frequency = buffer(e, hp->head_dim / 2, 1, sizeof(double), &r, err);
    e->rows = buffer(e, n, 1, sizeof *e->rows, &r, err);
    e->wanted = buffer(e, n, 1, sizeof *e->wanted, &r, err);
    e->chunks = buffer(e, n, 1, sizeof *e->chunks, &r, err);
    const struct {
        float **p;
        size_t n, width;
    } floats[] = {
        {&e->cos, n, hp->head_dim / 2},
        {&e->sin, n, hp->head_dim / 2},
        {&e->x, n, hp->dim},
        {&e->h, n, hp->dim},
        {&e->delta, n, hp->dim},
        {&e->qkv, n, q_width + 2 * kv_width},
        {&e->q, n, q_width},
        {&e->o, n, q_width},
        {&e->max, n, hp->n_heads},
        {&e->sum, n, hp->n_heads},
        {&e->att, n, q_width},
        {&e->gate_up, n, 2 * (size_t)hp->hidden},
        {&e->act, n, hp->hidden},
        {&e->values, e->opts.max_outputs, e->weights.head.rows},
    };
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (floats[i].width > 0)
            *floats[i].p = buffer(e, floats[i].n, floats[i].width, sizeof(float), &r, err);
    size_t scratch = l2_weights_scratch(&e->weights, n);
    if (scratch > 0)
        e->scratch = buffer(e, scratch, 1, 1, &r, err);
    return r;
}

static int check_opts(const struct l2_hparams *hp, const struct l2_engine_opts *opts,
                      struct l2_err *err)
{
    if (opts->max_rows == 0 || opts->max_outputs == 0)
        return l2_err_set(err, L2_ARGUMENT, "a forward pass needs at least one row and one output");
    if (opts->n_layers > hp->n_layers)
        return l2_err_set(err, L2_ARGUMENT, "the model has %u layers, asked for %u",
                          (unsigned)hp->n_layers, (unsigned)opts->n_layers);
    return L2_OK;
}

int l2_engine_new(struct l2_engine **out, const struct l2_model *m,
                  const struct l2_engine_opts *opts, struct l2_err *err)
{
    *out = NULL;
    int r = check_opts(&m->hp, opts, err);
    if (r != L2_OK)
        return r;
    struct l2_engine *e = calloc(1, sizeof *e);
    if (!e)
        return l2_err_memory(err, sizeof *e);
    e->hp = m->hp;
    e->opts = *opts;
    if (e->opts.max_outputs > e->opts.max_rows)
        e->opts.max_outputs = e->opts.max_rows;
    struct l2_hparams run = m->hp;
    if (opts->n_layers > 0)
        run.n_layers = opts->n_layers;
    bool whole = opts->n_layers == 0;
    e->opts.pack.lender = opts->lender ? &opts->lender->weights : NULL;
    r = l2_kv_pool_new(&e->kv, &run, opts->kv_type, opts->kv_bytes, err);
    if (r == L2_OK)
        r = l2_weights_init(&e->weights, m, opts->backend, run.n_layers, whole,
                            whole && !opts->no_head, &e->opts.pack, opts->pool, err);
    if (r == L2_OK)
        r = alloc_buffers(e, err);
    if (r != L2_OK) {
        l2_engine_free(e);
        return r;
    }
    l2_rope_frequencies(e->frequency, &e->hp);
    *out = e;
    return L2_OK;
}

void l2_engine_free(struct l2_engine *e)
{
    if (!e)
        return;
    void *const owned[] = {e->frequency, e->rows, e->wanted, e->chunks, e->cos,
                           e->sin,       e->x,    e->h,      e->delta,  e->qkv,
                           e->q,         e->o,    e->max,    e->sum,    e->att,
                           e->gate_up,   e->act,  e->values, e->scratch};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    l2_engine_lora_free(e);
    l2_weights_release(&e->weights);
    l2_kv_pool_free(e->kv);
    free(e);
}

const struct l2_hparams *l2_engine_hparams(const struct l2_engine *e)
{
    return &e->hp;
}

struct l2_kv_pool *l2_engine_kv(const struct l2_engine *e)
{
    return e->kv;
}

bool l2_engine_shares_prefixes(const struct l2_engine *e)
{
    return !e->opts.no_prefix_sharing;
}

uint32_t l2_engine_max_rows(const struct l2_engine *e)
{
    return e->opts.max_rows;
}

uint32_t l2_engine_max_outputs(const struct l2_engine *e)
{
    return e->opts.max_outputs;
}

struct l2_engine_memory l2_engine_memory(const struct l2_engine *e)
{
    struct l2_hparams run = e->hp;
    run.n_layers = e->weights.n_layers;
    return (struct l2_engine_memory){.weights = e->weights.bytes,
                                     .work = e->work_bytes,
                                     .kv = l2_kv_pool_blocks(e->kv) *
                                           l2_kv_block_bytes(&run, e->opts.kv_type),
                                     .lent = e->weights.lent};
}

/* The embedding is read where it lies, unless it is the head, too. */
static uint64_t planned_weights(const struct l2_hparams *hp, enum l2_dtype dtype,
                                const struct l2_weights_opts *opts)
{
    const struct l2_pack_opts pack = {hp->head_dim, opts->type, opts->narrow};
    uint64_t sum = 0;
    for (size_t i = 0; i < l2_tensor_count(hp); i++) {
        const struct l2_tensor *part[1];
        struct l2_tensor t = {.dtype = dtype};
        struct l2_weight w;
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &t.rows, &t.cols);
        part[0] = &t;
        if (role == L2_T_EMBED && !hp->tied)
            continue;
        if (!l2_roles[role].decayed)
            sum += (uint64_t)t.rows * t.cols * sizeof(float);
        else if (l2_native_plan(&w, part, 1, &pack, NULL) == L2_OK)
            sum += w.bytes;
    }
    return sum;
}

struct l2_engine_memory l2_engine_plan(const struct l2_hparams *hp, enum l2_dtype dtype,
                                       const struct l2_engine_opts *opts)
{
    struct l2_engine e = {.hp = *hp, .opts = *opts, .planned = true};
    struct l2_err err;
    uint64_t block = l2_kv_block_bytes(hp, opts->kv_type);
    uint64_t blocks = opts->kv_bytes / block;
    e.weights.backend = opts->backend;
    e.weights.head.rows = hp->head == L2_HEAD_LABELS ? hp->n_labels : hp->vocab_size;
    (void)alloc_buffers(&e, &err);
    return (struct l2_engine_memory){.weights = planned_weights(hp, dtype, &opts->pack),
                                     .work = e.work_bytes,
                                     .kv = blocks * block};
}
