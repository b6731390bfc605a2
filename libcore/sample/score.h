/* Scores of completions: a reward model's, or log-probabilities under a policy. The prompt is
 * computed once for all of a record's completions. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SCORE_H
#define L2_SCORE_H

#include "nn/engine.h"
#include "sample/worker.h"
#include "text/vocab.h"

enum l2_score_kind {
    L2_SCORE_REWARD, /* the label scores at the last token of prompt + completion */
    L2_SCORE_LOGPROB /* log-probability of the completion's tokens given the prompt */
};

enum l2_logprob_unit { L2_LOGPROB_SUM, L2_LOGPROB_MEAN, L2_LOGPROB_BITS_PER_BYTE };

struct l2_score_opts {
    enum l2_score_kind kind;
    enum l2_logprob_unit unit;
    const struct l2_vocab *vocab; /* for bits per byte: the bytes that the tokens decode to */
    const char *name;             /* scores[name]; borrowed */
    bool per_token;               /* keep logprobs in the completions */
    const char *greedy; /* scores[greedy]: 1 where each token was the most likely one, else 0;
                           borrowed; NULL: none */
    enum l2_overlong overlong;
};

/* e is borrowed. For L2_SCORE_REWARD its model has a head of labels; of several, label i becomes
 * scores["name.i"]. */
int l2_scorer_new(struct l2_worker **out, struct l2_engine *e, const struct l2_score_opts *opts,
                  struct l2_err *err) L2_MUST_CHECK;

#endif
