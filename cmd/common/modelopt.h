/* The start-up that programs which load a model share; their options are L2_ROWS_MODEL. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MODELOPT_H
#define L2_MODELOPT_H

#include "common/cli.h"
#include "nn/engine.h"
#include "stream/stream.h"
#include "text/vocab.h"

/* native, blas, NULL. Using it links OpenBLAS. */
extern const struct l2_backend *const l2_model_backends[];

/* Everything a model program holds; owned parts are released together. */
struct l2_loaded {
    struct l2_model *model;
    struct l2_vocab *vocab; /* -z, else the model directory's, else NULL */
    struct l2_pool *pool;
    struct l2_engine *engine;
    char kernels[256]; /* for the history: the backend's line */
};

/* Opens model and vocabulary and builds the engine; n_layers as in l2_engine_opts. */
int l2_load(struct l2_loaded *out, struct l2_cli *cli, const struct l2_model_settings *s,
            uint32_t max_outputs, uint32_t n_layers, struct l2_err *err) L2_MUST_CHECK;
void l2_unload(struct l2_loaded *l);

/* Checks a stream's vocabulary against the model: by hash where both have one, else by size (ids <
 * rows, which workers check where the stream has no vocabulary), which the summary then says
 * ("vocabulary": "size only"). */
int l2_check_vocab(struct l2_cli *cli, const struct l2_loaded *l, const struct l2_header *h,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
