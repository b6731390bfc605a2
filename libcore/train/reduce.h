/* How workers that train one model together add up what each has computed. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_REDUCE_H
#define L2_REDUCE_H

#include <stddef.h>
#include <stdint.h>
#include "util/err.h"

/* Values of an array are shared out in runs of multiples of this. */
#define L2_REDUCE_RUN ((size_t)16384)

/* One worker's view. Every worker calls the same operations in the same order with arrays of the
 * same lengths, and each call returns when the worker's part in it is done. All get bit-identical
 * results. Operations are NULL where n_workers is 1: nothing is left to do then. */
struct l2_reducer {
    uint32_t worker, n_workers; /* 0 .. n_workers - 1 */
    void *state;
    /* v becomes the sum over all workers. */
    int (*sum)(void *state, double *v, size_t n, struct l2_err *err);
    /* This worker's shard of v becomes the sum over all workers; the rest is undefined. */
    int (*scatter)(void *state, float *v, size_t n, struct l2_err *err);
    /* Each shard of v (n values of size bytes) becomes what the worker has to whom it belongs. */
    int (*gather)(void *state, void *v, size_t n, size_t size, struct l2_err *err);
};

/* One process, on its own. */
extern const struct l2_reducer l2_reducer_alone;

/* The shard of an array of n values that belongs to a worker. */
struct l2_shard {
    size_t begin, end;
};
struct l2_shard l2_reduce_shard(size_t n, uint32_t worker, uint32_t n_workers);

/* The worker that computes micro-batch i of a step: gradients of one worker's micro-batches are
 * summed where they arise, those of different workers by scatter. */
uint32_t l2_reduce_worker_of(const struct l2_reducer *r, uint64_t micro_batch);

int l2_reduce_sum(const struct l2_reducer *r, double *v, size_t n,
                  struct l2_err *err) L2_MUST_CHECK;
int l2_reduce_scatter(const struct l2_reducer *r, float *v, size_t n,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_reduce_gather(const struct l2_reducer *r, void *v, size_t n, size_t size,
                     struct l2_err *err) L2_MUST_CHECK;

#endif
