/* Models of random weights in memory, and records to run through them. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "nn/engine.h"
#include "sample/worker.h"

/* A model in memory, shared by its cases and freed with the last of them. */
struct bench_model {
    int n_users;
    struct l2_model model;
    struct l2_engine *engine; /* vocabulary head */
    double matrix_bytes;      /* of all weights that a token is multiplied with */
};

/* The shape called "15m", "110m", "1b" or "7b", without vocabulary and context, or NULL. */
const struct l2_hparams *bench_shape(const char *name);

/* A model of that shape and context with a vocabulary of 32000 and weights of a type ("f32",
 * "q8_0", ...), and its native engine; opts say rows, outputs and cache. n_users is 1. */
int bench_model_new(struct bench_model **out, const struct l2_hparams *shape, const char *type,
                    struct l2_pool *pool, struct l2_engine_opts opts,
                    struct l2_err *err) L2_MUST_CHECK;
/* Gives up one user. */
void bench_model_release(struct bench_model *b);

/* Model FLOPs of n tokens that see context positions on average; the head is counted for n_heads.
 */
double bench_model_flops(const struct bench_model *b, double n, double context, double n_heads);

/* The i-th of some token ids. */
uint32_t bench_token(size_t i);

/* A heap record with a prompt of n tokens, as a worker takes it over; NULL: no memory. */
struct l2_record *bench_record(int64_t id, size_t n, struct l2_err *err);

/* Steps until the worker has no more to do; frees what comes out. */
int bench_run_worker(struct l2_worker *w, struct l2_err *err) L2_MUST_CHECK;

#endif
