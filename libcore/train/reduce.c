/* The reduction of one process, and who has which shard. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/reduce.h"

const struct l2_reducer l2_reducer_alone = {.worker = 0, .n_workers = 1};

struct l2_shard l2_reduce_shard(size_t n, uint32_t worker, uint32_t n_workers)
{
    size_t runs = (n + L2_REDUCE_RUN - 1) / L2_REDUCE_RUN;
    size_t each = runs / n_workers, more = runs % n_workers; /* the first ones have one more */
    size_t first = worker * each + (worker < more ? worker : more);
    size_t begin = first * L2_REDUCE_RUN;
    size_t end = (first + each + (worker < more)) * L2_REDUCE_RUN;
    return (struct l2_shard){begin < n ? begin : n, end < n ? end : n};
}

uint32_t l2_reduce_worker_of(const struct l2_reducer *r, uint64_t micro_batch)
{
    return (uint32_t)(micro_batch % r->n_workers);
}

int l2_reduce_sum(const struct l2_reducer *r, double *v, size_t n, struct l2_err *err)
{
    return r->n_workers == 1 ? L2_OK : r->sum(r->state, v, n, err);
}

int l2_reduce_scatter(const struct l2_reducer *r, float *v, size_t n, struct l2_err *err)
{
    return r->n_workers == 1 ? L2_OK : r->scatter(r->state, v, n, err);
}

int l2_reduce_gather(const struct l2_reducer *r, void *v, size_t n, size_t size, struct l2_err *err)
{
    return r->n_workers == 1 ? L2_OK : r->gather(r->state, v, n, size, err);
}
