/* What PPO's files share. Private to them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PPO_STATE_H
#define L2_PPO_STATE_H

#include "nn/net.h"
#include "rlhf/ppo.h"

struct l2_ppo {
    struct l2_ppo_opts opts;
    struct l2_params *params;    /* borrowed */
    const struct l2_params *ref; /* borrowed; NULL: params without adapters */
    struct l2_net *net;
    struct l2_params *grads;                             /* NULL with adapters */
    struct l2_adamw adamw;                               /* its step counts them all */
    struct l2_lora *lora, *lora_grads, *lora_m, *lora_v; /* NULL without adapters */
    float *head, *head_grad, *head_m, *head_v;           /* (dim + 1) the value head */
    double kl_coef;

    /* A micro-batch: sequences without their last token. */
    uint32_t *tokens;                               /* (max_rows) */
    struct l2_span *spans;                          /* (max_rows) */
    struct l2_target *targets;                      /* (max_rows) */
    float *logprob, *entropy, *coefficient, *value; /* (max_rows), one a target */
    uint32_t *order;                                /* rollouts in the order of the epoch */
    size_t cap_order;
};

/* A micro-batch: rollouts order[first .. first + n). */
struct l2_ppo_micro {
    size_t first, n, n_rows, n_spans, n_targets;
};

/* Takes as many of the rollouts from first on, below end, as fit into a micro-batch. Neighbours
 * whose prompt is the same array have it once. */
int l2_ppo_pack(struct l2_ppo *p, const struct l2_rollout *rollouts, size_t first, size_t end,
                struct l2_ppo_micro *m, struct l2_err *err) L2_MUST_CHECK;
/* Runs the model on it: the policy (p->logprob, p->value and, where asked for, p->entropy), or the
 * reference (p->logprob alone). */
int l2_ppo_run(struct l2_ppo *p, const struct l2_ppo_micro *m, bool reference, bool entropy,
               struct l2_err *err) L2_MUST_CHECK;

/* Arrays that checkpoints hold, all f32. */
struct l2_ppo_piece {
    float *values;
    size_t n;
};
#define L2_PPO_PIECES 6
size_t l2_ppo_pieces(const struct l2_ppo *p, struct l2_ppo_piece out[L2_PPO_PIECES]);

#endif
