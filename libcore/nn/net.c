/* The differentiable model: its memory, planned at start, and its batches, checked. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/net_state.h"

#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/ops.h"
#include "util/num.h"

#define SLICE_ROWS 16

/* Lays out memory one piece after the other; without memory it only counts. */
struct plan {
    char *memory;
    size_t at;
    bool too_large;
};

static void *take(struct plan *p, size_t rows, size_t cols, size_t size)
{
    size_t n, at = p->at;
    if (!l2_mul_size(rows, cols, &n) || !l2_mul_size(n, size, &n) || !l2_add_size(n, 63, &n) ||
        !l2_add_size(p->at, n / 64 * 64, &p->at))
        p->too_large = true;
    return p->memory && !p->too_large ? p->memory + at : NULL;
}

static float *floats(struct plan *p, size_t rows, size_t cols)
{
    return take(p, rows, cols, sizeof(float));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void plan_layer(struct l2_net *net, struct plan *p, struct l2_net_layer *l)
{
    size_t rows = net->opts.max_rows;
    l->qkv = floats(p, rows, net->qkv_dim);
    l->attn = floats(p, rows, net->q_dim);
    l->lse = floats(p, rows, net->hp.n_heads);
    l->mid = floats(p, rows, net->dim);
    l->gate_up = floats(p, rows, 2 * net->hidden_dim);
}

/* Without a backward pass one layer's memory serves all, input included; with recomputation all but
 * the input. */
static void plan_layers(struct l2_net *net, struct plan *p)
{
    uint32_t n = net->hp.n_layers;
    bool shared = net->opts.inference || net->opts.recompute;
    struct l2_net_layer one = {0}, *layers = take(p, (size_t)n + 1, 1, sizeof *layers);
    if (shared)
        plan_layer(net, p, &one);
    for (uint32_t i = 0; i <= n; i++) {
        if (i == 0 || !net->opts.inference)
            one.x = floats(p, net->opts.max_rows, net->dim);
        if (!shared && i < n)
            plan_layer(net, p, &one);
        if (layers)
            layers[i] = one;
    }
    net->layers = layers;
}

/* The vocabulary head works where the backward pass will. */
static void plan_scratch(struct l2_net *net, struct plan *p)
{
    size_t rows = net->opts.max_rows;
    size_t head_rows = rows < L2_NET_HEAD_ROWS ? rows : L2_NET_HEAD_ROWS;
    struct plan layers = *p;
    net->wide = floats(&layers, rows, larger(net->hidden_dim, net->qkv_dim));
    if (!net->opts.inference) {
        net->wide_grad = floats(&layers, rows, larger(net->hidden_dim, net->q_dim));
        net->partial = floats(&layers, (rows - 1) / L2_NET_NORM_ROWS + 1, net->dim);
    }
    if (net->hp.head == L2_HEAD_VOCAB) {
        net->logits = floats(p, head_rows, net->hp.vocab_size);
        net->head_x = floats(p, head_rows, net->dim);
        net->head_dx = floats(p, head_rows, net->dim);
    }
    p->at = larger(p->at, layers.at);
    p->too_large = p->too_large || layers.too_large;
}

static bool plan_net(struct l2_net *net, struct plan *p)
{
    size_t rows = net->opts.max_rows, half = net->hp.head_dim / 2;
    net->dim = net->hp.dim;
    net->hidden_dim = net->hp.hidden;
    net->q_dim = (size_t)net->hp.n_heads * net->hp.head_dim;
    net->kv_dim = (size_t)net->hp.n_kv_heads * net->hp.head_dim;
    net->qkv_dim = net->q_dim + 2 * net->kv_dim;
    plan_layers(net, p);
    net->spans = take(p, rows, 1, sizeof *net->spans);
    net->roots = take(p, rows, 1, sizeof *net->roots);
    net->last = take(p, rows, 1, sizeof *net->last);
    net->head_row = take(p, rows, 1, sizeof *net->head_row);
    net->head_at = take(p, rows + 1, 1, sizeof *net->head_at);
    net->frequency = take(p, half, 1, sizeof *net->frequency);
    net->cos = floats(p, rows, half);
    net->sin = floats(p, rows, half);
    net->hidden = floats(p, rows, net->dim);
    net->norm = floats(p, rows, net->dim);
    net->hidden_grad = floats(p, rows, net->dim);
    if (!net->opts.inference)
        net->grad = floats(p, rows, net->dim);
    if (net->opts.frozen) {
        size_t rows_of_w = larger(larger(net->qkv_dim, 2 * net->hidden_dim),
                                  net->hp.head == L2_HEAD_VOCAB ? net->hp.vocab_size : 0);
        net->dense = floats(p, rows_of_w, net->dim);
    }
    net->lora_u = floats(p, rows, net->opts.lora_rank);
    net->lora_du = floats(p, rows, net->opts.lora_rank);
    plan_scratch(net, p);
    return !p->too_large;
}

uint64_t l2_net_bytes(const struct l2_hparams *hp, const struct l2_net_opts *opts)
{
    struct l2_net net = {.hp = *hp, .opts = *opts};
    struct plan p = {0};
    return plan_net(&net, &p) ? p.at + sizeof net : UINT64_MAX;
}

int l2_net_new(struct l2_net **out, const struct l2_hparams *hp, const struct l2_net_opts *opts,
               struct l2_err *err)
{
    uint64_t bytes = l2_net_bytes(hp, opts);
    struct plan p = {0};
    *out = NULL;
    if (opts->max_rows == 0)
        return l2_err_set(err, L2_ARGUMENT, "a batch of 0 rows");
    if (bytes > SIZE_MAX)
        return l2_err_set(err, L2_LIMIT, "a batch of %u rows does not fit into memory",
                          (unsigned)opts->max_rows);
    struct l2_net *net = calloc(1, sizeof *net);
    if (!net)
        return l2_err_memory(err, sizeof *net);
    net->hp = *hp;
    net->opts = *opts;
    net->memory = p.memory = l2_aligned_alloc(bytes - sizeof *net, 1, err);
    if (!net->memory) {
        l2_net_free(net);
        return err ? err->code : L2_MEMORY;
    }
    (void)plan_net(net, &p);
    l2_rope_frequencies(net->frequency, &net->hp);
    *out = net;
    return L2_OK;
}

void l2_net_free(struct l2_net *net)
{
    if (!net)
        return;
    free(net->memory);
    free(net);
}

const float *l2_net_hidden(const struct l2_net *net)
{
    return net->hidden;
}

float *l2_net_hidden_grad(struct l2_net *net)
{
    return net->hidden_grad;
}

struct row_job {
    struct l2_net *net;
    void (*fn)(struct l2_net *, void *, size_t, size_t);
    void *arg;
    size_t n;
};

static void run_slice(void *arg, size_t i)
{
    const struct row_job *job = arg;
    size_t first = i * SLICE_ROWS, left = job->n - first;
    job->fn(job->net, job->arg, first, left < SLICE_ROWS ? left : SLICE_ROWS);
}

void l2_net_rows(struct l2_net *net, void (*fn)(struct l2_net *, void *, size_t, size_t), void *arg,
                 size_t n_rows)
{
    struct row_job job = {net, fn, arg, n_rows};
    l2_pool_run(net->opts.pool, run_slice, &job, (n_rows + SLICE_ROWS - 1) / SLICE_ROWS);
}
