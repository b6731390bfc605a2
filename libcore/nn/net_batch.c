/* Batches of the differentiable model: checked, and their spans put into trees. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/net_state.h"

/* Appends span s to the tree that its parent is in, or begins a tree. */
static void plant(struct l2_net *net, uint32_t s)
{
    struct l2_net_span *span = &net->spans[s];
    span->next = L2_NO_PARENT;
    if (span->parent == L2_NO_PARENT) {
        span->tree = (uint32_t)net->n_roots;
        net->roots[net->n_roots++] = s;
    } else {
        span->tree = net->spans[span->parent].tree;
        net->spans[net->last[span->tree]].next = s;
    }
    net->last[span->tree] = s;
}

static int add_span(struct l2_net *net, const struct l2_span *from, uint32_t s, size_t row,
                    struct l2_err *err)
{
    struct l2_net_span *span = &net->spans[s];
    *span = (struct l2_net_span){.rows = {from->first, from->n}, .parent = from->parent};
    if (from->first != row || from->n == 0)
        return l2_err_set(err, L2_ARGUMENT, "span %u has rows [%u, +%u): want the next from %zu on",
                          (unsigned)s, (unsigned)from->first, (unsigned)from->n, row);
    if (from->parent != L2_NO_PARENT) {
        if (from->parent >= s)
            return l2_err_set(err, L2_ARGUMENT, "span %u goes on after span %u", (unsigned)s,
                              (unsigned)from->parent);
        const struct l2_net_span *parent = &net->spans[from->parent];
        span->position = parent->position + (uint32_t)parent->rows.n;
        span->depth = parent->depth + 1;
    }
    if (span->depth >= L2_NET_DEPTH)
        return l2_err_set(err, L2_ARGUMENT, "span %u is more than %d spans deep", (unsigned)s,
                          L2_NET_DEPTH);
    if ((uint64_t)span->position + from->n > net->hp.context)
        return l2_err_set(err, L2_ARGUMENT, "a sequence of %llu positions; the context has %u",
                          (unsigned long long)span->position + from->n, (unsigned)net->hp.context);
    plant(net, s);
    return L2_OK;
}

int l2_net_set_batch(struct l2_net *net, const struct l2_net_batch *batch, struct l2_err *err)
{
    size_t row = 0;
    net->n_roots = 0;
    if (batch->n_rows == 0 || batch->n_rows > net->opts.max_rows || batch->n_spans > batch->n_rows)
        return l2_err_set(err, L2_ARGUMENT, "a batch of %zu rows in %zu spans: want 1 to %u rows",
                          batch->n_rows, batch->n_spans, (unsigned)net->opts.max_rows);
    for (size_t i = 0; i < batch->n_rows; i++)
        if (batch->tokens[i] >= net->hp.vocab_size)
            return l2_err_set(err, L2_ARGUMENT, "token %u; the model has %u",
                              (unsigned)batch->tokens[i], (unsigned)net->hp.vocab_size);
    for (uint32_t s = 0; s < batch->n_spans; s++) {
        int r = add_span(net, &batch->spans[s], s, row, err);
        if (r != L2_OK)
            return r;
        row += batch->spans[s].n;
    }
    if (row != batch->n_rows)
        return l2_err_set(err, L2_ARGUMENT, "spans of %zu rows: want %zu", row, batch->n_rows);
    net->tokens = batch->tokens;
    net->n_rows = batch->n_rows;
    net->n_spans = batch->n_spans;
    return L2_OK;
}

size_t l2_net_seen(const struct l2_net *net, uint32_t s, struct l2_rows seen[L2_NET_DEPTH])
{
    size_t n = net->spans[s].depth + (size_t)1;
    for (size_t i = n; i > 0; i--) {
        seen[i - 1] = net->spans[s].rows;
        s = net->spans[s].parent;
    }
    return n;
}
