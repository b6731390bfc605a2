/* The benchmark's cases, and the two probes that every figure is a ratio to. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BENCH_H
#define L2_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/hparams.h"
#include "util/pool.h"

/* Monotonic seconds. */
double bench_now(void);

/* S: OpenBLAS sgemm with n_threads threads, FLOP/s. M: best read bandwidth over several access
 * patterns, bytes/s. Both take about a tenth of a second. */
double bench_probe_sgemm(int n_threads);
double bench_probe_memory(struct l2_pool *pool);

/* What one measurement of a case did. */
struct bench_sample {
    double seconds;
    double work;  /* in the case's unit, e.g. tokens */
    double flops; /* model FLOPs, or 0 where S says nothing about the case */
    double bytes; /* bytes of weights read, or 0 where M says nothing about it */
    double held;  /* bytes of memory that the case has planned for itself, or 0 */
};

struct bench_case {
    char name[64];
    const char *unit; /* of work */
    void *state;      /* owned, freed by release */
    int (*run)(void *state, struct bench_sample *out, struct l2_err *err);
    void (*release)(void *state);
};

struct bench_list {
    struct bench_case *v; /* owned */
    size_t n;
    struct l2_pool *pool; /* borrowed */
    const char *only;     /* names must contain this; NULL: all */
    const char *text;     /* a file of text for the tokeniser, or NULL */
    const char *vocab;    /* its vocabulary, or NULL */
};

/* Appends c when its name passes the filter, else releases its state. */
int bench_add(struct bench_list *l, const struct bench_case *c, struct l2_err *err) L2_MUST_CHECK;
/* True when a case of this name would be kept: ask before building something large for it. */
bool bench_wants(const struct bench_list *l, const char *name);

/* Model cases for a shape ("15m", "110m", "1b", "7b") and a type of weights ("f32", "q8_0", ...).
 */
int bench_add_model(struct bench_list *l, const char *shape, const char *type,
                    struct l2_err *err) L2_MUST_CHECK;
/* Training cases: their names, NULL behind the last; and one of them added. */
const char *bench_training(size_t i);
int bench_add_training(struct bench_list *l, const char *name, struct l2_err *err) L2_MUST_CHECK;
/* Kinds of key/value heads (figure 24 of the Llama 2 paper), likewise. */
const char *bench_heads(size_t i);
int bench_add_heads(struct bench_list *l, size_t i, struct l2_err *err) L2_MUST_CHECK;
int bench_add_streams(struct bench_list *l, struct l2_err *err) L2_MUST_CHECK;
int bench_add_tokenizer(struct bench_list *l, struct l2_err *err) L2_MUST_CHECK;

#endif
