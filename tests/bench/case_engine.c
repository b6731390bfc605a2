/* Benchmark cases that run a model of random weights: prefill, decode, completions of a shared
 * prompt, preference pairs. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "nn/engine.h"
#include "sample/generate.h"
#include "sample/score.h"
#include "util/num.h"

#define PREFILL_TOKENS 512
#define PROMPT_TOKENS  256
#define NEW_TOKENS     32
#define ANSWER_TOKENS  256
#define N_PAIRS        4
#define KV_BYTES       ((uint64_t)4 << 30) /* touched only as far as it is used */

static const struct {
    const char *name;
    struct l2_hparams hp;
} shapes[] = {
    {"15m",
     {.dim = 288,
      .hidden = 768,
      .n_layers = 6,
      .n_heads = 6,
      .n_kv_heads = 6,
      .head_dim = 48,
      .tied = true}},
    {"110m",
     {.dim = 768,
      .hidden = 2048,
      .n_layers = 12,
      .n_heads = 12,
      .n_kv_heads = 12,
      .head_dim = 64,
      .tied = true}},
    {"1b",
     {.dim = 2048, .hidden = 5632, .n_layers = 22, .n_heads = 32, .n_kv_heads = 4, .head_dim = 64}},
    {"7b",
     {.dim = 4096,
      .hidden = 11008,
      .n_layers = 32,
      .n_heads = 32,
      .n_kv_heads = 32,
      .head_dim = 128}},
};

/* A model in memory, shared by its cases and freed with the last of them. */
struct bench_model {
    int n_users;
    struct l2_model model;
    struct l2_engine *engine; /* vocabulary head */
    struct l2_pool *pool;     /* borrowed */
    double matrix_bytes;      /* of all weights that a token is multiplied with */
};

static void model_release(struct bench_model *b)
{
    if (!b || --b->n_users > 0)
        return;
    l2_engine_free(b->engine);
    for (size_t i = 0; b->model.tensors && i < l2_tensor_count(&b->model.hp); i++)
        free((void *)(uintptr_t)b->model.tensors[i].data);
    free(b->model.tensors);
    free(b);
}

/* Numbers that look random and cost little. */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Random quants under scales that give values of about the size of fill_floats's. */
static void fill_blocks(uint8_t *out, const struct l2_quant *q, size_t n_blocks, uint64_t *state)
{
    for (size_t i = 0; i < n_blocks; i++, out += q->block_bytes) {
        for (size_t j = 0; j + 4 <= q->block_bytes; j += 4)
            l2_put_u32le(out + j, next_random(state));
        if (q->ggml_type == L2_GGML_Q8_0) {
            l2_put_u16le(out, l2_f16_from_f32(0.035f / 127));
        } else if (q->ggml_type == L2_GGML_Q4_K) {
            l2_put_u16le(out, l2_f16_from_f32(0.07f / 15 / 32));
            l2_put_u16le(out + 2, l2_f16_from_f32(0.035f / 32));
        } else {
            l2_put_u16le(out + 208, l2_f16_from_f32(0.035f / 32 / 64));
        }
    }
}

static void fill_floats(uint8_t *out, enum l2_dtype dtype, size_t n, bool ones, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        float v = ones ? 1.0f : ((float)(next_random(state) >> 8) * 0x1p-24f - 0.5f) * 0.07f;
        if (dtype == L2_F32)
            l2_put_f32le(out + 4 * i, v);
        else
            l2_put_u16le(out + 2 * i, dtype == L2_F16 ? l2_f16_from_f32(v) : l2_bf16_from_f32(v));
    }
}

/* Small random values; norms are ones. Speed does not depend on the values as long as they are
 * normal numbers. */
static int fill_tensor(struct l2_tensor *t, bool is_norm, uint64_t seed, struct l2_err *err)
{
    size_t size = l2_tensor_row_size(t) * t->rows;
    uint8_t *data = malloc(size);
    if (!data)
        return l2_err_memory(err, size);
    if (t->dtype == L2_QUANTISED)
        fill_blocks(data, t->quant, size / t->quant->block_bytes, &seed);
    else
        fill_floats(data, t->dtype, (size_t)t->rows * t->cols, is_norm, &seed);
    t->data = data;
    return L2_OK;
}

