/* The forward pass of the differentiable model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/net_state.h"

#include <string.h>
#include "kern/ops.h"

const enum l2_role l2_net_qkv[3] = {L2_T_Q, L2_T_K, L2_T_V}, l2_net_o[1] = {L2_T_O},
                   l2_net_gate_up[2] = {L2_T_GATE, L2_T_UP}, l2_net_down[1] = {L2_T_DOWN};

struct norm_job {
    float *y;
    const float *x, *weight;
};

static void norm_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct norm_job *job = arg;
    for (size_t i = first; i < first + n; i++)
        l2_rmsnorm_fwd(job->y + i * net->dim, job->x + i * net->dim, job->weight, net->dim,
                       net->hp.norm_eps);
}

void l2_net_norm(struct l2_net *net, float *y, const float *x, enum l2_role role, uint32_t layer)
{
    struct norm_job job = {y, x, l2_params_at(net->params, role, layer)};
    l2_net_rows(net, norm_rows, &job, net->n_rows);
}

static void embed_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    (void)arg;
    for (size_t i = first; i < first + n; i++)
        l2_params_get(net->params, L2_T_EMBED, 0, net->tokens[i] * net->dim, net->dim,
                      net->layers[0].x + i * net->dim);
}

static void span_angles(void *arg, size_t s)
{
    struct l2_net *net = arg;
    const struct l2_net_span *span = &net->spans[s];
    size_t half = net->hp.head_dim / 2;
    for (size_t i = 0; i < span->rows.n; i++)
        l2_rope_angles(net->cos + (span->rows.first + i) * half,
                       net->sin + (span->rows.first + i) * half, span->position + (uint32_t)i,
                       net->frequency, net->hp.head_dim);
}

/* Query and key heads lie one behind the other. */
static void rope_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct l2_net_layer *l = arg;
    size_t half = net->hp.head_dim / 2, heads = (size_t)net->hp.n_heads + net->hp.n_kv_heads;
    for (size_t i = first; i < first + n; i++)
        l2_rope_fwd(l->qkv + i * net->qkv_dim, heads, net->hp.head_dim, net->cos + i * half,
                    net->sin + i * half);
}

struct l2_causal l2_net_head(const struct l2_net *net, const struct l2_net_layer *l, uint32_t head)
{
    uint32_t group = net->hp.n_heads / net->hp.n_kv_heads;
    size_t kv = head / group * (size_t)net->hp.head_dim;
    return (struct l2_causal){.head_dim = net->hp.head_dim,
                              .ld = net->qkv_dim,
                              .ld_out = net->q_dim,
                              .q = l->qkv + head * (size_t)net->hp.head_dim,
                              .k = l->qkv + net->q_dim + kv,
                              .v = l->qkv + net->q_dim + net->kv_dim + kv,
                              .out = l->attn + head * (size_t)net->hp.head_dim,
                              .lse = l->lse + head * (size_t)net->opts.max_rows};
}

struct attention_job {
    struct l2_net *net;
    const struct l2_net_layer *layer;
};

static void attend(void *arg, size_t i)
{
    const struct attention_job *job = arg;
    const struct l2_net *net = job->net;
    struct l2_causal a = l2_net_head(net, job->layer, (uint32_t)(i % net->hp.n_heads));
    struct l2_rows seen[L2_NET_DEPTH];
    uint32_t span = (uint32_t)(i / net->hp.n_heads);
    l2_causal_fwd(&a, seen, l2_net_seen(net, span, seen));
}

struct copy_job {
    float *to;
    const float *from;
};

static void copy_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct copy_job *job = arg;
    memcpy(job->to + first * net->dim, job->from + first * net->dim, n * net->dim * sizeof(float));
}

/* out = x + wide W^T */
static void residual(struct l2_net *net, float *out, const float *x, const float *wide, size_t cols,
                     const enum l2_role *role, uint32_t layer)
{
    struct copy_job job = {out, x};
    if (out != x)
        l2_net_rows(net, copy_rows, &job, net->n_rows);
    l2_net_linear(net, out, wide, cols, role, 1, layer, true);
}

void l2_net_layer_fwd(struct l2_net *net, uint32_t i)
{
    struct l2_net_layer *l = &net->layers[i];
    struct attention_job job = {net, l};
    l2_net_norm(net, net->norm, l->x, L2_T_ATTN_NORM, i);
    l2_net_linear(net, l->qkv, net->norm, net->dim, l2_net_qkv, 3, i, false);
    l2_net_rows(net, rope_rows, l, net->n_rows);
    l2_pool_run(net->opts.pool, attend, &job, net->n_spans * net->hp.n_heads);
    residual(net, l->mid, l->x, l->attn, net->q_dim, l2_net_o, i);
    l2_net_norm(net, net->norm, l->mid, L2_T_FFN_NORM, i);
    l2_net_linear(net, l->gate_up, net->norm, net->dim, l2_net_gate_up, 2, i, false);
}

static void activate_rows(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct l2_net_layer *l = arg;
    for (size_t i = first; i < first + n; i++) {
        const float *gate = l->gate_up + i * 2 * net->hidden_dim;
        l2_swiglu_fwd(net->wide + i * net->hidden_dim, gate, gate + net->hidden_dim,
                      net->hidden_dim);
    }
}

void l2_net_activate(struct l2_net *net, struct l2_net_layer *l)
{
    l2_net_rows(net, activate_rows, l, net->n_rows);
}

int l2_net_forward(struct l2_net *net, const struct l2_params *params,
                   const struct l2_net_batch *batch, struct l2_err *err)
{
    int r = l2_net_set_batch(net, batch, err);
    if (r != L2_OK)
        return r;
    if (params->frozen && !net->opts.frozen)
        return l2_err_set(err, L2_ARGUMENT,
                          "frozen parameters in a net that has no place for them");
    net->params = params;
    l2_pool_run(net->opts.pool, span_angles, net, net->n_spans);
    l2_net_rows(net, embed_rows, NULL, net->n_rows);
    for (uint32_t i = 0; i < net->hp.n_layers; i++) {
        struct l2_net_layer *l = &net->layers[i];
        l2_net_layer_fwd(net, i);
        l2_net_activate(net, l);
        residual(net, l[1].x, l->mid, net->wide, net->hidden_dim, l2_net_down, i);
    }
    l2_net_norm(net, net->hidden, net->layers[net->hp.n_layers].x, L2_T_NORM, 0);
    memset(net->hidden_grad, 0, net->n_rows * net->dim * sizeof *net->hidden_grad);
    return L2_OK;
}
