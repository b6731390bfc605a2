/* Benchmark cases that run a model of random weights: prefill, decode, completions of a shared
 * prompt, preference pairs. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_model.h"
#include "sample/generate.h"
#include "sample/score.h"
#include "sample/embed.h"

#define PREFILL_TOKENS 512
#define PROMPT_TOKENS  256
#define NEW_TOKENS     32
#define ANSWER_TOKENS  256
#define N_PAIRS        4
#define KV_BYTES       ((uint64_t)4 << 30) /* touched only as far as it is used */

struct engine_case {
    struct bench_model *model;
    uint32_t k; /* completions */
};

static void engine_case_release(void *state)
{
    struct engine_case *c = state;
    bench_model_release(c->model);
    free(c);
}

/* Appends n tokens to seq in one forward pass. */
static int feed(struct bench_model *b, struct l2_kv_seq *seq, size_t n, struct l2_err *err)
{
    struct l2_row rows[PREFILL_TOKENS];
    const float *values;
    int r = l2_kv_seq_reserve(l2_engine_kv(b->engine), seq, seq->len + (uint32_t)n, err);
    for (size_t i = 0; i < n; i++)
        rows[i] = (struct l2_row){
            .token = bench_token(seq->len + i), .seq = seq, .wants_output = i + 1 == n};
    return r == L2_OK ? l2_engine_forward(b->engine, rows, n, L2_OUT_HEAD, &values, err) : r;
}

static int run_prefill(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    struct l2_kv_seq seq = {0};
    double t = bench_now();
    int r = feed(c->model, &seq, PREFILL_TOKENS, err);
    *out = (struct bench_sample){
        .seconds = bench_now() - t,
        .work = PREFILL_TOKENS,
        .flops = bench_model_flops(c->model, PREFILL_TOKENS, PREFILL_TOKENS / 2.0, 1)};
    l2_kv_seq_release(l2_engine_kv(c->model->engine), &seq);
    return r;
}

static int run_decode(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    struct l2_kv_seq seq = {0};
    int r = feed(c->model, &seq, 16, err);
    double t = bench_now();
    for (int i = 0; i < NEW_TOKENS && r == L2_OK; i++)
        r = feed(c->model, &seq, 1, err);
    *out = (struct bench_sample){.seconds = bench_now() - t,
                                 .work = NEW_TOKENS,
                                 .bytes = c->model->matrix_bytes * NEW_TOKENS};
    l2_kv_seq_release(l2_engine_kv(c->model->engine), &seq);
    return r;
}

static int generate(struct engine_case *c, uint32_t n_new, double *seconds, struct l2_err *err)
{
    struct l2_worker *w;
    struct l2_generate_opts opts = {
        .n_completions = c->k,
        .max_new_tokens = n_new,
        .sampler = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
        .model_name = "bench"};
    int r = l2_generator_new(&w, c->model->engine, &opts, err);
    if (r != L2_OK)
        return r;
    struct l2_record *rec = bench_record(0, PROMPT_TOKENS, err);
    if (!rec)
        r = L2_MEMORY;
    double t = bench_now();
    if (r == L2_OK)
        r = w->ops->add(w, rec, err);
    if (r == L2_OK)
        r = bench_run_worker(w, err);
    *seconds = bench_now() - t;
    w->ops->free(w);
    return r;
}

/* Time for NEW_TOKENS beyond the first, so that the prompt does not count. */
static int run_completions(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    double prompt, all;
    int r = generate(c, 1, &prompt, err);
    if (r == L2_OK)
        r = generate(c, 1 + NEW_TOKENS, &all, err);
    if (r != L2_OK)
        return r;
    double n = (double)NEW_TOKENS * c->k;
    double flops = bench_model_flops(c->model, n, PROMPT_TOKENS + NEW_TOKENS / 2.0, n);
    *out = (struct bench_sample){.seconds = all - prompt,
                                 .work = n,
                                 .flops = c->k > 1 ? flops : 0,
                                 .bytes = c->k == 1 ? c->model->matrix_bytes * NEW_TOKENS : 0};
    return L2_OK;
}

static int add_answers(struct l2_record *rec, struct l2_err *err)
{
    for (size_t i = 0; i < 2; i++) {
        struct l2_completion *c = l2_record_add_completion(rec, err);
        if (!c)
            return L2_MEMORY;
        c->tokens.v = l2_arena_alloc(&rec->arena, ANSWER_TOKENS, sizeof *c->tokens.v, err);
        if (!c->tokens.v)
            return L2_MEMORY;
        c->tokens.n = ANSWER_TOKENS;
        for (size_t j = 0; j < ANSWER_TOKENS; j++)
            c->tokens.v[j] = bench_token(j + 101 * (i + 1));
    }
    return L2_OK;
}

