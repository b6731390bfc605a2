/* From logits to one token: temperature, repetition penalty, top-k, top-p, min-p. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SAMPLER_H
#define L2_SAMPLER_H

#include <stdbool.h>
#include "util/err.h"

/* Neutral values change nothing: the model's own distribution is drawn from. */
struct l2_sampler_opts {
    double temperature; /* 1 is neutral; 0: the largest logit, ties to the lowest id */
    uint32_t top_k;     /* 0: all; keeps this many of the most likely tokens */
    double top_p; /* 1: all; keeps the smallest set of most likely tokens of at least this sum */
    double min_p; /* 0: all; keeps tokens of at least min_p times the largest probability */
    double repetition_penalty; /* 1: none; Keskar et al. 2019: logits of seen tokens / or * it */
};

/* The neutral options. */
struct l2_sampler_opts l2_sampler_neutral(void);
bool l2_sampler_is_neutral(const struct l2_sampler_opts *o);

struct l2_draw {
    uint32_t id;
    float logprob;         /* log softmax(logits)[id]: the model at temperature 1 */
    float sampled_logprob; /* in the distribution drawn from; 0 at temperature 0 */
};

struct l2_sampler; /* working memory for one vocabulary size */

/* L2_ARGUMENT when an option is out of range: temperature >= 0, 0 < top_p <= 1, 0 <= min_p <= 1,
 * repetition_penalty > 0, all finite. Owned, free with l2_sampler_free. */
int l2_sampler_new(struct l2_sampler **out, const struct l2_sampler_opts *o, uint32_t vocab_size,
                   struct l2_err *err) L2_MUST_CHECK;
void l2_sampler_free(struct l2_sampler *s);

/* Draws by the uniform number u in [0,1). seen (may be NULL) are the n_seen tokens so far, for the
 * repetition penalty; each counts once. L2_CORRUPT when a logit is not finite. Order: penalty,
 * temperature, top-k, top-p, min-p, each on what the one before it left; of equally likely tokens
 * those with the lowest ids are kept. Then the inverse of the cumulative distribution in order of
 * id at u. The result depends on the arguments and the options alone. */
int l2_sampler_draw(struct l2_sampler *s, const float *logits, const uint32_t *seen, size_t n_seen,
                    double u, struct l2_draw *out, struct l2_err *err) L2_MUST_CHECK;

/* log softmax(logits)[id], as draws report it. L2_CORRUPT when a logit is not finite. */
int l2_logprob(const float *logits, uint32_t vocab_size, uint32_t id, double *out,
               struct l2_err *err) L2_MUST_CHECK;

#endif
