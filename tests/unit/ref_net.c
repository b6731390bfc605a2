/* A Llama model in plain loops and double. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ref_net.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ref {
    const struct l2_params *layout;
    const double *values;
    const struct l2_net_batch *batch;
    double *x, *h, *qkv, *attn, *gate_up; /* rows of the batch */
    size_t qd, kvd;
};

static const double *at(const struct ref *r, enum l2_role role, uint32_t layer)
{
    size_t i = l2_tensor_index(&r->layout->hp, role, layer);
    return i == SIZE_MAX ? NULL : r->values + r->layout->offset[i];
}

/* y (n, ld, of which rows are made) = x W^T + bias */
static void linear(double *y, size_t ld, const double *x, size_t n, size_t cols, const double *w,
                   size_t rows, const double *bias)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < rows; j++) {
            double sum = bias ? bias[j] : 0;
            for (size_t k = 0; k < cols; k++)
                sum += x[i * cols + k] * w[j * cols + k];
            y[i * ld + j] = sum;
        }
}

static void norm(const struct ref *r, double *y, const double *x, const double *w)
{
    size_t dim = r->layout->hp.dim;
    for (size_t i = 0; i < r->batch->n_rows; i++, x += dim, y += dim) {
        double sum = 0;
        for (size_t k = 0; k < dim; k++)
            sum += x[k] * x[k];
        for (size_t k = 0; k < dim; k++)
            y[k] = x[k] / sqrt(sum / (double)dim + (double)r->layout->hp.norm_eps) * w[k];
    }
}

static size_t position(const struct l2_net_batch *b, size_t span)
{
    uint32_t parent = b->spans[span].parent;
    return parent == L2_NO_PARENT ? 0 : position(b, parent) + b->spans[parent].n;
}

static void rope(const struct ref *r, double *x, size_t heads, size_t pos)
{
    size_t hd = r->layout->hp.head_dim;
    for (size_t h = 0; h < heads; h++, x += hd)
        for (size_t i = 0; i < hd / 2; i++) {
            double a = (double)pos * pow(r->layout->hp.rope_theta, -2.0 * (double)i / (double)hd);
            double u = x[i], v = x[i + hd / 2];
            x[i] = u * cos(a) - v * sin(a);
            x[i + hd / 2] = v * cos(a) + u * sin(a);
        }
}

/* The rows that row number i of a span sees, in order. */
static size_t seen_rows(const struct l2_net_batch *b, size_t span, size_t i, size_t *rows)
{
    const struct l2_span *s = &b->spans[span];
    size_t n = 0;
    if (s->parent != L2_NO_PARENT)
        n = seen_rows(b, s->parent, b->spans[s->parent].n - 1, rows);
    for (size_t j = 0; j <= i; j++)
        rows[n++] = s->first + j;
    return n;
}

static void attend(struct ref *r, size_t span, size_t i, size_t *rows, double *p)
{
    const struct l2_hparams *hp = &r->layout->hp;
    size_t row = r->batch->spans[span].first + i, n = seen_rows(r->batch, span, i, rows);
    size_t hd = hp->head_dim, ld = r->qd + 2 * r->kvd;
    for (size_t h = 0; h < hp->n_heads; h++) {
        size_t kv = h / (hp->n_heads / hp->n_kv_heads) * hd;
        const double *q = r->qkv + row * ld + h * hd;
        double *out = r->attn + row * r->qd + h * hd, max = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++) {
            const double *k = r->qkv + rows[j] * ld + r->qd + kv;
            p[j] = 0;
            for (size_t d = 0; d < hd; d++)
                p[j] += q[d] * k[d] / sqrt((double)hd);
            max = fmax(max, p[j]);
        }
        for (size_t j = 0; j < n; j++)
            sum += p[j] = exp(p[j] - max);
        memset(out, 0, hd * sizeof *out);
        for (size_t j = 0; j < n; j++)
            for (size_t d = 0; d < hd; d++)
                out[d] += p[j] / sum * r->qkv[rows[j] * ld + r->qd + r->kvd + kv + d];
    }
}

