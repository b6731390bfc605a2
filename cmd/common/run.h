/* The main loop of programs that run records through a model. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RUN_H
#define L2_RUN_H

#include "common/pipe.h"
#include "sample/worker.h"

/* Takes records in while the worker wants them, without waiting to fill a batch, flushes before
 * every forward pass, puts out finished records in input order. */
struct l2_run {
    struct l2_cli *cli;
    struct l2_pipe *pipe;
    struct l2_worker *worker; /* borrowed */
    /* Called at each segment's header; may refuse it. May be NULL. */
    int (*header)(void *arg, const struct l2_header *h, struct l2_err *err);
    /* Sees each finished record before it is written; may ask not to write it. May be NULL. */
    int (*done)(void *arg, struct l2_record *rec, bool *write, struct l2_err *err);
    void *arg;
};

/* Returns the exit status; closes the pipe. Records that were passed on without their result are
 * named, counted in the summary ("failed_records") and make the status 1. */
int l2_run_worker(struct l2_run *run);

#endif
