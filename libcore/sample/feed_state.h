/* What a feed holds; shared by the files that make it up. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FEED_STATE_H
#define L2_FEED_STATE_H

#include "sample/budget.h"
#include "sample/feed.h"

/* A completion that is being run: behind the prompt in its record's own sequence, or on a fork. */
struct l2_feed_lane {
    struct l2_feed_lane *next; /* in its record's list, or in the list of free ones */
    size_t completion;
    uint32_t n_tokens; /* that count, after truncation */
    uint32_t n_rows;   /* that are run */
    uint32_t fed;
    uint32_t blocks; /* committed for it beyond its record's own */
    struct l2_kv_seq fork;
    struct l2_kv_seq *seq; /* fork, or the record's */
};

/* A record in flight. It holds the blocks of its prompt and of one completion behind it from the
 * start, so that it can always go on by itself, one completion after the other; further ones run
 * beside that on forks where there are blocks left. */
struct l2_feed_flight {
    struct l2_feed_flight *next;
    struct l2_feed_item item;
    uint32_t n_kept, forgotten; /* by truncation: forgotten tokens are left out after n_kept */
    struct l2_kv_seq seq;
    uint32_t n_prompt_rows, prompt_fed;
    uint32_t published;     /* of these, those that were made known to other records */
    size_t next_completion; /* to be started */
    size_t n_finished;
    struct l2_feed_lane *lanes; /* running, oldest first */
    bool seq_taken;             /* by the lane that goes on in seq */
    uint32_t blocks;            /* committed */
    bool faulty;
    bool done;
};

/* Where a row's output goes. */
struct l2_feed_destination {
    struct l2_feed_flight *flight;
    struct l2_feed_lane *lane; /* NULL: the prompt */
    uint32_t position;
};

struct l2_feed {
    struct l2_worker worker;
    struct l2_engine *engine;
    struct l2_feed_visitor visitor;
    enum l2_overlong overlong;
    struct l2_feed_flight *first, *last; /* in input order */
    struct l2_feed_flight *waiting;      /* the last one, when there are no blocks for it yet */
    uint64_t rows_ahead;                 /* rows of records taken in that have not been run */
    struct l2_kv_budget budget;
    struct l2_feed_lane *lanes; /* all of them; owned */
    struct l2_feed_lane *free_lanes;
    struct l2_row *rows; /* max_rows */
    struct l2_feed_destination *destinations;
    uint32_t width; /* floats an output */
    uint64_t n_tokens;
    struct l2_worker_faults faults;
};

/* ---- taking records in (feed_admit.c) ---- */

/* Checks rec, decides how much of it is run, and puts it behind the others. */
int l2_feed_add(struct l2_feed *f, struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* Tokens of completion c that count, after the prompt's n_prompt. */
uint32_t l2_feed_completion_tokens(const struct l2_feed *f, const struct l2_record *rec, size_t c,
                                   uint32_t n_prompt);

/* ---- one forward pass (feed_step.c) ---- */

int l2_feed_step(struct l2_feed *f, struct l2_err *err) L2_MUST_CHECK;

/* Takes the lane that *link points at out of t's running ones. */
void l2_feed_end_lane(struct l2_feed *f, struct l2_feed_flight *t, struct l2_feed_lane **link);

#endif
