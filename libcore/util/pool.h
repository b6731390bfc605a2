/* The process's one thread pool: runs a function over slices, in the calling thread and workers. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_POOL_H
#define L2_POOL_H

#include "util/err.h"

struct l2_pool;

/* A pool of n_threads >= 1 including the caller's. Owned, free with l2_pool_free (NULL is fine). */
int l2_pool_new(struct l2_pool **out, int n_threads, struct l2_err *err) L2_MUST_CHECK;
void l2_pool_free(struct l2_pool *p);
int l2_pool_threads(const struct l2_pool *p);

/* Calls fn(arg, i) for every i in [0, n), on any thread in any order, and returns when all are
 * done. Idle workers spin briefly, then sleep. Not reentrant. p may be NULL: the caller does it
 * alone. */
void l2_pool_run(struct l2_pool *p, void (*fn)(void *arg, size_t i), void *arg, size_t n);

/* Number of processors this process may run on, at least 1. */
int l2_pool_default_threads(void);

#endif
