/* What programs that sample answers share: the options of the sampler, and what ends an answer. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_SAMPLING_H
#define L2_CMD_SAMPLING_H

#include "common/modelopt.h"
#include "sample/generate.h"

/* Targets of SAMPLING_OPTIONS, which begin as SAMPLING_DEFAULTS. */
struct sampling {
    int64_t max_new_tokens;
    struct l2_sampler_opts sampler;
    int64_t top_k;
    uint64_t seed;
    const char *stop;
    struct l2_strings eos;
    bool ignore_eos;
};
#define SAMPLING_DEFAULTS                                                                          \
    {                                                                                              \
        .sampler = {.temperature = 1, .top_p = 1, .repetition_penalty = 1 }                        \
    }

/* The rows -n, -T, --top-k, --top-p, --min-p, --repetition-penalty, -s, --stop, --eos and
 * --ignore-eos, with targets in the struct sampling s. */
#define SAMPLING_OPTIONS(s)                                                                        \
    {.name = "max-tokens",                                                                         \
     .letter = 'n',                                                                                \
     .kind = L2_OPT_INT,                                                                           \
     .arg = "N",                                                                                   \
     .help = "new tokens of a completion at most, EOS included; 0: as many as the context holds",  \
     .target = &(s)->max_new_tokens,                                                               \
     .min = 0,                                                                                     \
     .max = INT32_MAX},                                                                            \
        {.name = "temperature",                                                                    \
         .letter = 'T',                                                                            \
         .kind = L2_OPT_REAL,                                                                      \
         .arg = "X",                                                                               \
         .help = "divide the logits by X; 0: always take the most likely token",                   \
         .target = &(s)->sampler.temperature,                                                      \
         .min = 0,                                                                                 \
         .max = 1e6},                                                                              \
        {.name = "top-k",                                                                          \
         .kind = L2_OPT_INT,                                                                       \
         .arg = "N",                                                                               \
         .help = "draw from the N most likely tokens; 0: from all",                                \
         .target = &(s)->top_k,                                                                    \
         .min = 0,                                                                                 \
         .max = INT32_MAX},                                                                        \
        {.name = "top-p",                                                                          \
         .kind = L2_OPT_REAL,                                                                      \
         .arg = "P",                                                                               \
         .help = "draw from the smallest set of most likely tokens that has probability P; 1: "    \
                 "from all",                                                                       \
         .target = &(s)->sampler.top_p,                                                            \
         .min = 1e-9,                                                                              \
         .max = 1},                                                                                \
        {.name = "min-p",                                                                          \
         .kind = L2_OPT_REAL,                                                                      \
         .arg = "P",                                                                               \
         .help =                                                                                   \
             "draw from the tokens that have P times the probability of the most likely one; 0: "  \
             "from all",                                                                           \
         .target = &(s)->sampler.min_p,                                                            \
         .min = 0,                                                                                 \
         .max = 1},                                                                                \
        {.name = "repetition-penalty",                                                             \
         .kind = L2_OPT_REAL,                                                                      \
         .arg = "X",                                                                               \
         .help = "divide the positive logits of tokens that have occurred by X and multiply the "  \
                 "negative ones; 1: no penalty",                                                   \
         .target = &(s)->sampler.repetition_penalty,                                               \
         .min = 1e-3,                                                                              \
         .max = 1e3},                                                                              \
        {.name = "seed",                                                                           \
         .letter = 's',                                                                            \
         .kind = L2_OPT_SEED,                                                                      \
         .arg = "N",                                                                               \
         .help = "seed of the random numbers",                                                     \
         .target = &(s)->seed},                                                                    \
        {.name = "stop",                                                                           \
         .kind = L2_OPT_STRING,                                                                    \
         .arg = "REGEX",                                                                           \
         .help =                                                                                   \
             "end a completion where its text matches the PCRE2 pattern, and cut off the match "   \
             "and what follows it",                                                                \
         .target = &(s)->stop},                                                                    \
        {.name = "eos",                                                                            \
         .kind = L2_OPT_LIST,                                                                      \
         .arg = "ID",                                                                              \
         .help =                                                                                   \
             "end a completion with this token, in place of the model's own EOS; may be repeated", \
         .target = &(s)->eos},                                                                     \
    {                                                                                              \
        .name = "ignore-eos", .kind = L2_OPT_FLAG, .help = "end no completion because of a token", \
        .target = &(s)->ignore_eos                                                                 \
    }

/* What of the options an engine is asked for; owned parts are released together. */
struct sampling_rules {
    struct l2_stop *stop;
    uint32_t eos[L2_MAX_EOS];
    uint32_t n_eos;
    char name[256]; /* of the model: the last part of its path */
};

/* Fills in what s and the loaded model say of *go, which borrows from s, rules and loaded; the
 * number of completions and the rest are the caller's. Release rules also after a failure. */
int sampling_set_up(struct sampling_rules *rules, struct l2_cli *cli,
                    const struct l2_loaded *loaded, const struct sampling *s,
                    struct l2_generate_opts *go, struct l2_err *err) L2_MUST_CHECK;
void sampling_release(struct sampling_rules *rules);

/* Adds the numbers of new tokens, and of answers by how they ended, to the summary. */
void sampling_report(struct l2_cli *cli, const struct l2_worker *generator);

/* Two options contradict each other: L2_ARGUMENT. */
int sampling_check(const struct sampling *s, struct l2_err *err) L2_MUST_CHECK;

#endif
