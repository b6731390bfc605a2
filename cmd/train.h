/* l2-train: what its files share. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_TRAIN_H
#define L2_CMD_TRAIN_H

#include <stdio.h>

#include "common/cli.h"
#include "optimiser.h"
#include "text/vocab.h"
#include "train/trainer.h"
#include "util/rapl.h"

struct l2_train_opts {
    struct optimiser optimiser;
    const char *model, *output, *log, *dump_grads, *tmpdir, *sample_prompt;
    struct l2_strings data, weights;
    bool force, resume, resume_changed, cut_documents, earlier_turns, keep_order, no_margin, plan,
        merge;
    bool lr_given, epochs_given, batch_given, context_given, param_type_given;
    int overlong, schedule, margins, param_type, moment_type;
    int64_t steps, epochs, tokens, batch, micro, context, warmup, eval_every, eval_batches,
        save_every, keep, log_every, sample_every, sample_tokens;
    double lr, least, held_out, centre, safety, watts, pue, co2_per_kwh;
    uint64_t seed, memory;
};

/* A run. All is owned but opts and cli. */
struct l2_train {
    struct l2_cli *cli;
    const struct l2_train_opts *opts;
    enum l2_data_kind kind;
    struct l2_hparams hp;   /* of what is trained */
    struct l2_model *model; /* what it begins with */
    char start[65];         /* its fingerprint */
    struct l2_vocab *vocab; /* its vocabulary, where the streams or samples want it; or NULL */
    struct l2_pool *pool;
    struct l2_params *params;
    int *fds;
    struct l2_data_input *inputs;
    struct l2_data *data, *held;
    struct l2_data_opts data_opts;
    struct l2_trainer_opts trainer_opts;
    struct l2_trainer *trainer;
    uint64_t total; /* steps of the whole run */
    FILE *log;
    double started;      /* seconds, of this process */
    uint64_t first_step; /* taken before this process */
    uint64_t rows;       /* computed by this process */
    uint64_t evaluated;  /* 1 + the step after which it was last; 0: never */
    struct l2_losses eval;
    double flops_per_row; /* of a step */
    bool has_rapl;
    struct l2_rapl rapl;
};

/* Model, parameters, data and trainer, in this order; all of it is released with the run. */
int l2_train_open_model(struct l2_train *t, struct l2_err *err) L2_MUST_CHECK;
int l2_train_open_data(struct l2_train *t, struct l2_err *err) L2_MUST_CHECK;
int l2_train_open_trainer(struct l2_train *t, struct l2_err *err) L2_MUST_CHECK;
/* What the run takes of memory, to standard error and into the summary. */
void l2_train_report_plan(struct l2_train *t);

/* Writes {"step", "loss", ...} to the log and, now and then, a line to standard error. */
int l2_train_report_step(struct l2_train *t, const struct l2_step *step,
                         struct l2_err *err) L2_MUST_CHECK;
/* The same for an evaluation, t->eval. */
int l2_train_report_eval(struct l2_train *t, struct l2_err *err) L2_MUST_CHECK;
/* Adds t->eval to the summary. */
void l2_train_summarise_eval(struct l2_train *t);
/* {"step", "sample"}, and a line that shows the text as JSON has it: control characters escaped. */
int l2_train_report_sample(struct l2_train *t, const char *text, size_t n,
                           struct l2_err *err) L2_MUST_CHECK;
/* Time, energy and CO2 of this process, into the summary. */
void l2_train_report_energy(struct l2_train *t);
/* Makes a text with the model as it is and reports it. */
int l2_train_sample(struct l2_train *t, struct l2_err *err) L2_MUST_CHECK;
/* What the data are, to standard error with -v; what was left out, into the summary. */
void l2_train_report_data(struct l2_train *t);

/* OUT.ckpt/step-N of the largest N, as an owned string; NULL in *path where there is none. */
int l2_train_find_checkpoint(const char *dir, char **path, struct l2_err *err) L2_MUST_CHECK;
/* Writes dir/step-N, and deletes the oldest ones so that keep remain. */
int l2_train_save(struct l2_train *t, const char *dir, struct l2_err *err) L2_MUST_CHECK;

/* Deletes all checkpoints in dir. */
int l2_train_forget(const char *dir, struct l2_err *err) L2_MUST_CHECK;
/* Deletes what a process that was killed while it wrote a checkpoint has left. */
int l2_train_tidy(const char *dir, struct l2_err *err) L2_MUST_CHECK;

/* Writes the trainer's gradients to path, and the loss as a tensor of one value, "loss". */
int l2_train_dump_gradients(struct l2_train *t, const struct l2_step *step, const char *path,
                            struct l2_err *err) L2_MUST_CHECK;

#endif
