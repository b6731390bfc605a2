/* Training steps: batches in, losses and changed parameters out. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TRAINER_H
#define L2_TRAINER_H

#include "nn/lora.h"
#include "train/adamw.h"
#include "train/data.h"
#include "train/reduce.h"
#include "train/schedule.h"

struct l2_trainer_opts {
    enum l2_data_kind kind;
    uint32_t max_rows; /* l2_data_max_rows */
    uint32_t micro;    /* batches of the data that make up one step's; gradients are summed */
    struct l2_adamw_opts adamw;
    struct l2_schedule schedule;
    double clip;    /* norm that the gradients of a step have at most; 0: no limit */
    double centre;  /* PAIRS: weight of (r_chosen + r_rejected)^2 in the loss */
    double safety;  /* PAIRS: weight of the safety labels' cross-entropy, per labelled answer */
    bool recompute; /* see l2_net_opts */
    enum l2_dtype products;
    enum l2_dtype weights; /* L2_BF16: parameters are l2_params_new_frozen's, rounded at random */
    enum l2_dtype moments; /* L2_F32 or L2_BF16, of matrices */
    struct l2_lora_opts lora; /* rank 0: all parameters are trained. Else only adapters are, and
                                 PAIRS: the label head; parameters may be frozen */
    uint64_t seed;            /* of adapters */
    const char *start; /* says which parameters the run began with, for checkpoints; borrowed; NULL:
                          not known */
    const struct l2_reducer *reducer; /* borrowed; NULL: alone */
    struct l2_pool *pool;             /* borrowed; may be NULL */
};

/* Bytes of a trainer's memory. */
struct l2_memory_plan {
    uint64_t weights, gradients, moments;
    uint64_t adapters;    /* with their gradients and moments */
    uint64_t activations; /* kept for the backward pass, and scratch: one arena */
    uint64_t all;
};

/* Sums over examples; divide by n. */
struct l2_losses {
    double loss;
    uint64_t n;                         /* ids that were predicted, or pairs */
    double right;                       /* PAIRS: the chosen one scored higher; a tie counts half */
    double margin;                      /* PAIRS: sum of r_chosen - r_rejected */
    uint64_t n_rated[L2_N_RATINGS + 1]; /* PAIRS by rating, the last: without */
    double right_rated[L2_N_RATINGS + 1];
};

struct l2_step {
    struct l2_losses sums;
    double grad_norm, lr;
    uint64_t rows; /* that the model computed */
};

struct l2_trainer;

/* params are borrowed and change. Owned, free with l2_trainer_free (NULL is fine). */
int l2_trainer_new(struct l2_trainer **out, struct l2_params *params,
                   const struct l2_trainer_opts *opts, struct l2_err *err) L2_MUST_CHECK;
void l2_trainer_free(struct l2_trainer *t);
/* What it takes, before it is made. */
struct l2_memory_plan l2_trainer_plan(const struct l2_hparams *hp,
                                      const struct l2_trainer_opts *opts);

/* One step on the next batches of d. L2_END: there are none, nothing was changed. L2_CORRUPT where
 * the loss or a gradient is not finite: parameters are as they were. */
int l2_trainer_step(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                    struct l2_err *err) L2_MUST_CHECK;
/* The mean loss's gradients on the next batches of d, which l2_trainer_grads then has; no step. */
int l2_trainer_gradients(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                         struct l2_err *err) L2_MUST_CHECK;
struct l2_params *l2_trainer_grads(struct l2_trainer *t);
/* The adapters; NULL where there are none. */
const struct l2_lora *l2_trainer_lora(const struct l2_trainer *t);

/* The logits of what follows n tokens, (vocab_size), as the parameters are now: valid until the
 * next pass. n is at most max_rows and the model's context. */
int l2_trainer_logits(struct l2_trainer *t, const uint32_t *tokens, size_t n, const float **logits,
                      struct l2_err *err) L2_MUST_CHECK;

/* The losses on d, from its beginning, over max batches at most (0: all). */
int l2_trainer_evaluate(struct l2_trainer *t, struct l2_data *d, uint64_t max,
                        struct l2_losses *losses, struct l2_err *err) L2_MUST_CHECK;

uint64_t l2_trainer_steps(const struct l2_trainer *t);

/* Writes everything that the next step depends on (parameters, moments, the place in d), and the
 * settings of both, to the file path, which is whole or as it was before. */
int l2_checkpoint_write(struct l2_trainer *t, const struct l2_data *d, const char *path,
                        struct l2_err *err) L2_MUST_CHECK;
/* Reads it back. Nothing is changed where it fails: L2_FORMAT, L2_UNSUPPORTED (version),
 * L2_TRUNCATED, L2_CORRUPT (checksum); L2_ARGUMENT where it is of another model or other data, or a
 * setting that a step depends on was another: the error names it. With changed such settings are
 * taken as they are now, and other data are read from their beginning; *data_changed says so. */
int l2_checkpoint_read(struct l2_trainer *t, struct l2_data *d, const char *path, bool changed,
                       bool *data_changed, struct l2_err *err) L2_MUST_CHECK;

#endif
