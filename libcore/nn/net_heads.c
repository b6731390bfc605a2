/* The heads of the differentiable model: a vocabulary with fused cross-entropy, and labels. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "kern/ops.h"
#include "nn/net_state.h"

struct chunk {
    struct l2_net *net;
    const struct l2_target *targets;
    const float *coefficient; /* NULL: no gradients */
    float *logprob, *entropy;
    const float *w;       /* the head's matrix */
    const uint32_t *row;  /* the chunk's rows */
    const uint32_t *from; /* row i has targets [from[i], from[i + 1]) */
};

static int check_targets(const struct l2_net *net, const struct l2_target *targets, size_t n,
                         struct l2_err *err)
{
    if (net->hp.head != L2_HEAD_VOCAB)
        return l2_err_set(err, L2_ARGUMENT, "the model has no vocabulary head");
    for (size_t i = 0; i < n; i++)
        if (targets[i].row >= net->n_rows || targets[i].token >= net->hp.vocab_size ||
            (i > 0 && targets[i].row < targets[i - 1].row))
            return l2_err_set(err, L2_ARGUMENT,
                              "target %zu, token %u at row %u, does not fit: want %u tokens, %zu "
                              "rows in order",
                              i, (unsigned)targets[i].token, (unsigned)targets[i].row,
                              (unsigned)net->hp.vocab_size, net->n_rows);
    return L2_OK;
}

/* Rows that have targets, and the first target of each. Returns their number. */
static size_t find_rows(struct l2_net *net, const struct l2_target *targets, size_t n)
{
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || targets[i].row != targets[i - 1].row) {
            net->head_row[n_rows] = targets[i].row;
            net->head_at[n_rows++] = (uint32_t)i;
        }
    net->head_at[n_rows] = (uint32_t)n;
    return n_rows;
}

static void gather(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct chunk *c = arg;
    for (size_t i = first; i < first + n; i++)
        memcpy(net->head_x + i * net->dim, net->hidden + c->row[i] * net->dim,
               net->dim * sizeof *net->head_x);
}

/* Logits become log-probabilities and, in place, their gradient. */
static void cross_entropy(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct chunk *c = arg;
    size_t vocab = net->hp.vocab_size;
    for (size_t i = first; i < first + n; i++) {
        float *x = net->logits + i * vocab, total = 0;
        struct l2_softmax_row row;
        for (uint32_t t = c->from[i]; t < c->from[i + 1]; t++)
            c->logprob[t] = x[c->targets[t].token];
        l2_log_softmax_fwd(&row, x, vocab);
        for (uint32_t t = c->from[i]; t < c->from[i + 1]; t++) {
            c->logprob[t] = (float)((double)c->logprob[t] - row.max - row.log_sum);
            if (c->entropy)
                c->entropy[t] = row.entropy;
            if (c->coefficient)
                total += c->coefficient[t];
        }
        if (!c->coefficient)
            continue;
        l2_log_softmax_bwd(x, vocab, &row, total);
        for (uint32_t t = c->from[i]; t < c->from[i + 1]; t++)
            x[c->targets[t].token] += c->coefficient[t];
    }
}

static void scatter(struct l2_net *net, void *arg, size_t first, size_t n)
{
    const struct chunk *c = arg;
    for (size_t i = first; i < first + n; i++)
        l2_add_fwd(net->hidden_grad + c->row[i] * net->dim, net->head_dx + i * net->dim, net->dim);
}

