/* A filter's two ends: input streams read one after the other, and the output stream that mirrors
 * their segments, with the rules for incomplete input kept in one place. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PIPE_H
#define L2_PIPE_H

#include "common/cli.h"
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
/* Like l2_pipe_open, mirroring, for programs that change prompts: --resume knows records by id
 * alone. */
int l2_pipe_open_rewriting(struct l2_pipe **out, struct l2_cli *cli, const char *kernels,
                           struct l2_err *err) L2_MUST_CHECK;
/* Like l2_pipe_open, without an output: programs that only look, or write something else. */
int l2_pipe_open_input(struct l2_pipe **out, struct l2_cli *cli, struct l2_err *err) L2_MUST_CHECK;
/* Like l2_pipe_open, without an input: one segment that begins with a copy of h. */
int l2_pipe_open_output(struct l2_pipe **out, struct l2_cli *cli, const struct l2_header *h,
                        const char *kernels, struct l2_err *err) L2_MUST_CHECK;

/* For programs that read their streams otherwise and write one segment: joins the history of from,
 * or the one that the file at path begins with, once, where the output's header is not written yet.
 * What is wrong with the file is not said here. */
int l2_pipe_join_history(struct l2_pipe *p, const struct l2_header *from,
                         struct l2_err *err) L2_MUST_CHECK;
int l2_pipe_join_ahead(struct l2_pipe *p, const char *path, struct l2_err *err) L2_MUST_CHECK;

/* The next event. L2_END after the last input. Input that ends without END, or whose END says
 * incomplete, or that cannot be opened, is remembered as the first error and reported; what was
 * read goes on, and so do the inputs after it. With wait false L2_AGAIN. Pending output is flushed
 * when it is 50 ms old while waiting. A failure is our own: memory, or the output. */
int l2_pipe_next(struct l2_pipe *p, bool wait, enum l2_pipe_event *event, struct l2_record *rec,
                 struct l2_err *err) L2_MUST_CHECK;
/* The current input segment's header. */
const struct l2_header *l2_pipe_header(const struct l2_pipe *p);
/* At L2_PIPE_SEGMENT_END: the segment's END, or NULL where it has none. */
const struct l2_stream_end *l2_pipe_end(const struct l2_pipe *p);
/* The current input's index among the operands; 0 for standard input. */
size_t l2_pipe_operand(const struct l2_pipe *p);
/* The current input's name, for messages. */
const char *l2_pipe_input_name(const struct l2_pipe *p);

/* With --shard and --resume l2_pipe_next gives only the records that are wanted; programs that read
 * otherwise ask here, once for each record, of which only the id matters. */
bool l2_pipe_wants(struct l2_pipe *p, const struct l2_record *rec);

int l2_pipe_put(struct l2_pipe *p, const struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;
int l2_pipe_flush(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;
/* The hook to give to an input that is read otherwise, so that the flush rule holds there too. */
const struct l2_idle *l2_pipe_idle(const struct l2_pipe *p);

/* An error of this program: reported with l2_cli_error here, not by the caller; the segment's END
 * will say complete=false with its text. Only the first counts. */
void l2_pipe_fail(struct l2_pipe *p, const struct l2_err *err);
/* True when an input was incomplete or l2_pipe_fail was called: what programs whose result is a
 * whole ask before they make one. */
bool l2_pipe_incomplete(const struct l2_pipe *p);

/* True when the reader of our output went away: stop quietly. */
bool l2_pipe_broken(const struct l2_pipe *p);

/* Adds what this run is to the history of h, unless --no-history; kernels may be NULL. */
int l2_pipe_add_history(const struct l2_cli *cli, struct l2_header *h, const char *kernels,
                        struct l2_err *err) L2_MUST_CHECK;

/* The share of the input that was read, 0 to 1; below 0 where its size is not known. */
double l2_pipe_share(const struct l2_pipe *p);

/* Ends the output (END, close), adds records and tokens to the summary (of the output; without one,
 * of the input), frees. p may be NULL. Returns the exit status so far. */
int l2_pipe_close(struct l2_pipe *p);

#endif