/* The types of weights; where rows are not whole blocks of 256 they become Q8_0. */
static const struct bench_type {
    const char *name;
    enum l2_dtype dtype;
    uint32_t ggml_type;
} types[] = {{"f32", L2_F32, 0},
             {"f16", L2_F16, 0},
             {"bf16", L2_BF16, 0},
             {"q8_0", L2_QUANTISED, L2_GGML_Q8_0},
             {"q4_k", L2_QUANTISED, L2_GGML_Q4_K},
             {"q6_k", L2_QUANTISED, L2_GGML_Q6_K}};

static void set_type(struct l2_tensor *t, const struct bench_type *type)
{
    t->dtype = type->dtype;
    if (t->dtype != L2_QUANTISED)
        return;
    t->quant = l2_quant_by_ggml_type(type->ggml_type);
    if (t->cols % t->quant->block_values != 0)
        t->quant = l2_quant_by_ggml_type(L2_GGML_Q8_0);
}

static int model_fill(struct bench_model *b, const struct bench_type *type, struct l2_err *err)
{
    size_t n = l2_tensor_count(&b->model.hp);
    b->model.tensors = calloc(n, sizeof *b->model.tensors);
    if (!b->model.tensors)
        return l2_err_memory(err, n * sizeof *b->model.tensors);
    for (size_t i = 0; i < n; i++) {
        struct l2_tensor *t = &b->model.tensors[i];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&b->model.hp, i, &role, &layer);
        l2_role_shape(&b->model.hp, role, &t->rows, &t->cols);
        if (l2_roles[role].decayed)
            set_type(t, type);
        int r = fill_tensor(t, !l2_roles[role].decayed, i, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

static int model_new(struct bench_model **out, const char *shape, const char *type,
                     struct l2_pool *pool, struct l2_err *err)
{
    size_t i, j, n = sizeof shapes / sizeof *shapes, n_types = sizeof types / sizeof *types;
    uint64_t weights, work, kv;
    *out = NULL;
    for (i = 0; i < n && strcmp(shapes[i].name, shape) != 0; i++)
        ;
    for (j = 0; j < n_types && strcmp(types[j].name, type) != 0; j++)
        ;
    if (i == n || j == n_types)
        return l2_err_set(err, L2_ARGUMENT, "no such shape and type: '%s:%s'", shape, type);
    struct bench_model *b = calloc(1, sizeof *b);
    if (!b)
        return l2_err_memory(err, sizeof *b);
    b->n_users = 1;
    b->pool = pool;
    b->model.hp = shapes[i].hp;
    b->model.hp.vocab_size = 32000;
    b->model.hp.context = 2048;
    b->model.hp.norm_eps = 1e-5f;
    b->model.hp.rope_theta = 10000;
    b->model.hp.bos = 1;
    struct l2_engine_opts opts = {.backend = &l2_backend_native,
                                  .pool = pool,
                                  .max_rows = PREFILL_TOKENS,
                                  .max_outputs = 64,
                                  .kv_bytes = KV_BYTES,
                                  /* every sample runs its prompts anew */
                                  .no_prefix_sharing = true,
                                  .pack = {.narrow = true}};
    int r = model_fill(b, &types[j], err);
    if (r == L2_OK)
        r = l2_engine_new(&b->engine, &b->model, &opts, err);
    if (r == L2_OK) {
        l2_engine_memory(b->engine, &weights, &work, &kv);
        b->matrix_bytes = (double)weights;
        *out = b;
    } else {
        model_release(b);
    }
    return r;
}

/* Model FLOPs of n tokens that see context positions on average; the head is counted for n_heads.
 */
static double model_flops(const struct bench_model *b, double n, double context, double n_heads)
{
    const struct l2_hparams *hp = &b->model.hp;
    double head = (double)hp->vocab_size * hp->dim;
    double layers = (double)l2_hparams_matrix_parameters(hp) - head;
    double attention = 4.0 * hp->n_layers * hp->n_heads * hp->head_dim * context;
    return n * (2 * layers + attention) + 2 * head * n_heads;
}

static uint32_t some_token(size_t i)
{
    return (uint32_t)(3 + (i * 7919) % 31000);
}

struct engine_case {
    struct bench_model *model;
    uint32_t k; /* completions */
};

static void engine_case_release(void *state)
{
    struct engine_case *c = state;
    model_release(c->model);
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
            .token = some_token(seq->len + i), .seq = seq, .wants_output = i + 1 == n};
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
        .flops = model_flops(c->model, PREFILL_TOKENS, PREFILL_TOKENS / 2.0, 1)};
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

/* A heap record with a prompt of n tokens, as a worker takes it over. */
static struct l2_record *new_record(int64_t id, size_t n, struct l2_err *err)
{
    struct l2_record *rec = malloc(sizeof *rec);
    if (!rec)
        return NULL;
    l2_record_init(rec);
    rec->id.number = id;
    rec->prompt.v = l2_arena_alloc(&rec->arena, n, sizeof *rec->prompt.v, err);
    if (!rec->prompt.v) {
        free(rec);
        return NULL;
    }
    rec->prompt.n = n;
    rec->prompt.v[0] = 1;
    for (size_t i = 1; i < n; i++)
        rec->prompt.v[i] = some_token(i + 31 * (size_t)id);
    return rec;
}

static void free_record(struct l2_record *rec)
{
    if (rec) {
        l2_record_release(rec);
        free(rec);
    }
}

/* Steps until the worker has no more to do; frees what comes out. */
static int run_worker(struct l2_worker *w, struct l2_err *err)
{
    int r = L2_OK;
    while (r == L2_OK && w->ops->busy(w)) {
        r = w->ops->step(w, err);
        for (struct l2_record *rec; (rec = w->ops->take(w)) != NULL;)
            free_record(rec);
    }
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
    struct l2_record *rec = new_record(0, PROMPT_TOKENS, err);
    if (!rec)
        r = L2_MEMORY;
    double t = bench_now();
    if (r == L2_OK)
        r = w->ops->add(w, rec, err);
    if (r == L2_OK)
        r = run_worker(w, err);
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
    double flops = model_flops(c->model, n, PROMPT_TOKENS + NEW_TOKENS / 2.0, n);
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
            c->tokens.v[j] = some_token(j + 101 * (i + 1));
    }
    return L2_OK;
}

