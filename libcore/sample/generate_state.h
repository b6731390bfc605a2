/* What a generator holds; shared by the files that make up generation. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GENERATE_STATE_H
#define L2_GENERATE_STATE_H

#include "sample/budget.h"
#include "sample/generate.h"
#include "sample/growing.h"
#include "util/philox.h"

/* A record in flight. Its own sequence holds the prompt, and the tokens of one completion at a time
 * behind it; it has the blocks for both from admission on, so that a record can always finish by
 * itself, one completion after the other. Further completions fork the prompt where the cache has
 * room for them. */
struct l2_gen_flight {
    struct l2_gen_flight *next;
    struct l2_record *rec;
    struct l2_philox_key key;
    uint64_t first_k;
    uint32_t max_new;  /* tokens of a completion, as far as the context has room */
    bool continuation; /* for the decoder */
    struct l2_kv_seq seq;
    bool seq_taken;         /* by the completion that goes on in seq */
    uint32_t blocks;        /* committed; 0 before admission */
    size_t prompt_fed;      /* positions of the prompt that were put into batches, or were known */
    size_t published;       /* of these, those that were made known */
    struct l2_draw *first;  /* the first draw of each completion; NULL before the prompt was run */
    uint32_t started, done; /* completions */
    struct l2_completion *results; /* one each; those without tokens failed */
    struct l2_err fault;           /* where failed > 0: why the first one did */
    uint32_t failed;
    bool finished;
};

/* A completion that is decoded: one row a step. */
struct l2_gen_lane {
    struct l2_gen_lane *next; /* among the active ones, oldest first, or the free ones */
    struct l2_gen_flight *flight;
    uint32_t index; /* of the completion in its flight */
    struct l2_kv_seq own;
    struct l2_kv_seq *seq; /* own, or the flight's */
    uint32_t blocks;       /* committed for own */
    struct l2_growing text;
};

/* Rows of a pass that decodes, at most, for guesses to be added to it: up to about here a pass
 * takes hardly longer for one more row, since it waits for the weights. */
#define L2_GEN_GUESS_ROWS 8

/* Where an output goes, and for a lane what was drawn from it. A lane that guesses has several in a
 * row, the first of its last token, the others of guesses. */
struct l2_gen_destination {
    struct l2_gen_lane *lane; /* NULL: the last row of flight's prompt */
    struct l2_gen_flight *flight;
    const float *logits;
    struct l2_draw draw; /* id L2_NO_ID: it failed */
    uint32_t ahead;      /* guesses up to here */
    uint32_t token;      /* that was fed; of use only where all guesses before it were right */
};

struct l2_generator {
    struct l2_worker worker;
    struct l2_engine *engine;
    const struct l2_hparams *hp;
    struct l2_kv_pool *kv;
    struct l2_generate_opts opts;
    struct l2_growing_rules rules;
    struct l2_sampler **samplers; /* one for each of n_samplers threads; owned */
    uint32_t n_samplers;
    uint32_t vocab_size;                /* ids that the stream may hold */
    struct l2_gen_flight *head, **tail; /* in input order */
    size_t n_flights;
    uint64_t waiting; /* completions of records that are not admitted */
    uint64_t pending; /* completions of admitted records that have not been started */
    struct l2_kv_budget budget;
    struct l2_gen_lane *lanes; /* all of them; owned */
    uint32_t n_lanes, n_active;
    struct l2_gen_lane *active, *idle;
    struct l2_row *rows;
    struct l2_gen_destination *destinations;
    uint32_t max_rows, max_outputs;
    uint32_t n_rows, n_outputs; /* of the batch that is being made */
    uint64_t n_tokens, n_generated;
    struct l2_generate_counts results;
    struct l2_worker_faults faults;
};

/* Positions that a completion of t may come to use: its last token is never fed. */
static inline uint32_t l2_gen_positions(const struct l2_gen_flight *t)
{
    return (uint32_t)t->rec->prompt.n + t->max_new - 1;
}

/* ---- completions (generate_lane.c) ---- */

/* Draws the next token of each lane among the destinations. */
void l2_gen_draw_all(struct l2_generator *g);

/* Draws the first tokens of all completions of t, from the logits of its prompt's last row. */
int l2_gen_draw_firsts(struct l2_generator *g, struct l2_gen_flight *t, const float *logits,
                       struct l2_err *err) L2_MUST_CHECK;

/* Starts t's next completion in an idle lane, which there is, with its first token. *started is
 * false when it has to wait for room in the cache. */
int l2_gen_start(struct l2_generator *g, struct l2_gen_flight *t, bool *started,
                 struct l2_err *err) L2_MUST_CHECK;

/* Adds the token that was drawn to d's lane, which stays active unless that ends it. Of the guesses
 * in the n destinations that the lane has from d on, those that equal what is drawn stand; the
 * others are forgotten. */
int l2_gen_advance(struct l2_generator *g, const struct l2_gen_destination *d, uint32_t n,
                   struct l2_err *err) L2_MUST_CHECK;

/* ---- one forward pass (generate_step.c) ---- */

/* The step of struct l2_worker_ops. */
int l2_gen_step(struct l2_worker *w, struct l2_err *err) L2_MUST_CHECK;

#endif
