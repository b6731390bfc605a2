/* What a program that runs records through a model looks like to its main loop: records go in,
 * forward passes are made, finished records come out in input order or as they finish. Generation,
 * scoring and embedding are workers. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_WORKER_H
#define L2_WORKER_H

#include <stdbool.h>
#include "stream/record.h"

/* What went wrong with single records while the run went on. */
struct l2_worker_faults {
    uint64_t records;        /* records that were passed on without their (whole) result */
    char first_id[128];      /* the first one's id */
    struct l2_err first;     /* and why */
    uint64_t dropped;        /* passed on without a result by L2_OVERLONG_DROP */
    uint64_t truncated;      /* cut by L2_OVERLONG_TRUNCATE_LEFT or _RIGHT */
    uint64_t eos_mismatches; /* completions that break the reward model's EOS convention */
};

struct l2_worker {
    const struct l2_worker_ops *ops;
    bool unordered; /* take() gives records as they finish; set before the first one is added */
};

struct l2_worker_ops {
    /* True when another record can be taken in now. */
    bool (*wants)(const struct l2_worker *w);
    /* Takes rec over; it comes back from take(). rec is heap allocated by the caller, and stays the
     * caller's when this fails. L2_LIMIT: too long for the context, and L2_OVERLONG_ERROR. */
    int (*add)(struct l2_worker *w, struct l2_record *rec, struct l2_err *err);
    /* True when step() has work to do. */
    bool (*busy)(const struct l2_worker *w);
    /* One forward pass. */
    int (*step)(struct l2_worker *w, struct l2_err *err);
    /* The next record in input order if it is finished (the caller's again), or NULL; with
     * unordered, any that is finished. */
    struct l2_record *(*take)(struct l2_worker *w);
    /* Tokens processed (prompt and completion) and tokens newly generated so far, for progress. */
    void (*counts)(const struct l2_worker *w, uint64_t *tokens, uint64_t *generated);
    const struct l2_worker_faults *(*faults)(const struct l2_worker *w);
    void (*free)(struct l2_worker *w);
};

/* What to do with a prompt and completion that do not fit into the context. */
enum l2_overlong {
    L2_OVERLONG_ERROR,
    L2_OVERLONG_DROP,          /* pass the record on without a result, counted */
    L2_OVERLONG_TRUNCATE_LEFT, /* forget the oldest tokens of the prompt (BOS stays) */
    L2_OVERLONG_TRUNCATE_RIGHT /* cut the end */
};

#endif
