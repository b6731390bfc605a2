/* A completion as it grows: its tokens, log-probabilities and text, and the rules that end it. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GROWING_H
#define L2_GROWING_H

#include "sample/sampler.h"
#include "sample/stop.h"
#include "stream/record.h"
#include "text/encode.h"
#include "util/ids.h"

/* What all completions of a run have in common. Borrowed throughout. */
struct l2_growing_rules {
    const uint32_t *eos; /* a completion ends with one of these */
    uint32_t n_eos;
    struct l2_stop *stop;         /* NULL: none */
    const struct l2_vocab *vocab; /* needed where stop is given */
    bool keep_logprobs;
    bool
        keep_sampled; /* sampled_logprobs too: what is drawn from is not the model's distribution */
};

/* Caller's storage; all zero is valid. Its memory is kept from one completion to the next. */
struct l2_growing {
    struct l2_ids
        tokens; /* n_before tokens of the prompt, for the repetition penalty, then its own */
    size_t n_before;
    size_t n; /* own tokens */
    size_t max_new;
    float *logprobs, *sampled; /* cap of each */
    size_t *ends; /* cap; where the text of tokens 0..i ends, SIZE_MAX inside a character */
    size_t cap;
    struct l2_decoder decoder;
    struct l2_buf text; /* with a stop rule only */
    struct l2_stop_state stop;
    size_t cut;            /* where the match begins in text; with L2_FINISH_STOP */
    enum l2_finish finish; /* not L2_FINISH_NONE: it has ended */
};

void l2_growing_release(struct l2_growing *g);

/* Starts afresh. before (may be NULL) are the prompt's tokens. continuation: the prompt has text,
 * so a first space belongs to the completion's text. */
int l2_growing_begin(struct l2_growing *g, const struct l2_growing_rules *rules,
                     const uint32_t *before, size_t n_before, bool continuation, size_t max_new,
                     struct l2_err *err) L2_MUST_CHECK;

/* Appends what was drawn and decides whether the completion has ended: with EOS, else by the stop
 * rule, else by its length. */
int l2_growing_push(struct l2_growing *g, const struct l2_growing_rules *rules,
                    const struct l2_draw *draw, struct l2_err *err) L2_MUST_CHECK;

/* Copies the result into *out, which is zero, in arena. After L2_FINISH_STOP the tokens that lie
 * wholly before the match are kept; where the match begins inside a token, the exact text before
 * the match goes into out->text as well. */
int l2_growing_result(const struct l2_growing *g, const struct l2_growing_rules *rules,
                      struct l2_arena *arena, struct l2_completion *out,
                      struct l2_err *err) L2_MUST_CHECK;

#endif
