/* Attention of whole runs of rows, in blocks. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/causal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>
#include "kern/math.h"
#include "kern/simd.h"

#define QUERIES 64 /* of a block */
#define KEYS    128

/* Scores of a block of queries and a block of keys. */
struct block {
    size_t query, n_queries; /* rows [query, query + n_queries) */
    size_t key, n_keys;
    bool own; /* keys are of the queries' own run: key row > query row is not seen */
};

static void product(enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, size_t m, size_t n, size_t k,
                    float alpha, const float *a, size_t lda, const float *b, size_t ldb, float beta,
                    float *c, size_t ldc)
{
    cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb,
                beta, c, (int)ldc);
}

static float factor(const struct l2_causal *a)
{
    return 1.0f / sqrtf((float)a->head_dim);
}

static void scores(const struct l2_causal *a, const struct block *b, float *s)
{
    product(CblasNoTrans, CblasTrans, b->n_queries, b->n_keys, a->head_dim, factor(a),
            a->q + b->query * a->ld, a->ld, a->k + b->key * a->ld, a->ld, 0, s, KEYS);
}

/* Keys of the block that query number i of it sees. */
static size_t visible(const struct block *b, size_t i)
{
    size_t row = b->query + i;
    if (!b->own || row >= b->key + b->n_keys)
        return b->n_keys;
    return row < b->key ? 0 : row - b->key + 1;
}

/* Calls fn for each block of keys that the queries see. */
static void each_block(const struct l2_causal *a, const struct l2_rows *seen, size_t n_seen,
                       struct block b,
                       void (*fn)(const struct l2_causal *, const struct block *, void *),
                       void *arg)
{
    for (size_t i = 0; i < n_seen; i++) {
        size_t end = seen[i].first + seen[i].n;
        b.own = i + 1 == n_seen;
        if (b.own)
            end = b.query + b.n_queries;
        for (b.key = seen[i].first; b.key < end; b.key += KEYS) {
            b.n_keys = end - b.key < KEYS ? end - b.key : KEYS;
            fn(a, &b, arg);
        }
    }
}

struct running {
    float max[QUERIES], sum[QUERIES];
};

/* Takes a block of keys into the running maxima, sums and outputs. */
static void forward_block(const struct l2_causal *a, const struct block *b, void *arg)
{
    const struct l2_simd *simd = l2_simd_best();
    struct running *run = arg;
    float s[QUERIES * KEYS];
    scores(a, b, s);
    for (size_t i = 0; i < b->n_queries; i++) {
        float *row = s + i * KEYS, *out = a->out + (b->query + i) * a->ld_out;
        size_t n = visible(b, i);
        if (n > 0) {
            float high = simd->max(row, n);
            float max = high <= run->max[i] ? run->max[i] : high; /* high where it is NaN */
            float old = l2_expf(run->max[i] - max);
            run->sum[i] = run->sum[i] * old + (float)simd->exp_sum(row, row, n, max, NULL);
            run->max[i] = max;
            if (old != 1)
                simd->scale(out, out, a->head_dim, old);
        }
        memset(row + n, 0, (b->n_keys - n) * sizeof *row);
    }
    product(CblasNoTrans, CblasNoTrans, b->n_queries, a->head_dim, b->n_keys, 1, s, KEYS,
            a->v + b->key * a->ld, a->ld, 1, a->out + b->query * a->ld_out, a->ld_out);
}

void l2_causal_fwd(const struct l2_causal *a, const struct l2_rows *seen, size_t n_seen)
{
    const struct l2_rows *own = &seen[n_seen - 1];
    for (size_t at = 0; at < own->n; at += QUERIES) {
        struct block b = {.query = own->first + at,
                          .n_queries = own->n - at < QUERIES ? own->n - at : QUERIES};
        struct running run;
        for (size_t i = 0; i < b.n_queries; i++) {
            run.max[i] = -INFINITY;
            run.sum[i] = 0;
            memset(a->out + (b.query + i) * a->ld_out, 0, a->head_dim * sizeof *a->out);
        }
        each_block(a, seen, n_seen, b, forward_block, &run);
        for (size_t i = 0; i < b.n_queries; i++) {
            float *out = a->out + (b.query + i) * a->ld_out;
            l2_simd_best()->scale(out, out, a->head_dim, 1.0f / run.sum[i]);
            a->lse[b.query + i] = (float)l2_log((double)run.sum[i]) + run.max[i];
        }
    }
}

/* With P = exp(S - lse): dV += P^T dO, dP = dO V^T, dS = P (dP - D), D = sum over the head of dO O,
 * dQ += dS K, dK += dS^T Q. arg is D. */
static void backward_block(const struct l2_causal *a, const struct block *b, void *arg)
{
    const struct l2_simd *simd = l2_simd_best();
    const float *d = arg, *q = a->q + b->query * a->ld, *k = a->k + b->key * a->ld;
    const float *dout = a->dout + b->query * a->ld_out;
    float p[QUERIES * KEYS], ds[QUERIES * KEYS];
    scores(a, b, p);
    for (size_t i = 0; i < b->n_queries; i++) {
        size_t n = visible(b, i);
        simd->expf_row(p + i * KEYS, p + i * KEYS, n, a->lse[b->query + i]);
        memset(p + i * KEYS + n, 0, (b->n_keys - n) * sizeof *p);
    }
    product(CblasTrans, CblasNoTrans, b->n_keys, a->head_dim, b->n_queries, 1, p, KEYS, dout,
            a->ld_out, 1, a->dv + b->key * a->ld, a->ld);
    product(CblasNoTrans, CblasTrans, b->n_queries, b->n_keys, a->head_dim, 1, dout, a->ld_out,
            a->v + b->key * a->ld, a->ld, 0, ds, KEYS);
    for (size_t i = 0; i < b->n_queries; i++)
        simd->softmax_bwd(ds + i * KEYS, p + i * KEYS, ds + i * KEYS, b->n_keys, d[i], factor(a));
    product(CblasNoTrans, CblasNoTrans, b->n_queries, a->head_dim, b->n_keys, 1, ds, KEYS, k, a->ld,
            1, a->dq + b->query * a->ld, a->ld);
    product(CblasTrans, CblasNoTrans, b->n_keys, a->head_dim, b->n_queries, 1, ds, KEYS, q, a->ld,
            1, a->dk + b->key * a->ld, a->ld);
}

void l2_causal_bwd(const struct l2_causal *a, const struct l2_rows *seen, size_t n_seen)
{
    const struct l2_rows *own = &seen[n_seen - 1];
    for (size_t at = 0; at < own->n; at += QUERIES) {
        struct block b = {.query = own->first + at,
                          .n_queries = own->n - at < QUERIES ? own->n - at : QUERIES};
        float d[QUERIES];
        for (size_t i = 0; i < b.n_queries; i++)
            d[i] = l2_simd_best()->dot(a->dout + (b.query + i) * a->ld_out,
                                       a->out + (b.query + i) * a->ld_out, a->head_dim);
        each_block(a, seen, n_seen, b, backward_block, d);
    }
}
