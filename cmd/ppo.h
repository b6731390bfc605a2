/* l2-ppo: what its files share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_PPO_H
#define L2_CMD_PPO_H

#include "common/modelopt.h"
#include "optimiser.h"
#include "rlhf/ppo.h"
#include "sample/stop.h"

struct l2_ppo_args {
    struct optimiser optimiser;
    const char *model, *output, *reward, *safety, *safety_tag, *pattern, *command, *rollouts, *log;
    bool force, resume, plan, raw_scores;
    bool kl_coef_given;
    int kl;
    int64_t batch, completions, max_tokens, iterations, mini_batch, epochs, rows, eval_every,
        patience, save_every;
    double temperature, missing_eos, lr, cliprange, cliprange_value, vf_coef, gamma, lambda,
        kl_coef, kl_target, kl_horizon, max_kl, held_out;
    uint64_t seed, kv_bytes;
};

/* Prompts in memory. */
struct l2_prompts {
    struct l2_record **v; /* owned */
    size_t n, cap;
};

/* Means over the rollouts of a batch. */
struct l2_ppo_scores {
    double score, helpfulness, safety; /* safety: where there is such a model */
    double length, eos;                /* tokens; share that end in EOS */
    double sampled_kl;                 /* of what was drawn from to the policy, a completion */
};

/* A run. All is owned but args and cli. */
struct l2_ppo_run {
    struct l2_cli *cli;
    const struct l2_ppo_args *args;
    struct l2_model *model; /* what it begins with */
    char start[65];         /* its fingerprint */
    struct l2_vocab *vocab; /* or NULL */
    struct l2_pool *pool;
    struct l2_params *params, *ref; /* ref: NULL with adapters */
    struct l2_model *base_model;    /* with adapters: params as a model, and its packed weights, */
    struct l2_engine *base;         /* which the policy's and reward models' engines borrow */
    struct l2_ppo *ppo;
    struct l2_ppo_opts ppo_opts;
    struct l2_loaded helpfulness, safety; /* reward models; engine NULL where there is none */
    struct l2_stop *pattern;
    struct l2_prompts prompts, held;
    struct l2_header header; /* of the prompts */
    char prompts_hash[65];
    size_t longest; /* prompt */
    struct l2_buf settings;
    FILE *log;
    char kernels[256];

    /* What a checkpoint has besides the policy. */
    uint64_t iteration;      /* done */
    uint64_t pass, position; /* over the prompts, and in it */
    uint64_t episodes;
    bool has_best;
    double best;    /* score on what is held out */
    uint64_t worse; /* evaluations since */
    uint64_t saved,
        saved_before; /* iterations of the last checkpoint and the one before; 0: none */

    bool out_of_bounds; /* KL or a loss is what it must not be */

    /* Seconds of this process, and tokens. */
    double generating, scoring, training, saving;
    uint64_t new_tokens;
};

#define L2_PPO_ROWS 256 /* of a pass of an engine */

/* Positions of a rollout at most, and bytes for the keys and values of that many completions in a
 * model, if --kv-memory leaves them. */
uint32_t l2_ppo_longest(const struct l2_ppo_run *r);
uint64_t l2_ppo_kv_bytes(const struct l2_ppo_run *r, const struct l2_hparams *hp,
                         uint64_t completions);
/* Of the engine that draws that many completions. */
struct l2_engine_opts l2_ppo_engine_opts(const struct l2_ppo_run *r, size_t sequences);

/* Model, prompts, reward models and policy, in this order. L2_END: the prompts are incomplete,
 * which has been told. */
int l2_ppo_open(struct l2_ppo_run *r, struct l2_err *err) L2_MUST_CHECK;
void l2_ppo_close(struct l2_ppo_run *r);

/* The records of the next batch: each prompt once, without completions. Owned, free with
 * l2_ppo_batch_free. */
int l2_ppo_batch(struct l2_ppo_run *r, struct l2_prompts *out, struct l2_err *err) L2_MUST_CHECK;
/* The same of all prompts that are held out. */
int l2_ppo_held(const struct l2_ppo_run *r, struct l2_prompts *out,
                struct l2_err *err) L2_MUST_CHECK;
void l2_ppo_batch_free(struct l2_prompts *p);

/* Adds n completions to each, drawn from the policy as it is now. */
int l2_ppo_generate(struct l2_ppo_run *r, struct l2_prompts *batch, uint32_t n, uint64_t seed,
                    struct l2_err *err) L2_MUST_CHECK;
/* Scores them: "helpfulness", "safety", and "score", the reward that the policy gets. */
int l2_ppo_score(struct l2_ppo_run *r, struct l2_prompts *batch, struct l2_ppo_scores *s,
                 struct l2_err *err) L2_MUST_CHECK;
/* Runs the command of --reward-command on the batch, for scores named "reward". */
int l2_ppo_command(struct l2_ppo_run *r, struct l2_prompts *batch,
                   struct l2_err *err) L2_MUST_CHECK;
/* Writes the batch as a stream: to an open file, which stays open, or to path, whole or not at
 * all. */
int l2_ppo_write_stream(struct l2_ppo_run *r, const struct l2_prompts *batch, int fd,
                        const char *path, struct l2_err *err) L2_MUST_CHECK;
int l2_ppo_write_rollouts(struct l2_ppo_run *r, const struct l2_prompts *batch, const char *path,
                          struct l2_err *err) L2_MUST_CHECK;

/* The run's checkpoint, and with --max-kl the one before it. */
struct l2_ppo_paths {
    char *checkpoint, *before; /* owned */
};
int l2_ppo_paths_make(struct l2_ppo_paths *p, const char *output, struct l2_err *err) L2_MUST_CHECK;
void l2_ppo_paths_release(struct l2_ppo_paths *p);
int l2_ppo_save_run(struct l2_ppo_run *r, const struct l2_ppo_paths *p,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_ppo_restore_run(struct l2_ppo_run *r, const char *path, struct l2_err *err) L2_MUST_CHECK;
/* Removes the file, if there is one. */
int l2_ppo_forget(const char *path, struct l2_err *err) L2_MUST_CHECK;
/* For a run that is out of bounds: leaves the last checkpoint whose policy was within them, where
 * there is one, and says which one that is. */
void l2_ppo_keep_good(struct l2_ppo_run *r, const struct l2_ppo_paths *p);

#endif
