/* The forward pass. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/engine_state.h"

#include <string.h>
#include "kern/ops.h"

/* Work on fewer floats than this takes about as long as waking a worker. Slices are of 8 rows,
 * which is also what keeps threads off each other's cache lines of transposed keys. */
#define ALONE      ((size_t)1 << 14)
#define SLICE_ROWS 8

struct row_job {
    struct l2_engine *e;
    void (*fn)(struct l2_engine *, void *, size_t, size_t);
    void *arg;
    size_t n;
};

static void run_slice(void *arg, size_t i)
{
    const struct row_job *job = arg;
    size_t first = i * SLICE_ROWS, left = job->n - first;
    job->fn(job->e, job->arg, first, left < SLICE_ROWS ? left : SLICE_ROWS);
}

void l2_engine_rows(struct l2_engine *e, void (*fn)(struct l2_engine *, void *, size_t, size_t),
                    void *arg, size_t n_rows, size_t cost)
{
    struct row_job job = {e, fn, arg, n_rows};
    if (n_rows * cost < ALONE)
        fn(e, arg, 0, n_rows);
    else
        l2_pool_run(e->opts.pool, run_slice, &job, (n_rows + SLICE_ROWS - 1) / SLICE_ROWS);
}

static void linear(struct l2_engine *e, float *y, const float *x, const struct l2_weight *w,
                   size_t n_rows)
{
    e->weights.backend->linear(e->opts.pool, y, x, n_rows, w, e->scratch);
}

/* y (rows, width) += bias (width), every row. */
struct bias_job {
    float *y;
    const float *bias;
    size_t width;
};

static void bias_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    const struct bias_job *job = arg;
    (void)e;
    for (size_t i = first; i < first + n; i++)
        l2_add_fwd(job->y + i * job->width, job->bias, job->width);
}

/* y = x W^T + bias, where there is one, with the adapters that W has. */
static void affine(struct l2_engine *e, enum l2_group group, float *y, const float *x,
                   const struct l2_weight *w, const float *bias, size_t n_rows)
{
    struct bias_job job = {y, bias, w->rows};
    linear(e, y, x, w, n_rows);
    if (e->lora)
        l2_engine_adapt(e, y, x, w, group, n_rows);
    if (bias)
        l2_engine_rows(e, bias_rows, &job, n_rows, w->rows);
}

static void embed_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    (void)arg;
    size_t half = e->hp.head_dim / 2;
    for (size_t i = first; i < first + n; i++) {
        const struct l2_work_row *row = &e->rows[i];
        l2_tensor_row(e->weights.embed, e->hp.head_dim, row->token, e->x + i * e->hp.dim);
        l2_rope_angles(e->cos + i * half, e->sin + i * half, row->pos, e->frequency,
                       e->hp.head_dim);
    }
}

static void norm_rows(struct l2_engine *e, void *weight, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        l2_rmsnorm_fwd(e->h + i * e->hp.dim, e->x + i * e->hp.dim, weight, e->hp.dim,
                       e->hp.norm_eps);
}

/* x += delta, and h = norm(x) unless there is nothing behind the last layer. */
static void add_norm_rows(struct l2_engine *e, void *weight, size_t first, size_t n)
{
    l2_add_fwd(e->x + first * e->hp.dim, e->delta + first * e->hp.dim, n * e->hp.dim);
    if (weight)
        norm_rows(e, weight, first, n);
}

static void activate_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    (void)arg;
    size_t hidden = e->hp.hidden;
    for (size_t i = first; i < first + n; i++) {
        const float *gate = e->gate_up + i * 2 * hidden;
        l2_swiglu_fwd(e->act + i * hidden, gate, gate + hidden, hidden);
    }
}

/* From the last layer's attention on only rows with outputs count: their x moves together. */
static void keep_outputs(struct l2_engine *e, const struct l2_row *rows)
{
    size_t dim = e->hp.dim;
    e->n_wanted = 0;
    for (uint32_t i = 0; i < e->n_rows; i++)
        if (rows[i].wants_output) {
            if (e->n_wanted != i)
                memcpy(e->x + e->n_wanted * dim, e->x + i * dim, dim * sizeof *e->x);
            e->wanted[e->n_wanted++] = i;
        }
    l2_engine_plan_attention(e);
}