/* N_PAIRS pairs through w, which is freed; every token of an answer counts, the prompt's once. */
static int score_pairs(const struct bench_model *m, struct l2_worker *w, double n_heads,
                       struct bench_sample *out, struct l2_err *err)
{
    int r = L2_OK;
    double t = bench_now();
    for (int64_t i = 0; i < N_PAIRS && r == L2_OK; i++) {
        struct l2_record *rec = bench_record(i, PROMPT_TOKENS, err);
        r = rec ? add_answers(rec, err) : L2_MEMORY;
        if (r == L2_OK)
            r = w->ops->add(w, rec, err);
    }
    if (r == L2_OK)
        r = bench_run_worker(w, err);
    double prompt = bench_model_flops(m, PROMPT_TOKENS, PROMPT_TOKENS / 2.0, 0);
    double answer =
        bench_model_flops(m, ANSWER_TOKENS, PROMPT_TOKENS + ANSWER_TOKENS / 2.0, n_heads);
    double n = N_PAIRS * (PROMPT_TOKENS + 2.0 * ANSWER_TOKENS);
    *out = (struct bench_sample){
        .seconds = bench_now() - t, .work = n, .flops = N_PAIRS * (prompt + 2 * answer)};
    w->ops->free(w);
    return r;
}

/* Log-probabilities of both answers: the vocabulary's head for each of their tokens. */
static int run_pairs(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    struct l2_worker *w;
    struct l2_score_opts opts = {.kind = L2_SCORE_LOGPROB, .unit = L2_LOGPROB_SUM, .name = "bench"};
    int r = l2_scorer_new(&w, c->model->engine, &opts, err);
    return r == L2_OK ? score_pairs(c->model, w, ANSWER_TOKENS, out, err) : r;
}

/* The last hidden states of both answers, which is what a reward model's one row multiplies. */
static int run_reward_pairs(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    struct l2_worker *w;
    struct l2_embed_opts opts = {.pooling = L2_POOL_LAST};
    int r = l2_embedder_new(&w, c->model->engine, &opts, err);
    return r == L2_OK ? score_pairs(c->model, w, 0, out, err) : r;
}

/* What is measured of each model. */
static const struct {
    const char *what;
    uint32_t k; /* completions */
    int (*run)(void *state, struct bench_sample *out, struct l2_err *err);
} measurements[] = {
    {"prefill 512", 0, run_prefill},
    {"decode", 1, run_decode},
    {"generate K=1", 1, run_completions},
    {"generate K=4", 4, run_completions},
    {"generate K=16", 16, run_completions},
    {"generate K=64", 64, run_completions},
    {"pairs, log-probabilities", 2, run_pairs},
    {"pairs, rewards", 2, run_reward_pairs},
};
#define N_MEASUREMENTS (sizeof measurements / sizeof *measurements)

static int add_case(struct bench_list *l, struct bench_model *b, const char *name, size_t i,
                    struct l2_err *err)
{
    struct bench_case c = {
        .unit = "tokens/s", .run = measurements[i].run, .release = engine_case_release};
    struct engine_case *state = malloc(sizeof *state);
    if (!state)
        return l2_err_memory(err, sizeof *state);
    memcpy(c.name, name, sizeof c.name);
    b->n_users++;
    *state = (struct engine_case){.model = b, .k = measurements[i].k};
    c.state = state;
    return bench_add(l, &c, err);
}

int bench_add_model(struct bench_list *l, const char *shape, const char *type, struct l2_err *err)
{
    struct bench_model *b = NULL;
    const struct l2_hparams *known = bench_shape(shape);
    struct l2_hparams hp;
    const struct l2_engine_opts opts = {.max_rows = PREFILL_TOKENS,
                                        .max_outputs = PREFILL_TOKENS,
                                        .kv_bytes = KV_BYTES,
                                        .kv_type = L2_KV_BF16,
                                        /* every sample runs its prompts anew */
                                        .no_prefix_sharing = true};
    int r = L2_OK;
    if (!known)
        return l2_err_set(err, L2_ARGUMENT, "no such shape: '%s'", shape);
    hp = *known;
    hp.context = 2048;
    for (size_t i = 0; i < N_MEASUREMENTS && r == L2_OK; i++) {
        char name[sizeof(((struct bench_case *)NULL)->name)];
        snprintf(name, sizeof name, "%s, %s %s", measurements[i].what, shape, type);
        if (!bench_wants(l, name))
            continue;
        if (!b)
            r = bench_model_new(&b, &hp, type, l->pool, opts, err);
        if (r == L2_OK)
            r = add_case(l, b, name, i, err);
    }
    bench_model_release(b); /* the cases hold it now */
    return r;
}
