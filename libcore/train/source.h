/* The examples of one corpus, pass after pass, each pass in another order. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SOURCE_H
#define L2_SOURCE_H

#include "train/corpus.h"

/* Where in a pass: frames are taken in shuffled order, and those that fit the memory form a group,
 * whose examples are shuffled together; the order of a stream that fits the memory depends on its
 * records alone. */
struct l2_source_place {
    uint64_t epoch;
    uint64_t group; /* number of its first frame in the pass's order */
    uint64_t index; /* of the example in the group's order */
};

struct l2_source {
    struct l2_corpus *corpus; /* borrowed */
    bool held, keep_order;
    uint64_t seed, number; /* of the source among the inputs */
    uint64_t memory;       /* bytes of a group */
    struct l2_source_place at;
    uint32_t *frames; /* (n_frames): the pass's order */
    bool ordered;     /* frames is of at.epoch */
    struct l2_examples group;
    uint32_t *order; /* (group.n) */
    size_t cap_order;
    uint64_t group_end; /* the frame behind the group */
    bool loaded;
};

/* Caller's storage, to be released in any case; the place is the beginning. */
int l2_source_init(struct l2_source *s, struct l2_corpus *corpus, bool held, uint64_t number,
                   uint64_t memory, struct l2_err *err) L2_MUST_CHECK;
void l2_source_release(struct l2_source *s);

/* The example at the place, in *out, valid until the place changes; it begins another pass where
 * one is over. The source has examples. */
int l2_source_peek(struct l2_source *s, const struct l2_example **out,
                   struct l2_err *err) L2_MUST_CHECK;
void l2_source_advance(struct l2_source *s);

/* True when the pass has no examples left; reads what it must to know. */
int l2_source_at_end(struct l2_source *s, bool *end, struct l2_err *err) L2_MUST_CHECK;
/* Begins the next pass. */
void l2_source_next_epoch(struct l2_source *s);

/* Goes to a place, which may come from a file. L2_CORRUPT where there is none such. */
int l2_source_seek(struct l2_source *s, struct l2_source_place at,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