static void run_layers(struct l2_engine *e, const struct l2_row *rows)
{
    const struct l2_weights *w = &e->weights;
    size_t dim = e->hp.dim;
    l2_engine_plan_attention(e);
    l2_engine_rows(e, embed_rows, NULL, e->n_rows, dim + 32 * e->hp.head_dim);
    l2_engine_rows(e, norm_rows, w->layers[0].attn_norm, e->n_rows, dim);
    for (uint32_t i = 0; i < w->n_layers; i++) {
        const struct l2_layer_weights *l = &w->layers[i];
        bool last = i + 1 == w->n_layers;
        e->layer = i;
        affine(e, L2_GROUP_QKV, e->qkv, e->h, &l->qkv, l->qkv_bias, e->n_rows);
        if (last)
            keep_outputs(e, rows);
        l2_engine_attention(e);
        affine(e, L2_GROUP_O, e->delta, e->att, &l->o, l->o_bias, e->n_wanted);
        l2_engine_rows(e, add_norm_rows, l->ffn_norm, e->n_wanted, 2 * dim);
        affine(e, L2_GROUP_GATE_UP, e->gate_up, e->h, &l->gate_up, l->gate_up_bias, e->n_wanted);
        l2_engine_rows(e, activate_rows, NULL, e->n_wanted, 4 * (size_t)e->hp.hidden);
        affine(e, L2_GROUP_DOWN, e->delta, e->act, &l->down, l->down_bias, e->n_wanted);
        l2_engine_rows(e, add_norm_rows, last ? w->norm : w->layers[i + 1].attn_norm, e->n_wanted,
                       2 * dim);
    }
}

/* Checks one row and gives it the next position of its sequence. */
static int admit_row(struct l2_engine *e, const struct l2_row *row, struct l2_err *err)
{
    uint32_t pos = row->seq->len;
    if (row->token >= e->hp.vocab_size)
        return l2_err_set(err, L2_ARGUMENT, "token %u is not in the model's vocabulary of %u",
                          (unsigned)row->token, (unsigned)e->hp.vocab_size);
    if (pos >= e->hp.context)
        return l2_err_set(err, L2_ARGUMENT, "position %u is outside of the context of %u",
                          (unsigned)pos, (unsigned)e->hp.context);
    if (!l2_kv_seq_writable(e->kv, row->seq, pos))
        return l2_err_set(err, L2_ARGUMENT, "no room was reserved in the KV cache for position %u",
                          (unsigned)pos);
    e->rows[e->n_rows] = (struct l2_work_row){row->seq, row->token, pos};
    e->wanted[e->n_rows] = e->n_rows;
    e->n_rows++;
    row->seq->len++;
    return L2_OK;
}

static int admit_rows(struct l2_engine *e, const struct l2_row *rows, size_t n, struct l2_err *err)
{
    size_t n_outputs = 0;
    int r = L2_OK;
    e->n_rows = 0;
    if (n > e->opts.max_rows)
        return l2_err_set(err, L2_ARGUMENT, "%zu rows in one pass, at most %u", n,
                          (unsigned)e->opts.max_rows);
    for (size_t i = 0; i < n; i++)
        n_outputs += rows[i].wants_output;
    if (n_outputs > e->opts.max_outputs)
        return l2_err_set(err, L2_ARGUMENT, "%zu outputs in one pass, at most %u", n_outputs,
                          (unsigned)e->opts.max_outputs);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = admit_row(e, &rows[i], err);
    if (r != L2_OK)
        while (e->n_rows > 0)
            rows[--e->n_rows].seq->len--;
    e->n_wanted = e->n_rows;
    return r;
}

int l2_engine_forward(struct l2_engine *e, const struct l2_row *rows, size_t n, enum l2_output what,
                      const float **values, struct l2_err *err)
{
    *values = NULL;
    if (what == L2_OUT_HEAD && !e->values)
        return l2_err_set(err, L2_ARGUMENT, "the engine was made without the model's head");
    int r = admit_rows(e, rows, n, err);
    if (r != L2_OK || n == 0)
        return r;
    run_layers(e, rows);
    if (e->n_wanted == 0)
        return L2_OK;
    if (what == L2_OUT_HEAD) {
        linear(e, e->values, e->h, &e->weights.head, e->n_wanted);
        *values = e->values;
    } else {
        *values = e->weights.norm ? e->h : e->x;
    }
    return L2_OK;
}