/* Log-probabilities of both answers; every token of an answer counts, the prompt's once. */
static int run_pairs(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct engine_case *c = state;
    struct l2_worker *w;
    struct l2_score_opts opts = {.kind = L2_SCORE_LOGPROB, .unit = L2_LOGPROB_SUM, .name = "bench"};
    int r = l2_scorer_new(&w, c->model->engine, &opts, err);
    if (r != L2_OK)
        return r;
    double t = bench_now();
    for (int64_t i = 0; i < N_PAIRS && r == L2_OK; i++) {
        struct l2_record *rec = new_record(i, PROMPT_TOKENS, err);
        r = rec ? add_answers(rec, err) : L2_MEMORY;
        if (r == L2_OK)
            r = w->ops->add(w, rec, err);
    }
    if (r == L2_OK)
        r = run_worker(w, err);
    double prompt = model_flops(c->model, PROMPT_TOKENS, PROMPT_TOKENS / 2.0, 0);
    double answer =
        model_flops(c->model, ANSWER_TOKENS, PROMPT_TOKENS + ANSWER_TOKENS / 2.0, ANSWER_TOKENS);
    double n = N_PAIRS * (PROMPT_TOKENS + 2.0 * ANSWER_TOKENS);
    *out = (struct bench_sample){
        .seconds = bench_now() - t, .work = n, .flops = N_PAIRS * (prompt + 2 * answer)};
    w->ops->free(w);
    return r;
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
    {"pairs", 2, run_pairs},
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
    int r = L2_OK;
    for (size_t i = 0; i < N_MEASUREMENTS && r == L2_OK; i++) {
        char name[sizeof(((struct bench_case *)NULL)->name)];
        snprintf(name, sizeof name, "%s, %s %s", measurements[i].what, shape, type);
        if (!bench_wants(l, name))
            continue;
        if (!b)
            r = model_new(&b, shape, type, l->pool, err);
        if (r == L2_OK)
            r = add_case(l, b, name, i, err);
    }
    model_release(b); /* the cases hold it now */
    return r;
}
