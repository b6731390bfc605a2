/* A worker that runs given tokens of records through the engine: each prompt once for all of its
 * record's completions, many records in a batch. Scoring and embedding say which rows they want
 * outputs of. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FEED_H
#define L2_FEED_H

#include "nn/engine.h"
#include "sample/worker.h"

/* Stands for the prompt where a completion's number is asked for. */
#define L2_FEED_PROMPT SIZE_MAX

/* One record on its way through the engine, as the visitor sees it. */
struct l2_feed_item {
    struct l2_record *rec;
    uint32_t n_prompt; /* tokens of the prompt that are run, after truncation */
    void *scratch;     /* the visitor's, set by begin(); in rec's arena */
};

/* What is done with the outputs. All calls come from one thread; arg is the visitor's. */
struct l2_feed_visitor {
    enum l2_output output;
    void *arg; /* owned: freed by free() */
    /* A record is taken in. */
    int (*begin)(void *arg, struct l2_feed_item *item, struct l2_err *err);
    /* How many of a part's n tokens have to be run. */
    uint32_t (*n_rows)(const void *arg, const struct l2_feed_item *item, size_t completion,
                       uint32_t n);
    /* Whether row position < n_rows of a part wants its output. */
    bool (*wants)(const void *arg, const struct l2_feed_item *item, size_t completion,
                  uint32_t position, uint32_t n_rows);
    /* Such an output, in order of position within a part; the prompt's come before its
     * completions'. */
    int (*output_row)(void *arg, struct l2_feed_item *item, size_t completion, uint32_t position,
                      const float *values, uint32_t width, struct l2_err *err);
    /* All rows of completion number completion (its first n tokens count, after truncation) have
     * been run. L2_CORRUPT: it has no usable result; the record is counted as faulty and the run
     * goes on. For a record without completions it is called once, with L2_FEED_PROMPT. */
    int (*finish)(void *arg, struct l2_feed_item *item, size_t completion, uint32_t n,
                  struct l2_err *err);
    void (*free)(void *arg);
};

/* e is borrowed; the visitor is copied and its arg taken over, also when this fails. */
int l2_feed_new(struct l2_worker **out, struct l2_engine *e, const struct l2_feed_visitor *visitor,
                enum l2_overlong overlong, struct l2_err *err) L2_MUST_CHECK;

/* The faults, for visitors that count some of their own. */
struct l2_worker_faults *l2_feed_faults(struct l2_worker *w);

/* Names rec as faulty in f; only the first one's error is kept. */
void l2_worker_fault(struct l2_worker_faults *f, const struct l2_record *rec,
                     const struct l2_err *err);

#endif