static void layer(struct ref *r, uint32_t l, size_t *rows, double *p)
{
    const struct l2_hparams *hp = &r->layout->hp;
    size_t n = r->batch->n_rows, dim = hp->dim, hidden = hp->hidden, ld = r->qd + 2 * r->kvd;
    norm(r, r->h, r->x, at(r, L2_T_ATTN_NORM, l));
    linear(r->qkv, ld, r->h, n, dim, at(r, L2_T_Q, l), r->qd, at(r, L2_T_Q_BIAS, l));
    linear(r->qkv + r->qd, ld, r->h, n, dim, at(r, L2_T_K, l), r->kvd, at(r, L2_T_K_BIAS, l));
    linear(r->qkv + r->qd + r->kvd, ld, r->h, n, dim, at(r, L2_T_V, l), r->kvd,
           at(r, L2_T_V_BIAS, l));
    for (size_t s = 0; s < r->batch->n_spans; s++)
        for (size_t i = 0; i < r->batch->spans[s].n; i++)
            rope(r, r->qkv + (r->batch->spans[s].first + i) * ld, hp->n_heads + hp->n_kv_heads,
                 position(r->batch, s) + i);
    for (size_t s = 0; s < r->batch->n_spans; s++)
        for (size_t i = 0; i < r->batch->spans[s].n; i++)
            attend(r, s, i, rows, p);
    linear(r->h, dim, r->attn, n, r->qd, at(r, L2_T_O, l), dim, at(r, L2_T_O_BIAS, l));
    for (size_t i = 0; i < n * dim; i++)
        r->x[i] += r->h[i];
    norm(r, r->h, r->x, at(r, L2_T_FFN_NORM, l));
    linear(r->gate_up, 2 * hidden, r->h, n, dim, at(r, L2_T_GATE, l), hidden,
           at(r, L2_T_GATE_BIAS, l));
    linear(r->gate_up + hidden, 2 * hidden, r->h, n, dim, at(r, L2_T_UP, l), hidden,
           at(r, L2_T_UP_BIAS, l));
    for (size_t i = 0; i < n; i++) /* in place: row i of the activation ends before row i + 1 */
        for (size_t j = 0; j < hidden; j++) {
            double g = r->gate_up[i * 2 * hidden + j], u = r->gate_up[i * 2 * hidden + hidden + j];
            r->gate_up[i * hidden + j] = g / (1 + exp(-g)) * u;
        }
    linear(r->h, dim, r->gate_up, n, hidden, at(r, L2_T_DOWN, l), dim, at(r, L2_T_DOWN_BIAS, l));
    for (size_t i = 0; i < n * dim; i++)
        r->x[i] += r->h[i];
}

static double target_value(const struct ref *r, const struct l2_target *t, size_t index)
{
    const struct l2_hparams *hp = &r->layout->hp;
    const double *h = r->h + t->row * (size_t)hp->dim;
    double logit, want = 0, sum = 0;
    if (hp->head == L2_HEAD_LABELS) {
        linear(&logit, 1, h, 1, hp->dim, at(r, L2_T_SCORE, 0) + index % hp->n_labels * hp->dim, 1,
               NULL);
        return logit;
    }
    const double *w = at(r, hp->tied ? L2_T_EMBED : L2_T_HEAD, 0);
    for (size_t v = 0; v < hp->vocab_size; v++) {
        linear(&logit, 1, h, 1, hp->dim, w + v * hp->dim, 1, NULL);
        sum += exp(logit);
        if (v == t->token)
            want = logit;
    }
    return want - log(sum);
}

double ref_loss(const struct l2_params *layout, const double *values, const struct ref_loss *loss,
                double *out)
{
    const struct l2_hparams *hp = &layout->hp;
    const struct l2_net_batch *b = loss->batch;
    size_t n = b->n_rows;
    struct ref r = {.layout = layout,
                    .values = values,
                    .batch = b,
                    .qd = (size_t)hp->n_heads * hp->head_dim,
                    .kvd = (size_t)hp->n_kv_heads * hp->head_dim};
    size_t floats = n * (2 * hp->dim + r.qd + 2 * r.kvd + r.qd + 2 * (size_t)hp->hidden + 1);
    double *memory = malloc(floats * sizeof *memory), total = 0;
    size_t *rows = malloc(n * sizeof *rows);
    assert(memory && rows);
    r.x = memory;
    r.h = r.x + n * hp->dim;
    r.qkv = r.h + n * hp->dim;
    r.attn = r.qkv + n * (r.qd + 2 * r.kvd);
    r.gate_up = r.attn + n * r.qd;
    for (size_t i = 0; i < n; i++)
        memcpy(r.x + i * hp->dim, at(&r, L2_T_EMBED, 0) + b->tokens[i] * (size_t)hp->dim,
               hp->dim * sizeof *r.x);
    for (uint32_t l = 0; l < hp->n_layers; l++)
        layer(&r, l, rows, r.gate_up + n * 2 * hp->hidden);
    norm(&r, r.h, r.x, at(&r, L2_T_NORM, 0));
    for (size_t t = 0; t < loss->n_targets; t++) {
        double v = target_value(&r, &loss->targets[t], t);
        total += (double)loss->coefficient[t] * v;
        if (out)
            out[t] = v;
    }
    free(memory);
    free(rows);
    return total;
}
