/* Benchmark cases that train: a whole step of a batch, forward and backward pass of the vocabulary
 * loss, the norm of the gradients and AdamW. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "nn/init.h"
#include "nn/net.h"
#include "train/adamw.h"

#define SEQUENCE 256
#define MAX_ROWS (8 * SEQUENCE)

static const struct shape {
    const char *name;
    uint32_t sequences; /* of a batch */
    bool recompute;
    enum l2_dtype products;
    struct l2_hparams hp;
} shapes[] = {
#define HP_24M                                                                                     \
    {                                                                                              \
        .dim = 288, .hidden = 768, .n_layers = 6, .n_heads = 6, .n_kv_heads = 6, .head_dim = 48,   \
        .vocab_size = 32000                                                                        \
    }
#define HP_110M                                                                                    \
    {                                                                                              \
        .dim = 768, .hidden = 2048, .n_layers = 12, .n_heads = 12, .n_kv_heads = 12,               \
        .head_dim = 64, .vocab_size = 32000, .tied = true                                          \
    }
#define HP_134M                                                                                    \
    {                                                                                              \
        .dim = 768, .hidden = 2048, .n_layers = 12, .n_heads = 12, .n_kv_heads = 12,               \
        .head_dim = 64, .vocab_size = 32000                                                        \
    }
    {"train 24m f32", 8, false, L2_F32, HP_24M},
    {"train 24m bf16", 8, false, L2_BF16, HP_24M},
    {"train 110m f32", 4, false, L2_F32, HP_110M},
    {"train 110m f32 recompute", 4, true, L2_F32, HP_110M},
    {"train 110m bf16", 4, false, L2_BF16, HP_110M},
    {"train 134m f32", 4, false, L2_F32, HP_134M},
    {"train 134m bf16", 4, false, L2_BF16, HP_134M},
};

struct train {
    const struct shape *shape;
    struct l2_net *net;
    struct l2_params *params, *grads;
    struct l2_adamw adamw;
    struct l2_pool *pool; /* borrowed */
    double held;          /* bytes of all that */
    uint32_t tokens[MAX_ROWS];
    struct l2_span spans[MAX_ROWS / SEQUENCE];
    struct l2_target targets[MAX_ROWS];
    float coefficient[MAX_ROWS], logprob[MAX_ROWS];
};

static void train_release(void *state)
{
    struct train *t = state;
    if (!t)
        return;
    l2_net_free(t->net);
    l2_params_free(t->params);
    l2_params_free(t->grads);
    l2_adamw_release(&t->adamw);
    free(t);
}

/* Model FLOPs of a token: 6 for each parameter of a matrix, and attention's products of which half
 * the positions are seen. */
static double token_flops(const struct l2_hparams *hp)
{
    double attention = 4.0 * hp->n_layers * hp->n_heads * hp->head_dim * (SEQUENCE / 2.0);
    return 6 * (double)l2_hparams_matrix_parameters(hp) + 3 * attention;
}

static int train_run(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct train *t = state;
    size_t n = (size_t)t->shape->sequences * SEQUENCE;
    struct l2_net_batch batch = {t->tokens, n, t->spans, t->shape->sequences};
    double begin = bench_now();
    int r = l2_net_forward(t->net, t->params, &batch, err);
    if (r == L2_OK)
        r = l2_net_vocab_head(t->net, t->targets, n, t->coefficient, t->grads, t->logprob, NULL,
                              err);
    if (r != L2_OK)
        return r;
    l2_net_backward(t->net, t->grads);
    double norm;
    r = l2_params_norm(t->grads, t->pool, &norm, err);
    if (r != L2_OK)
        return r;
    l2_adamw_step(&t->adamw, t->params, t->grads, norm > 1 ? 1 / norm : 1, 1e-5, t->pool);
    *out = (struct bench_sample){.seconds = bench_now() - begin,
                                 .work = (double)n,
                                 .held = t->held,
                                 .flops = (double)n * token_flops(&t->shape->hp)};
    return L2_OK;
}

static int fill_params(struct l2_params *p, struct l2_pool *pool, struct l2_err *err)
{
    struct l2_init init = {&p->hp, 1, 0.02, pool};
    int r = L2_OK;
    for (size_t i = 0; i < p->n_tensors && r == L2_OK; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&p->hp, i, &role, &layer);
        l2_role_shape(&p->hp, role, &rows, &cols);
        r = l2_init_rows(&init, role, layer, 0, rows, p->values + p->offset[i], err);
    }
    return r;
}

static void fill_batch(struct train *t)
{
    uint32_t n = t->shape->sequences * SEQUENCE;
    for (uint32_t i = 0; i < n; i++) {
        t->tokens[i] = 3 + i * 7919 % 31000;
        t->targets[i] = (struct l2_target){i, 3 + (i + 1) * 7919 % 31000};
        t->coefficient[i] = -1.0f / (float)n;
    }
    for (uint32_t s = 0; s < t->shape->sequences; s++)
        t->spans[s] = (struct l2_span){s * SEQUENCE, SEQUENCE, L2_NO_PARENT};
}

static int train_new(struct train **out, const struct shape *shape, struct l2_pool *pool,
                     struct l2_err *err)
{
    struct train *t = calloc(1, sizeof *t);
    struct l2_hparams hp = shape->hp;
    struct l2_net_opts opts = {.pool = pool,
                               .max_rows = shape->sequences * SEQUENCE,
                               .recompute = shape->recompute,
                               .products = shape->products};
    *out = t;
    if (!t)
        return l2_err_memory(err, sizeof *t);
    hp.context = SEQUENCE;
    hp.norm_eps = 1e-5f;
    hp.rope_theta = 10000;
    t->shape = shape;
    t->pool = pool;
    fill_batch(t);
    int r = l2_net_new(&t->net, &hp, &opts, err);
    if (r == L2_OK)
        r = l2_params_new(&t->params, &hp, err);
    if (r == L2_OK)
        r = l2_params_new(&t->grads, &hp, err);
    if (r == L2_OK)
        r = l2_adamw_init(&t->adamw, &hp, &l2_adamw_defaults, err);
    if (r == L2_OK)
        t->held = (double)l2_net_bytes(&hp, &opts) +
                  4.0 * sizeof(float) * (double)t->params->offset[t->params->n_tensors];
    return r == L2_OK ? fill_params(t->params, pool, err) : r;
}

int bench_add_training(struct bench_list *l, const char *name, struct l2_err *err)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct train *state;
        struct bench_case c = {.unit = "tokens/s", .run = train_run, .release = train_release};
        if (strcmp(shapes[i].name, name) != 0 || !bench_wants(l, name))
            continue;
        int r = train_new(&state, &shapes[i], l->pool, err);
        if (r != L2_OK) {
            train_release(state);
            return r;
        }
        snprintf(c.name, sizeof c.name, "%s", name);
        c.state = state;
        return bench_add(l, &c, err);
    }
    return L2_OK;
}

const char *bench_training(size_t i)
{
    return i < sizeof shapes / sizeof *shapes ? shapes[i].name : NULL;
}
