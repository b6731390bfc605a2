/* Completions for prompts: continuous batching over prompts and completions that share their
 * prompt's KV blocks. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GENERATE_H
#define L2_GENERATE_H

#include "nn/engine.h"
#include "sample/sampler.h"
#include "sample/stop.h"
#include "sample/worker.h"
#include "text/vocab.h"
#include "util/pool.h"

struct l2_generate_opts {
    uint32_t n_completions; /* for each record, at least 1; a record that has completions goes on at
                               its largest gen.k + 1 (where none has gen: at their number) */
    uint32_t max_new_tokens; /* of one completion, EOS included; 0: to the end of the context */
    struct l2_sampler_opts sampler;
    uint64_t seed;
    const uint32_t *eos; /* borrowed; a completion ends with one of these */
    uint32_t n_eos;
    struct l2_stop *stop;         /* borrowed; NULL: none */
    const struct l2_vocab *vocab; /* borrowed; needed where stop is given */
    const char *model_name;       /* gen.model; borrowed; NULL: leave it out */
    bool has_round;
    int64_t round;
    enum l2_overlong overlong;
    bool keep_logprobs;
    uint32_t lookup; /* tokens that are guessed ahead of a completion at most (see l2_lookup) while
                        few are decoded at once; changes no result. 0 with a repetition penalty */
    struct l2_pool *pool; /* draws tokens in parallel; borrowed; may be NULL */
};

/* A worker that adds completions to records. Number position p (0: the first new token) of
 * completion k is drawn with l2_philox_uniform(l2_philox_key_for(seed, id hash), k, p). e is
 * borrowed; its model has a vocabulary head.
 *
 * A completion ends when prompt and completion fill the context, if not before. A prompt that
 * leaves no room for a token is too long: add() fails with L2_LIMIT, or the record passes without
 * completions (DROP), or its prompt is cut to leave room for max_new_tokens, at most half of the
 * context: TRUNCATE_* change the record's prompt and spans, so that the record says what its
 * completions follow. A completion that meets a logit that is not finite is left out and the record
 * counted as faulty. */
int l2_generator_new(struct l2_worker **out, struct l2_engine *e,
                     const struct l2_generate_opts *opts, struct l2_err *err) L2_MUST_CHECK;

/* What was generated so far. */
struct l2_generate_counts {
    uint64_t completions[L2_FINISH_STOP + 1]; /* by how they ended (enum l2_finish) */
    uint64_t tokens;                          /* of those, as far as they were kept */
    uint64_t guessed, right;                  /* tokens, by lookup */
};
const struct l2_generate_counts *l2_generator_results(const struct l2_worker *w);

/* Ids from n on are not in the stream's vocabulary, though the model has rows for them: a
 * completion that draws one is left out and its record counted as faulty. */
void l2_generator_set_vocab_size(struct l2_worker *w, uint32_t n);

#endif
