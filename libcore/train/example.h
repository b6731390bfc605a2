/* Records as training needs them: their ids and what is said about them, many in a few arrays. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_EXAMPLE_H
#define L2_EXAMPLE_H

#include "train/data.h"
#include "util/ids.h"

/* Positions are indices in the ids of the collection. */
struct l2_answer {
    size_t ids, spans; /* spans: pairs of begin and end, in the answer */
    uint32_t n, n_spans;
    bool has_spans; /* only these are predicted */
    int8_t safe;    /* 1, 0, -1: not said */
};

struct l2_example {
    size_t ids, spans; /* of the prompt */
    size_t answers;    /* the first, in the collection's answers */
    uint32_t n, n_spans, n_answers;
    bool has_margin;
    uint8_t rating;
    float margin;
};

/* Caller's storage; all zero is empty. Memory is kept by clearing. */
struct l2_examples {
    struct l2_ids ids;
    struct l2_example *v; /* (n) */
    size_t n, cap;
    struct l2_answer *answers; /* (n_answers) */
    size_t n_answers, cap_answers;
};

void l2_examples_release(struct l2_examples *e);
void l2_examples_clear(struct l2_examples *e);
int l2_examples_reserve(struct l2_examples *e, size_t n_ids, size_t n, size_t n_answers,
                        struct l2_err *err) L2_MUST_CHECK;

/* Checks that rec can be trained on, as the options have it: ids, all below vocab_size; a known
 * rating; not longer than the context where that is an error. The error names the record. */
int l2_example_check(const struct l2_record *rec, const struct l2_data_opts *opts,
                     struct l2_err *err) L2_MUST_CHECK;
/* Appends rec, which has passed the check. */
int l2_examples_add(struct l2_examples *e, const struct l2_record *rec,
                    struct l2_err *err) L2_MUST_CHECK;

/* What a record of these counts takes in a collection. */
struct l2_example_size {
    uint64_t ids, answers, bytes;
};
struct l2_example_size l2_example_size(const struct l2_record *rec);

/* What a mix is counted in: see l2_data_new. */
uint64_t l2_record_units(const struct l2_record *rec, enum l2_data_kind kind);
uint64_t l2_example_units(const struct l2_examples *e, const struct l2_example *x,
                          enum l2_data_kind kind);

/* True when rec is among the share that is held out. The hash is of the prompt's ids, and where
 * these are one or none (BOS, a text), of the first completion's too. */
bool l2_record_is_held(const struct l2_record *rec, double share);

/* The rating in meta: the field "rating" is one of l2_rating_names, with spaces or underscores. */
int l2_record_rating(const struct l2_record *rec, enum l2_rating *rating,
                     struct l2_err *err) L2_MUST_CHECK;

#endif
