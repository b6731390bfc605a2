/* Figure 24 of the Llama 2 paper: decoding throughput over batch size, where every query head has
 * keys and values of its own (MHA), where groups share them (GQA), and where all do (MQA). The
 * feed-forward layer grows by what attention saves, so that all three have as many parameters. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_model.h"

#define N_LAYERS 6
#define N_STEPS  4
#define KV_BYTES ((uint64_t)2 << 30) /* a batch that does not fit is left out, as in the figure */
#define MOST     64

static const struct {
    const char *name;
    uint32_t n_kv_heads;
} variants[] = {{"MHA", 32}, {"GQA", 8}, {"MQA", 1}};
static const uint32_t contexts[] = {256, 2048}, batches[] = {1, 8, 64};

struct heads_case {
    struct bench_model *model;
    uint32_t context, batch;
};

static void heads_case_release(void *state)
{
    struct heads_case *c = state;
    bench_model_release(c->model);
    free(c);
}

/* A sequence that has cached so many positions, with small numbers for keys and values: what they
 * are makes no difference to the time. */
static int fill_sequence(struct l2_engine *e, struct l2_kv_seq *s, uint32_t positions,
                         struct l2_err *err)
{
    const struct l2_hparams *hp = l2_engine_hparams(e);
    size_t bytes = l2_kv_head_bytes(L2_KV_BF16, hp->head_dim);
    int r = l2_kv_seq_reserve(l2_engine_kv(e), s, positions + N_STEPS, err);
    for (uint32_t b = 0; r == L2_OK && b < s->n_blocks; b++)
        for (uint32_t layer = 0; layer < hp->n_layers; layer++)
            for (uint32_t head = 0; head < hp->n_kv_heads; head++)
                memset(l2_kv_pool_head(l2_engine_kv(e), s->blocks[b], layer, head).k, 0x3c, bytes);
    s->len = positions;
    return r;
}

static int run_heads(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct heads_case *c = state;
    struct l2_engine *e = c->model->engine;
    struct l2_kv_seq seqs[MOST] = {{0}};
    struct l2_row rows[MOST];
    const float *values;
    int r = L2_OK;
    for (uint32_t i = 0; i < c->batch && r == L2_OK; i++) {
        r = fill_sequence(e, &seqs[i], c->context, err);
        rows[i] = (struct l2_row){bench_token(i), &seqs[i], true};
    }
    double t = bench_now();
    for (int step = 0; step < N_STEPS && r == L2_OK; step++)
        r = l2_engine_forward(e, rows, c->batch, L2_OUT_HEAD, &values, err);
    double n = (double)N_STEPS * c->batch;
    *out = (struct bench_sample){
        .seconds = bench_now() - t,
        .work = n,
        .flops = c->batch > 1 ? bench_model_flops(c->model, n, c->context, n) : 0,
        .bytes = c->batch == 1 ? c->model->matrix_bytes * N_STEPS : 0,
        .held = (double)c->batch * l2_kv_blocks_for(c->context + N_STEPS) *
                (double)l2_kv_block_bytes(&c->model->model.hp, L2_KV_BF16)};
    for (uint32_t i = 0; i < c->batch; i++)
        l2_kv_seq_release(l2_engine_kv(e), &seqs[i]);
    return r;
}

static struct l2_hparams hparams_of(uint32_t n_kv_heads)
{
    struct l2_hparams hp = *bench_shape("1b");
    uint32_t saved = 2 * hp.head_dim * (hp.n_heads - n_kv_heads);
    hp.n_kv_heads = n_kv_heads;
    hp.n_layers = N_LAYERS;
    hp.context = 2048 + N_STEPS;
    hp.hidden += saved / 3 / 64 * 64;
    return hp;
}

int bench_add_heads(struct bench_list *l, size_t v, struct l2_err *err)
{
    struct bench_model *b = NULL;
    struct l2_hparams hp = hparams_of(variants[v].n_kv_heads);
    const struct l2_engine_opts opts = {
        .max_rows = MOST, .max_outputs = MOST, .kv_bytes = KV_BYTES, .kv_type = L2_KV_BF16};
    int r = L2_OK;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 3 && r == L2_OK; j++) {
            struct bench_case c = {
                .unit = "tokens/s", .run = run_heads, .release = heads_case_release};
            uint64_t need = (uint64_t)batches[j] * l2_kv_blocks_for(contexts[i] + N_STEPS) *
                            l2_kv_block_bytes(&hp, L2_KV_BF16);
            snprintf(c.name, sizeof c.name, "figure 24, %s, context %u, batch %u", variants[v].name,
                     (unsigned)contexts[i], (unsigned)batches[j]);
            if (need > KV_BYTES || !bench_wants(l, c.name))
                continue;
            if (!b)
                r = bench_model_new(&b, &hp, "bf16", l->pool, opts, err);
            struct heads_case *state = r == L2_OK ? malloc(sizeof *state) : NULL;
            if (!state)
                return r == L2_OK ? l2_err_memory(err, sizeof *state) : r;
            *state = (struct heads_case){b, contexts[i], batches[j]};
            b->n_users++;
            c.state = state;
            r = bench_add(l, &c, err);
        }
    bench_model_release(b);
    return r;
}

const char *bench_heads(size_t i)
{
    return i < sizeof variants / sizeof *variants ? variants[i].name : NULL;
}