static void run_chunk(struct chunk *c, size_t n, struct l2_params *grads)
{
    struct l2_net *net = c->net;
    enum l2_role role = net->hp.tied ? L2_T_EMBED : L2_T_HEAD;
    bool bf16 = net->opts.products == L2_BF16;
    size_t dim = net->dim, vocab = net->hp.vocab_size, n_jobs = 1;
    struct l2_gemm fwd = {.op = L2_GEMM_NT,
                          .m = n,
                          .n = vocab,
                          .k = dim,
                          .a = net->head_x,
                          .lda = dim,
                          .b = c->w,
                          .ldb = dim,
                          .c = net->logits,
                          .ldc = vocab};
    struct l2_gemm bwd[2] = {{.op = L2_GEMM_NN,
                              .m = n,
                              .n = dim,
                              .k = vocab,
                              .a = net->logits,
                              .lda = vocab,
                              .b = c->w,
                              .ldb = dim,
                              .c = net->head_dx,
                              .ldc = dim}};
    l2_net_rows(net, gather, c, n);
    l2_gemm_run(net->opts.pool, &fwd, 1, bf16);
    l2_net_rows(net, cross_entropy, c, n);
    if (!c->coefficient)
        return;
    if (grads)
        bwd[n_jobs++] = (struct l2_gemm){.op = L2_GEMM_TN,
                                         .add = true,
                                         .m = vocab,
                                         .n = dim,
                                         .k = n,
                                         .a = net->logits,
                                         .lda = vocab,
                                         .b = net->head_x,
                                         .ldb = dim,
                                         .c = l2_params_at(grads, role, 0),
                                         .ldc = dim};
    l2_gemm_run(net->opts.pool, bwd, n_jobs, bf16);
    l2_net_rows(net, scatter, c, n);
}

int l2_net_vocab_head(struct l2_net *net, const struct l2_target *targets, size_t n,
                      const float *coefficient, struct l2_params *grads, float *logprob,
                      float *entropy, struct l2_err *err)
{
    int r = check_targets(net, targets, n, err);
    if (r != L2_OK)
        return r;
    size_t n_rows = find_rows(net, targets, n);
    size_t index = l2_tensor_index(&net->hp, net->hp.tied ? L2_T_EMBED : L2_T_HEAD, 0);
    const float *w =
        l2_net_matrix(net, net->params->offset[index], (size_t)net->hp.vocab_size * net->dim, 0);
    for (size_t at = 0; at < n_rows; at += L2_NET_HEAD_ROWS) {
        struct chunk c = {net,     targets, coefficient,        logprob,
                          entropy, w,       net->head_row + at, net->head_at + at};
        run_chunk(&c, n_rows - at < L2_NET_HEAD_ROWS ? n_rows - at : L2_NET_HEAD_ROWS, grads);
    }
    return L2_OK;
}

int l2_net_logits(struct l2_net *net, uint32_t row, const float **logits, struct l2_err *err)
{
    struct l2_target target = {row, 0};
    int r = check_targets(net, &target, 1, err);
    *logits = net->logits;
    if (r != L2_OK)
        return r;
    size_t index = l2_tensor_index(&net->hp, net->hp.tied ? L2_T_EMBED : L2_T_HEAD, 0);
    struct l2_gemm g = {
        .op = L2_GEMM_NT,
        .m = 1,
        .n = net->hp.vocab_size,
        .k = net->dim,
        .a = net->hidden + row * net->dim,
        .lda = net->dim,
        .b = l2_net_matrix(net, net->params->offset[index], net->hp.vocab_size * net->dim, 0),
        .ldb = net->dim,
        .c = net->logits,
        .ldc = net->hp.vocab_size};
    l2_gemm_run(net->opts.pool, &g, 1, net->opts.products == L2_BF16);
    return L2_OK;
}

void l2_net_label_head(struct l2_net *net, const uint32_t *rows, size_t n, float *scores)
{
    const float *w = l2_params_at(net->params, L2_T_SCORE, 0);
    for (size_t i = 0; i < n; i++)
        for (uint32_t label = 0; label < net->hp.n_labels; label++)
            scores[i * net->hp.n_labels + label] =
                l2_dot_fwd(net->hidden + rows[i] * net->dim, w + label * net->dim, net->dim);
}

void l2_net_label_head_bwd(struct l2_net *net, const uint32_t *rows, size_t n, const float *dscores,
                           struct l2_params *grads)
{
    const float *w = l2_params_at(net->params, L2_T_SCORE, 0);
    float *dw = grads ? l2_params_at(grads, L2_T_SCORE, 0) : NULL;
    for (size_t i = 0; i < n; i++)
        for (uint32_t label = 0; label < net->hp.n_labels; label++) {
            float d = dscores[i * net->hp.n_labels + label];
            l2_dot_bwd(net->hidden_grad + rows[i] * net->dim, w + label * net->dim, d, net->dim);
            if (dw)
                l2_dot_bwd(dw + label * net->dim, net->hidden + rows[i] * net->dim, d, net->dim);
        }
}
