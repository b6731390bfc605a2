/* The parts of l2-cat: where records come from, which are taken, and where they go. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CAT_H
#define L2_CAT_H

#include "common/pipe.h"

/* Where records go. Each function may be NULL. Owned, free with free(sink). */
struct cat_sink {
    /* A segment of the input begins. */
    int (*header)(struct cat_sink *s, const struct l2_header *h, struct l2_err *err);
    int (*record)(struct cat_sink *s, const struct l2_record *rec, struct l2_err *err);
    /* The input's segment ended, with end or (NULL) without one. */
    int (*end)(struct cat_sink *s, const struct l2_stream_end *end, struct l2_err *err);
    /* Called before waiting for input; true from pending when there is something to flush. */
    bool (*pending)(const struct cat_sink *s);
    int (*flush)(struct cat_sink *s, struct l2_err *err);
    /* All is done; incomplete: some input was not whole. */
    int (*finish)(struct cat_sink *s, bool incomplete, struct l2_err *err);
    void (*free)(struct cat_sink *s);
};

/* Puts records into p, which is borrowed. */
int cat_stream_sink(struct cat_sink **out, struct l2_pipe *p, struct l2_err *err) L2_MUST_CHECK;
/* Lines of JSON to -o or standard output; with headers and ENDs when asked; or (ids) TRL's rows of
 * token ids. */
int cat_json_sink(struct cat_sink **out, struct l2_cli *cli, bool headers, bool ids,
                  struct l2_err *err) L2_MUST_CHECK;
/* A table of the completions with all their scores, comma or tab separated. */
int cat_scores_sink(struct cat_sink **out, struct l2_cli *cli, bool tabs,
                    struct l2_err *err) L2_MUST_CHECK;
/* What the records are like, as a table or (json) as one line of JSON. */
int cat_stats_sink(struct cat_sink **out, struct l2_cli *cli, bool json,
                   struct l2_err *err) L2_MUST_CHECK;
/* Streams of n records each, in files named after -o. */
int cat_split_sink(struct cat_sink **out, struct l2_cli *cli, uint64_t n,
                   struct l2_err *err) L2_MUST_CHECK;

/* Which records are taken: of those number first to end - 1 (counted from 0 over all inputs), all
 * or a random sample. */
struct cat_choice {
    uint64_t first, end;
    uint64_t sample; /* 0: all */
    uint64_t seed;
    /* private */
    uint64_t seen, taken;
    struct cat_kept *kept;
    size_t n_kept;
};

/* Gives rec to s if it is chosen, now or (a sample) at the end. */
int cat_choose(struct cat_choice *c, const struct l2_record *rec, struct cat_sink *s,
               struct l2_err *err) L2_MUST_CHECK;
/* True when no later record can be chosen. */
bool cat_choice_done(const struct cat_choice *c);
/* Gives the sample to s, in the order of the input. */
int cat_choice_finish(struct cat_choice *c, struct cat_sink *s, struct l2_err *err) L2_MUST_CHECK;
void cat_choice_release(struct cat_choice *c);

/* Reads the operands, JSON lines, into a stream; returns the exit status. */
int cat_from_json(struct l2_cli *cli, const char *vocab, bool skip_bad, struct cat_choice *choice);
/* --check and --recover; return the exit status. */
int cat_check(struct l2_cli *cli);
int cat_recover(struct l2_cli *cli);

#endif
