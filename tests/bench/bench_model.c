/* Models of random weights in memory, and records to run through them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "bench_model.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

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

void bench_model_release(struct bench_model *b)
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

/* The types of weights; where rows are not whole blocks of 256 they become Q8_0. No file has q8_k:
 * bf16 is packed to it. */
static const struct bench_type {
    const char *name;
    enum l2_dtype dtype;
    uint32_t ggml_type;
    enum l2_pack_type pack;
} types[] = {{"f32", L2_F32, 0, L2_PACK_AS_IS},
             {"f16", L2_F16, 0, L2_PACK_AS_IS},
             {"bf16", L2_BF16, 0, L2_PACK_AS_IS},
             {"q8_0", L2_QUANTISED, L2_GGML_Q8_0, L2_PACK_AS_IS},
             {"q8_k", L2_BF16, 0, L2_PACK_Q8_K},
             {"q4_k", L2_QUANTISED, L2_GGML_Q4_K, L2_PACK_AS_IS},
             {"q6_k", L2_QUANTISED, L2_GGML_Q6_K, L2_PACK_AS_IS}};

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

const struct l2_hparams *bench_shape(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i].hp;
    return NULL;
}

int bench_model_new(struct bench_model **out, const struct l2_hparams *shape, const char *type,
                    struct l2_pool *pool, struct l2_engine_opts opts, struct l2_err *err)
{
    size_t i, n_types = sizeof types / sizeof *types;
    *out = NULL;
    for (i = 0; i < n_types && strcmp(types[i].name, type) != 0; i++)
        ;
    if (i == n_types)
        return l2_err_set(err, L2_ARGUMENT, "no such type of weights: '%s'", type);
    struct bench_model *b = calloc(1, sizeof *b);
    if (!b)
        return l2_err_memory(err, sizeof *b);
    b->n_users = 1;
    b->model.hp = *shape;
    b->model.hp.vocab_size = 32000;
    b->model.hp.norm_eps = 1e-5f;
    b->model.hp.rope_theta = 10000;
    b->model.hp.bos = 1;
    opts.backend = &l2_backend_native;
    opts.pool = pool;
    opts.pack.narrow = true;
    opts.pack.type = types[i].pack;
    int r = model_fill(b, &types[i], err);
    if (r == L2_OK)
        r = l2_engine_new(&b->engine, &b->model, &opts, err);
    if (r == L2_OK) {
        b->matrix_bytes = (double)l2_engine_memory(b->engine).weights;
        *out = b;
    } else {
        bench_model_release(b);
    }
    return r;
}

double bench_model_flops(const struct bench_model *b, double n, double context, double n_heads)
{
    const struct l2_hparams *hp = &b->model.hp;
    double head = (double)hp->vocab_size * hp->dim;
    double layers = (double)l2_hparams_matrix_parameters(hp) - head;
    double attention = 4.0 * hp->n_layers * hp->n_heads * hp->head_dim * context;
    return n * (2 * layers + attention) + 2 * head * n_heads;
}

uint32_t bench_token(size_t i)
{
    return (uint32_t)(3 + (i * 7919) % 31000);
}

struct l2_record *bench_record(int64_t id, size_t n, struct l2_err *err)
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
        rec->prompt.v[i] = bench_token(i + 31 * (size_t)id);
    return rec;
}

static void free_record(struct l2_record *rec)
{
    if (rec) {
        l2_record_release(rec);
        free(rec);
    }
}

int bench_run_worker(struct l2_worker *w, struct l2_err *err)
{
    int r = L2_OK;
    while (r == L2_OK && w->ops->busy(w)) {
        r = w->ops->step(w, err);
        for (struct l2_record *rec; (rec = w->ops->take(w)) != NULL;)
            free_record(rec);
    }
    return r;
}
