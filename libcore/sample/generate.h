/* Completions for prompts: continuous batching over prompts and completions that share their prompt's
 * KV blocks. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GENERATE_H
#define L2_GENERATE_H

#include "nn/engine.h"
#include "sample/sampler.h"
#include "sample/stop.h"
#include "sample/worker.h"
#include "text/vocab.h"

struct l2_generate_opts {
    uint32_t n_completions;  /* for each record; a record that has completions goes on at its largest
                                gen.k + 1 */
    uint32_t max_new_tokens; /* 0: to the end of the context */
    struct l2_sampler_opts sampler;
    uint64_t seed;
    const uint32_t *eos; /* borrowed; a completion ends with one of these */
    uint32_t n_eos;
    const struct l2_stop *stop;     /* borrowed; NULL: none */
    const struct l2_vocab *vocab;   /* borrowed; needed where stop is given */
    const char *model_name;         /* gen.model; borrowed */
    bool has_round;
    int64_t round;
    enum l2_overlong overlong;
    bool keep_logprobs;
};

/* Draw number position p (0: the first new token) of completion k uses
 * l2_philox_uniform(l2_philox_key_for(seed, id hash), k, p). e is borrowed. */
int l2_generator_new(struct l2_worker **out, struct l2_engine *e,
                     const struct l2_generate_opts *opts, struct l2_err *err) L2_MUST_CHECK;

#endif
