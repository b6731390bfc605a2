/* The differentiable model: a forward pass over ragged rows that keeps what its backward pass
 * needs, heads on top of it, and the gradients of all parameters. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NET_H
#define L2_NET_H

#include "kern/backend.h"
#include "nn/lora.h"

struct l2_net;

struct l2_net_opts {
    struct l2_pool *pool;   /* borrowed; may be NULL */
    uint32_t max_rows;      /* of one batch; all working memory is planned for it */
    bool recompute;         /* keep only each layer's input, run the layer again in backward */
    bool inference;         /* no backward pass: memory for one layer only */
    uint32_t lora_rank;     /* of adapters, at most; 0: none */
    bool frozen;            /* parameters may be l2_params_new_frozen's */
    enum l2_dtype products; /* L2_F32, or L2_BF16: matrix products of bf16 factors, f32 sums */
};

/* Rows [first, first + n) of a batch are successive positions of one sequence. A span whose parent
 * is an earlier span goes on where that one ends, and sees it: a prompt and the completions that
 * share it are computed once each. A span has 15 ancestors at most, and ends within the context. */
#define L2_NO_PARENT UINT32_MAX
struct l2_span {
    uint32_t first, n;
    uint32_t parent; /* index among the spans, or L2_NO_PARENT */
};

struct l2_net_batch {
    const uint32_t *tokens; /* (n_rows) */
    size_t n_rows;
    const struct l2_span *spans; /* cover the rows in order, without gaps */
    size_t n_spans;
};

/* The model predicts token at the position after row. */
struct l2_target {
    uint32_t row, token;
};

/* Allocates all memory, as many bytes as l2_net_bytes says. Owned, free with l2_net_free. */
int l2_net_new(struct l2_net **out, const struct l2_hparams *hp, const struct l2_net_opts *opts,
               struct l2_err *err) L2_MUST_CHECK;
void l2_net_free(struct l2_net *net);
/* What a net of these options would take, before it is made. */
uint64_t l2_net_bytes(const struct l2_hparams *hp, const struct l2_net_opts *opts);

/* Adapters for all following passes, and their gradients, which the backward pass adds to (NULL:
 * none); both borrowed. L2_ARGUMENT where their rank is above lora_rank. */
int l2_net_set_lora(struct l2_net *net, const struct l2_lora *lora, struct l2_lora *grads,
                    struct l2_err *err) L2_MUST_CHECK;

/* Final normed hidden states of all rows. Tokens, spans and sizes are checked (L2_ARGUMENT). params
 * must not change until backward is done. The batch is borrowed until then. */
int l2_net_forward(struct l2_net *net, const struct l2_params *params,
                   const struct l2_net_batch *batch, struct l2_err *err) L2_MUST_CHECK;
/* (n_rows, dim): the hidden states, and the gradient of the loss with respect to them, which heads
 * add to; zero after forward. */
const float *l2_net_hidden(const struct l2_net *net);
float *l2_net_hidden_grad(struct l2_net *net);

/* The vocabulary head, in chunks of rows, so that the logits are never whole: logprob[i] = log p(
 * target i), and where entropy is not NULL entropy[i] of that distribution. Where coefficient is
 * not NULL it holds d loss / d logprob[i], and the gradients of head and hidden states are added to
 * grads and hidden_grad in the same pass (fused cross-entropy: no second product for the logits).
 * Where a loss needs logprob first (PPO), call it twice. targets are in order of row. */
int l2_net_vocab_head(struct l2_net *net, const struct l2_target *targets, size_t n,
                      const float *coefficient, struct l2_params *grads, float *logprob,
                      float *entropy, struct l2_err *err) L2_MUST_CHECK;

/* The logits (vocab_size) of what follows row, valid until the next pass. L2_ARGUMENT where there
 * is no such row, or no vocabulary head. */
int l2_net_logits(struct l2_net *net, uint32_t row, const float **logits,
                  struct l2_err *err) L2_MUST_CHECK;

/* The label head at rows[0..n): scores (n, n_labels); and its backward. */
void l2_net_label_head(struct l2_net *net, const uint32_t *rows, size_t n, float *scores);
void l2_net_label_head_bwd(struct l2_net *net, const uint32_t *rows, size_t n, const float *dscores,
                           struct l2_params *grads);

/* Adds the gradients of everything below the heads to grads (NULL where the weights are frozen,
 * here and for the heads; they are never frozen themselves), once a forward pass; hidden_grad is
 * used up. The same bits for any number of threads. */
void l2_net_backward(struct l2_net *net, struct l2_params *grads);

#endif
