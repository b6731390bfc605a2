/* A small random model for tests of what runs models. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/init.h"
#include "scratch.h"

static void must(int rc, const struct l2_err *err)
{
    if (rc == L2_OK)
        return;
    printf("Bail out! tiny model: %s\n", err->text);
    exit(99);
}

struct source {
    struct l2_init init;
    bool poison;
};

static int rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                float *out, struct l2_err *err)
{
    struct source *s = arg;
    int rc = l2_init_rows(&s->init, role, layer, row, n_rows, out, err);
    if (rc == L2_OK && s->poison && role == L2_T_EMBED && row <= 5 && row + n_rows > 5)
        out[(5 - row) * s->init.hp->dim] = NAN;
    return rc;
}

void tiny_model_open(struct tiny_model *t, enum l2_head head, bool poison)
{
    struct l2_hparams hp = {.head = head,
                            .n_labels = head == L2_HEAD_LABELS ? 1 : 0,
                            .dim = 32,
                            .hidden = 48,
                            .n_layers = 2,
                            .n_heads = 4,
                            .n_kv_heads = 2,
                            .head_dim = 8,
                            .vocab_size = 96,
                            .context = 150,
                            .norm_eps = 1e-5f,
                            .rope_theta = 10000,
                            .bos = 1,
                            .eos = {2},
                            .n_eos = 1};
    struct source s = {{.hp = &hp, .seed = 11, .std = 0.25}, poison};
    struct l2_model_source source = {rows, &s};
    struct l2_model_write_opts opts = {.dtype = L2_F32};
    struct l2_err err;
    scratch_make(t->dir);
    must(l2_model_write(scratch_path(t->dir, "m"), &hp, &source, &opts, &err), &err);
    must(l2_model_open(&t->model, scratch_path(t->dir, "m"), &err), &err);
}

void tiny_model_close(struct tiny_model *t)
{
    l2_model_close(t->model);
    scratch_remove(t->dir);
}

static struct l2_engine *make_engine(const struct tiny_model *t, uint32_t max_rows,
                                     uint32_t max_outputs, uint32_t kv_blocks, struct l2_pool *pool,
                                     bool alone)
{
    struct l2_engine *e;
    struct l2_err err;
    struct l2_engine_opts o = {.backend = &l2_backend_native,
                               .pool = pool,
                               .max_rows = max_rows,
                               .max_outputs = max_outputs,
                               .no_prefix_sharing = alone,
                               .kv_bytes = l2_kv_block_bytes(&t->model->hp, L2_KV_F32) *
                                           (kv_blocks ? kv_blocks : 1000)};
    must(l2_engine_new(&e, t->model, &o, &err), &err);
    return e;
}

struct l2_engine *tiny_engine(const struct tiny_model *t, uint32_t max_rows, uint32_t max_outputs,
                              uint32_t kv_blocks, struct l2_pool *pool)
{
    return make_engine(t, max_rows, max_outputs, kv_blocks, pool, false);
}

struct l2_engine *tiny_engine_alone(const struct tiny_model *t, uint32_t max_rows,
                                    uint32_t max_outputs, uint32_t kv_blocks, struct l2_pool *pool)
{
    return make_engine(t, max_rows, max_outputs, kv_blocks, pool, true);
}

struct l2_record *tiny_record(int64_t id, size_t n)
{
    struct l2_record *r = malloc(sizeof *r);
    struct l2_err err;
    uint32_t x = (uint32_t)id * 2654435761u + 12345;
    if (!r)
        abort();
    l2_record_init(r);
    r->id.number = id;
    r->prompt.v = l2_arena_alloc(&r->arena, n, sizeof *r->prompt.v, &err);
    r->prompt.n = n;
    if (!r->prompt.v)
        abort();
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        r->prompt.v[i] = i == 0 ? 1 : 6 + (x >> 16) % 90;
    }
    return r;
}

void tiny_record_add(struct l2_record *r, const uint32_t *tokens, size_t n)
{
    struct l2_err err;
    struct l2_completion *c = l2_record_add_completion(r, &err);
    if (!c || !(c->tokens.v = l2_arena_alloc(&r->arena, n, sizeof *tokens, &err)))
        abort();
    if (n > 0)
        memcpy(c->tokens.v, tokens, n * sizeof *tokens);
    c->tokens.n = n;
}

void tiny_record_free(struct l2_record *r)
{
    l2_record_release(r);
    free(r);
}
