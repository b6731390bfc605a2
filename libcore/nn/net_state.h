/* The inside of the differentiable model, shared by its files. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NET_STATE_H
#define L2_NET_STATE_H

#include "kern/causal.h"
#include "kern/gemm.h"
#include "nn/net.h"

#define L2_NET_HEAD_ROWS 256 /* of the vocabulary head at a time */
#define L2_NET_NORM_ROWS 64  /* whose part of a norm's gradient is summed before the others' */

/* What the backward pass needs of a layer, besides its weights. */
struct l2_net_layer {
    float *x;       /* (rows, dim) its input */
    float *qkv;     /* (rows, qkv_dim), rotated */
    float *attn;    /* (rows, q_dim) attention's output */
    float *lse;     /* (n_heads, max_rows) */
    float *mid;     /* (rows, dim) the residual stream behind attention */
    float *gate_up; /* (rows, 2 hidden); in the backward pass their gradients */
};

/* A span, with where it stands in its tree. */
struct l2_net_span {
    struct l2_rows rows;
    uint32_t parent, position; /* of its first row */
    uint32_t next;             /* span of the same tree, or L2_NO_PARENT */
    uint32_t depth, tree;
};

/* Ancestors and itself that a span sees, at most. */
#define L2_NET_DEPTH 16

struct l2_net {
    struct l2_hparams hp;
    struct l2_net_opts opts;
    size_t dim, hidden_dim, q_dim, kv_dim, qkv_dim;

    struct l2_net_layer *layers;  /* (n_layers + 1); of the last only x */
    struct l2_net_span *spans;    /* (max_rows) */
    uint32_t *roots;              /* (max_rows) the first span of each tree */
    uint32_t *last;               /* (max_rows) while trees are made: the last span of each */
    double *frequency;            /* (head_dim / 2) */
    float *cos, *sin;             /* (rows, head_dim / 2) */
    float *hidden, *hidden_grad;  /* (rows, dim) */
    float *norm;                  /* (rows, dim) a norm's output */
    float *grad;                  /* (rows, dim) gradient of the residual stream */
    float *wide, *wide_grad;      /* (rows, hidden or qkv_dim), (rows, hidden or q_dim) */
    float *partial;               /* (rows / L2_NET_NORM_ROWS, dim) */
    float *logits;                /* (head rows, vocab_size), in the place of wide */
    float *head_x, *head_dx;      /* (head rows, dim) */
    uint32_t *head_row, *head_at; /* (max_rows) rows with targets; and the first target of each */
    float *dense;                 /* a frozen matrix, or stacked ones, while it is used */
    float *lora_u, *lora_du;      /* (rows, lora_rank) */
    void *memory;

    const struct l2_lora *lora; /* borrowed; NULL: none */
    struct l2_lora *lora_grads; /* borrowed; NULL: none */

    const struct l2_params *params; /* of the last forward pass; borrowed */
    const uint32_t *tokens;         /* borrowed */
    size_t n_rows, n_spans, n_roots;
};

/* Checks the batch and takes it in. */
int l2_net_set_batch(struct l2_net *net, const struct l2_net_batch *batch,
                     struct l2_err *err) L2_MUST_CHECK;

/* Calls fn for slices of rows on the pool. */
void l2_net_rows(struct l2_net *net, void (*fn)(struct l2_net *, void *, size_t first, size_t n),
                 void *arg, size_t n_rows);

/* Norm of x (rows, dim) into y. */
void l2_net_norm(struct l2_net *net, float *y, const float *x, enum l2_role role, uint32_t layer);

/* The runs of rows that span s sees, itself last. */
size_t l2_net_seen(const struct l2_net *net, uint32_t s, struct l2_rows seen[L2_NET_DEPTH]);
/* Attention's arguments for a query head. */
struct l2_causal l2_net_head(const struct l2_net *net, const struct l2_net_layer *l, uint32_t head);

/* n values at an offset of the parameters' matrices, expanded to place of net->dense where they are
 * frozen. */
const float *l2_net_matrix(struct l2_net *net, size_t offset, size_t n, size_t place);

/* y (rows, all of roles) = x W^T (+ y), the roles' matrices one below the other; with biases. */
void l2_net_linear(struct l2_net *net, float *y, const float *x, size_t cols,
                   const enum l2_role *roles, size_t n_roles, uint32_t layer, bool add);
/* dx = dy W (or += with add), and the gradients of weights and biases into grads. */
void l2_net_linear_bwd(struct l2_net *net, float *dx, const float *dy, const float *x, size_t cols,
                       const enum l2_role *roles, size_t n_roles, uint32_t layer,
                       struct l2_params *grads, bool add);

/* y += adapters(x), dx += their gradient, of one projection, if it has some; ld is that of y. */
void l2_net_lora_fwd(struct l2_net *net, float *y, size_t ld, const float *x, enum l2_role role,
                     uint32_t layer);
void l2_net_lora_bwd(struct l2_net *net, float *dx, const float *dy, size_t ld, const float *x,
                     enum l2_role role, uint32_t layer);

/* Everything of layer i but its last product; x into everything else. */
void l2_net_layer_fwd(struct l2_net *net, uint32_t i);
/* silu(gate) up into net->wide. */
void l2_net_activate(struct l2_net *net, struct l2_net_layer *l);

extern const enum l2_role l2_net_qkv[3], l2_net_o[1], l2_net_gate_up[2], l2_net_down[1];

#endif
