/* What the files of the data side share. Private to them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_DATA_STATE_H
#define L2_DATA_STATE_H

#include "train/source.h"

struct l2_data_mix {
    struct l2_source source;
    uint64_t units; /* of one pass */
    double share;
    uint64_t drawn; /* units */
};

/* What is being packed. */
struct l2_data {
    struct l2_data_opts opts;
    bool held;
    bool by_weight; /* the shares are given, and not those of the sizes */
    size_t n_inputs;
    struct l2_corpus *corpora; /* (n_inputs): owned, but where held */
    struct l2_data_mix *mix;   /* (n_inputs) */
    uint64_t total_units;      /* of one pass */
    uint8_t fingerprint[L2_SHA256_SIZE];
    struct l2_data_counts counts;
    uint64_t fruitless; /* examples since the last that was packed */

    /* the example in hand */
    bool has_example;
    size_t input;               /* that it is from */
    const struct l2_example *x; /* in that source's group */
    uint32_t answer;            /* the next of its answers */
    uint64_t offset;            /* TEXT: of the next id in the document */

    /* the batch */
    struct l2_ids tokens, document;
    struct l2_span *spans;
    struct l2_target *targets;
    struct l2_data_pair *pairs;
    size_t n_spans, n_targets, n_pairs, cap_spans, cap_targets, cap_pairs;
};

/* Makes d->x the example in hand, drawn from the mix where there is none. L2_END: the epochs are
 * over. */
int l2_data_example(struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;
/* The example in hand is done with; packed: something of it is in the batch. */
void l2_data_example_done(struct l2_data *d, bool packed);
/* Its collection. */
const struct l2_examples *l2_data_examples(const struct l2_data *d);

/* Makes a span of the last n ids of the batch; none where n is 0, and then *span is parent. */
int l2_data_add_span(struct l2_data *d, size_t n, uint32_t parent, uint32_t *span,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_data_add_target(struct l2_data *d, size_t row, uint32_t token,
                       struct l2_err *err) L2_MUST_CHECK;
int l2_data_add_pair(struct l2_data *d, const struct l2_data_pair *pair,
                     struct l2_err *err) L2_MUST_CHECK;

/* d->document becomes the prompt of the example in hand, with BOS where that is asked for. */
int l2_data_take_prompt(struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;
/* Appends answer i to it, with EOS; *n gets its length. */
int l2_data_take_answer(struct l2_data *d, uint32_t i, size_t *n, struct l2_err *err) L2_MUST_CHECK;

/* How a prompt of n ids and an answer of n_answer get into limit positions. */
struct l2_data_cut {
    size_t prompt; /* ids to leave out, behind those that are kept */
    size_t kept;   /* first ids of the prompt that stay: 1 for BOS, or 0 */
    size_t answer; /* ids that remain of the answer; 0: there is no room */
};
struct l2_data_cut l2_data_cut(const struct l2_data *d, size_t n, size_t n_answer, size_t limit);

/* Appends one sequence to the batch: L2_OK, or L2_END where nothing is left. */
int l2_data_pack_text(struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;
int l2_data_pack_answers(struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;
int l2_data_pack_pair(struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;

#endif
