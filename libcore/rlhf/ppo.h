/* PPO on a language model with a value head: rollouts in, one pass of steps over them out (Llama 2,
 * section 3.2.3). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PPO_H
#define L2_PPO_H

#include "nn/lora.h"
#include "rlhf/ppo_terms.h"
#include "train/adamw.h"

struct l2_ppo_opts {
    struct l2_adamw_opts adamw;
    double lr;              /* constant */
    double clip;            /* norm of a step's gradients at most; 0: no limit */
    double cliprange;       /* of the policy's ratio */
    double cliprange_value; /* 0: none */
    double vf_coef;         /* weight of the value loss */
    double gamma, lambda;
    enum l2_kl_kind kl; /* in the rewards */
    double kl_coef;     /* beta, to begin with */
    double kl_target;   /* 0: beta is fixed */
    double kl_horizon;
    bool whiten_scores;  /* over the batch; the paper's */
    uint32_t epochs;     /* passes over a batch */
    uint32_t mini_batch; /* sequences of a step */
    uint32_t max_rows;   /* positions that are computed at once; a longer sequence is L2_LIMIT */
    bool recompute;
    enum l2_dtype products;
    struct l2_lora_opts lora; /* rank 0: all parameters are trained */
    uint64_t seed;            /* of adapters, and of the order in later epochs */
    const char *settings; /* lines "name value" that checkpoints must agree in; borrowed; or NULL */
    struct l2_pool *pool; /* borrowed; may be NULL */
};

/* A prompt and a completion, each of one token at least. The arrays have n values each and are the
 * caller's. */
struct l2_rollout {
    const uint32_t *prompt, *tokens;
    size_t n_prompt, n;
    double score; /* of the whole; after a step whitened, where that is asked for */
    /* what a step fills in: as the policy was before it */
    float *logprob, *ref_logprob, *value, *reward, *advantage, *returns;
};

/* Means over a batch. Names are TRL's where it has them. */
struct l2_ppo_stats {
    double kl, entropy;      /* a sequence */
    double non_score_reward; /* a sequence: -beta * KL */
    double rlhf_reward;      /* that and the score */
    double policy_loss, value_loss, approxkl, clipfrac, value_clipfrac,
        policy_entropy;      /* a token */
    double ratio, ratio_var; /* over mini-batches */
    double first_ratio_off;  /* largest |ratio - 1| in the first mini-batch: 0 */
    double grad_norm;        /* mean of the steps' */
    double kl_coef;          /* that the rewards had */
    uint64_t tokens, steps;
};

struct l2_ppo;

/* params begin as ref's and change; with adapters they are the reference themselves and ref is
 * NULL. Both are borrowed. Owned, free with l2_ppo_free (NULL is fine). */
int l2_ppo_new(struct l2_ppo **out, struct l2_params *params, const struct l2_params *ref,
               const struct l2_ppo_opts *opts, struct l2_err *err) L2_MUST_CHECK;
void l2_ppo_free(struct l2_ppo *p);

/* Bytes that it takes, before it is made; params and ref not counted. */
struct l2_ppo_plan {
    uint64_t gradients, moments, adapters, activations;
};
struct l2_ppo_plan l2_ppo_plan(const struct l2_hparams *hp, const struct l2_ppo_opts *opts);

/* The adapters; NULL where there are none. */
const struct l2_lora *l2_ppo_lora(const struct l2_ppo *p);
/* (dim + 1): weights and bias of the value head. */
const float *l2_ppo_value_head(const struct l2_ppo *p);

/* One iteration on n rollouts. L2_CORRUPT where a loss, a KL or a gradient is not finite; L2_LIMIT
 * where KL (a sequence) is above max_kl (0: no limit), and then no step was taken. */
int l2_ppo_step(struct l2_ppo *p, struct l2_rollout *rollouts, size_t n, double max_kl,
                struct l2_ppo_stats *stats, struct l2_err *err) L2_MUST_CHECK;

/* Everything that the next iteration depends on, and the caller's own numbers, in a file that is
 * whole or as it was before. */
#define L2_PPO_NUMBERS 8
int l2_ppo_save(const struct l2_ppo *p, const double numbers[L2_PPO_NUMBERS], const char *path,
                struct l2_err *err) L2_MUST_CHECK;
/* Nothing is changed where it fails; L2_ARGUMENT names the setting that was another. */
int l2_ppo_restore(struct l2_ppo *p, double numbers[L2_PPO_NUMBERS], const char *path,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
