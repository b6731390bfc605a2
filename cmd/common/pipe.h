/* A filter's two ends: input streams read one after the other, and the output stream that mirrors their
 * segments, with the rules for incomplete input kept in one place. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PIPE_H
#define L2_PIPE_H

#include "common/cli.h"
#include "sample/worker.h"
#include "stream/stream.h"

struct l2_pipe;

enum l2_pipe_event {
    L2_PIPE_RECORD,      /* a record was read */
    L2_PIPE_SEGMENT_END, /* all of this segment's records were read: finish them, then go on */
    L2_PIPE_HEADER       /* a segment begins; check it against the model, then go on */
};

/* Opens the operands (stdin where there are none) and the output. merge: one output segment for all
 * inputs, histories joined, vocabularies equal; else segments are mirrored. kernels may be NULL.
 * A terminal as stdin with no operand is wrong usage: L2_ARGUMENT. */
int l2_pipe_open(struct l2_pipe **out, struct l2_cli *cli, bool merge, const char *kernels,
                 struct l2_err *err) L2_MUST_CHECK;
/* Like l2_pipe_open, without an output: programs that only look. */
int l2_pipe_open_input(struct l2_pipe **out, struct l2_cli *cli, struct l2_err *err) L2_MUST_CHECK;

/* The next event. L2_END after the last input. Input that ends without END, or whose END says
 * incomplete, is remembered as the first error and reported once; what was read goes on. With wait false
 * L2_AGAIN. Pending output is flushed when it is 50 ms old while waiting. */
int l2_pipe_next(struct l2_pipe *p, bool wait, enum l2_pipe_event *event, struct l2_record *rec,
                 struct l2_err *err) L2_MUST_CHECK;
/* The current input segment's header. */
const struct l2_header *l2_pipe_header(const struct l2_pipe *p);

int l2_pipe_put(struct l2_pipe *p, const struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;
int l2_pipe_flush(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;

/* Remembers an error of this program: the segment's END will say complete=false with its text and
 * the exit status is 1. Only the first counts. */
void l2_pipe_fail(struct l2_pipe *p, const struct l2_err *err);

/* True when the reader of our output went away: stop quietly. */
bool l2_pipe_broken(const struct l2_pipe *p);

/* Ends the output (END, close), adds records and tokens to the summary, frees. Returns the exit
 * status so far. */
int l2_pipe_close(struct l2_pipe *p);

/* The main loop of programs that run records through a model: takes records in while the worker wants
 * them, without waiting to fill a batch, flushes before every forward pass, puts out finished records in
 * input order. header (may be NULL) is called at each segment's header and may refuse it. done (may be NULL) sees each
 * finished record before it is written; it may ask not to write it. Returns the exit status; closes p. */
struct l2_run {
    struct l2_cli *cli;
    struct l2_pipe *pipe;
    struct l2_worker *worker;
    int (*header)(void *arg, const struct l2_header *h, struct l2_err *err);
    int (*done)(void *arg, struct l2_record *rec, bool *write, struct l2_err *err);
    void *arg;
};
int l2_run_worker(struct l2_run *run);

#endif
