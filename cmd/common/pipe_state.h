/* What a pipe is made of, and the steps that its files share; internal to cmd/common/pipe*.c. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PIPE_STATE_H
#define L2_PIPE_STATE_H

#include "common/pipe.h"
#include "common/wanted.h"

struct l2_pipe {
    struct l2_cli *cli;
    bool merge;
    const char *kernels;

    /* input */
    size_t next_operand, n_operands; /* of standard input alone where there are no operands */
    struct l2_reader *reader;        /* NULL between inputs */
    int in_fd;
    const char *in_name;
    bool in_segment;
    uint64_t bytes_before, bytes_total; /* of inputs done; of all, 0: not known */
    uint64_t n_records, n_tokens;       /* read */

    /* output */
    struct l2_writer *writer; /* NULL: none */
    int out_fd;
    const char *out_name;
    struct l2_header header; /* of the output segment */
    bool has_header;
    bool has_own_history; /* header's history ends with this run */
    bool header_pending;  /* to be written before anything else */
    bool end_pending;     /* the mirrored segment's END is due at the next call of l2_pipe_next */
    bool output_failed;
    struct l2_idle idle;
    uint8_t (*joined)[L2_SHA256_SIZE]; /* hashes of the histories that header has */
    size_t n_joined;

    /* which records */
    struct l2_shard shard;
    struct l2_resume *resume; /* what an earlier run has written; or NULL */
    size_t resumed;           /* of its segments, how many have been met again */
    bool writing;             /* past what was there: the file has been cut to that */
    enum { FRESH, GOING_ON, SKIPPING } segment; /* the earlier run has nothing, a part, all of it */

    /* failures */
    bool segment_failed;
    char segment_error[512]; /* the first one's text, for END */
    bool own_error, input_error;
};

/* pipe_output.c */

/* Opens the output; by_prompt: an earlier run's records are known by their prompts' ids too. */
int l2_pipe_open_writer(struct l2_pipe *p, bool by_prompt, struct l2_err *err) L2_MUST_CHECK;
/* Writes the header where it is pending. */
int l2_pipe_settle_header(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;
/* A segment begins: where the earlier run has it, it is passed over or gone on with. */
int l2_pipe_resume_segment(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;
int l2_pipe_end_segment(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;
/* Ends the output. A failure after the last segment's END gets an empty segment of its own to be
 * told in, so that no later stage takes what it has for all. */
int l2_pipe_end_output(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;

/* pipe_header.c */

/* Begins the output segment's header with from's; it is written when something follows, or at the
 * latest when the pipe is closed. */
int l2_pipe_begin_header(struct l2_pipe *p, const struct l2_header *from,
                         struct l2_err *err) L2_MUST_CHECK;
/* Takes the reader's header to the output: merged, or as the begin of a mirrored segment. */
int l2_pipe_take_header(struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;

#endif
