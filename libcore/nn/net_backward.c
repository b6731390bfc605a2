/* The backward pass of the differentiable model below its heads. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <assert.h>
#include <string.h>

#include "kern/ops.h"
#include "nn/net_state.h"

#define EMBED_COLS 64 /* columns of the embedding's gradient that a task scatters */

struct norm_job {
    struct l2_net *net;
    const float *x, *weight, *dy;
    float *dweight;
};

/* A task's rows add to a sum of their own, and the sums are added in order afterwards: the same
 * bits whatever the number of threads. */
static void norm_chunk(void *arg, size_t chunk)
{
    const struct norm_job *job = arg;
    const struct l2_net *net = job->net;
    size_t first = chunk * L2_NET_NORM_ROWS, left = net->n_rows - first;
    size_t end = first + (left < L2_NET_NORM_ROWS ? left : L2_NET_NORM_ROWS);
    float *dweight = net->partial + chunk * net->dim;
    memset(dweight, 0, net->dim * sizeof *dweight);
    for (size_t i = first; i < end; i++)
        l2_rmsnorm_bwd(net->grad + i * net->dim, dweight, job->x + i * net->dim, job->weight,
                       job->dy + i * net->dim, net->dim, net->hp.norm_eps);
}

/* net->grad += the gradient of the norm's input. */
static void norm_bwd(struct l2_net *net, const float *dy, const float *x, enum l2_role role,
                     uint32_t layer, struct l2_params *grads)
{
    struct norm_job job = {net, x, l2_params_at(net->params, role, layer), dy, NULL};
    size_t n_chunks = (net->n_rows + L2_NET_NORM_ROWS - 1) / L2_NET_NORM_ROWS;
    l2_pool_run(net->opts.pool, norm_chunk, &job, n_chunks);
    for (size_t i = 0; grads && i < n_chunks; i++)
        l2_add_fwd(l2_params_at(grads, role, layer), net->partial + i * net->dim, net->dim);
}

static void swiglu_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct l2_net_layer *l = arg;
    for (size_t i = first; i < first + n; i++) {
        float *gate = l->gate_up + i * 2 * net->hidden_dim, *up = gate + net->hidden_dim;
        l2_swiglu_bwd(gate, up, gate, up, net->wide_grad + i * net->hidden_dim, net->hidden_dim);
    }
}

static void feed_forward_bwd(struct l2_net *net, uint32_t i, struct l2_params *grads)
{
    struct l2_net_layer *l = &net->layers[i];
    float *dnorm = net->hidden_grad;
    l2_net_activate(net, l);
    l2_net_linear_bwd(net, net->wide_grad, net->grad, net->wide, net->hidden_dim, l2_net_down, 1, i,
                      grads, false);
    l2_net_rows(net, swiglu_rows, l, net->n_rows);
    l2_net_norm(net, net->norm, l->mid, L2_T_FFN_NORM, i);
    l2_net_linear_bwd(net, dnorm, l->gate_up, net->norm, net->dim, l2_net_gate_up, 2, i, grads,
                      false);
    norm_bwd(net, dnorm, l->mid, L2_T_FFN_NORM, i, grads);
}

struct attention_job {
    struct l2_net *net;
    const struct l2_net_layer *layer;
};

/* A task is a key/value head and all spans of a tree: what they add to the same keys and values
 * they add one after the other. */
static void attend_bwd(void *arg, size_t task)
{
    const struct attention_job *job = arg;
    const struct l2_net *net = job->net;
    uint32_t kv_head = (uint32_t)(task % net->hp.n_kv_heads);
    uint32_t group = net->hp.n_heads / net->hp.n_kv_heads;
    size_t head_dim = net->hp.head_dim;
    for (uint32_t s = net->roots[task / net->hp.n_kv_heads]; s != L2_NO_PARENT;
         s = net->spans[s].next) {
        struct l2_rows seen[L2_NET_DEPTH];
        size_t n_seen = l2_net_seen(net, s, seen);
        for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
            struct l2_causal a = l2_net_head(net, job->layer, head);
            a.dout = net->wide_grad + head * head_dim;
            a.dq = net->wide + head * head_dim;
            a.dk = net->wide + net->q_dim + kv_head * head_dim;
            a.dv = a.dk + net->kv_dim;
            l2_causal_bwd(&a, seen, n_seen);
        }
    }
}

static void clear_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    (void)arg;
    memset(net->wide + first * net->qkv_dim, 0, n * net->qkv_dim * sizeof(float));
}

static void rope_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    size_t half = net->hp.head_dim / 2, heads = (size_t)net->hp.n_heads + net->hp.n_kv_heads;
    (void)arg;
    for (size_t i = first; i < first + n; i++)
        l2_rope_bwd(net->wide + i * net->qkv_dim, heads, net->hp.head_dim, net->cos + i * half,
                    net->sin + i * half);
}

static void attention_bwd(struct l2_net *net, uint32_t i, struct l2_params *grads)
{
    struct l2_net_layer *l = &net->layers[i];
    struct attention_job job = {net, l};
    float *dnorm = net->hidden_grad;
    l2_net_linear_bwd(net, net->wide_grad, net->grad, l->attn, net->q_dim, l2_net_o, 1, i, grads,
                      false);
    l2_net_rows(net, clear_rows, NULL, net->n_rows);
    l2_pool_run(net->opts.pool, attend_bwd, &job, net->n_roots * net->hp.n_kv_heads);
    l2_net_rows(net, rope_rows, NULL, net->n_rows);
    l2_net_norm(net, net->norm, l->x, L2_T_ATTN_NORM, i);
    l2_net_linear_bwd(net, dnorm, net->wide, net->norm, net->dim, l2_net_qkv, 3, i, grads, false);
    norm_bwd(net, dnorm, l->x, L2_T_ATTN_NORM, i, grads);
}

struct scatter_job {
    const struct l2_net *net;
    float *dembed;
};

/* Tokens occur more than once, so tasks share columns out, not rows. */
static void scatter_cols(void *arg, size_t task)
{
    const struct scatter_job *job = arg;
    const struct l2_net *net = job->net;
    size_t first = task * EMBED_COLS, left = net->dim - first;
    size_t n = left < EMBED_COLS ? left : EMBED_COLS;
    for (size_t i = 0; i < net->n_rows; i++)
        l2_add_fwd(job->dembed + net->tokens[i] * net->dim + first,
                   net->grad + i * net->dim + first, n);
}

void l2_net_backward(struct l2_net *net, struct l2_params *grads)
{
    assert(!net->opts.inference);
    memset(net->grad, 0, net->n_rows * net->dim * sizeof *net->grad);
    norm_bwd(net, net->hidden_grad, net->layers[net->hp.n_layers].x, L2_T_NORM, 0, grads);
    for (uint32_t i = net->hp.n_layers; i-- > 0;) {
        if (net->opts.recompute && i + 1 < net->hp.n_layers)
            l2_net_layer_fwd(net, i);
        feed_forward_bwd(net, i, grads);
        attention_bwd(net, i, grads);
    }
    if (grads) {
        struct scatter_job job = {net, l2_params_at(grads, L2_T_EMBED, 0)};
        l2_pool_run(net->opts.pool, scatter_cols, &job, (net->dim + EMBED_COLS - 1) / EMBED_COLS);
    }
}
