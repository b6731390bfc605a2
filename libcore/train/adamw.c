/* AdamW, in slices of fixed size, so that threads change no bits. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/adamw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kern/ops.h"

#define SLICE ((size_t)16384)
#define BLOCK ((size_t)256) /* values that are in f32 at a time, where they are kept in bf16 */

const struct l2_adamw_opts l2_adamw_defaults = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1};

/* ---- the norm ---- */

struct squares_job {
    const float *v;
    size_t n;
    double *sums; /* of each slice */
};

static void sum_slice(void *arg, size_t i)
{
    const struct squares_job *j = arg;
    size_t at = i * SLICE, end = j->n < at + SLICE ? j->n : at + SLICE;
    double sums[8] = {0};
    for (; at + 8 <= end; at += 8)
        for (size_t k = 0; k < 8; k++)
            sums[k] += (double)j->v[at + k] * j->v[at + k];
    for (; at < end; at++)
        sums[at % 8] += (double)j->v[at] * j->v[at];
    j->sums[i] =
        ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

int l2_adamw_squares(const float *v, size_t n, struct l2_pool *pool, double *sum,
                     struct l2_err *err)
{
    size_t n_slices = (n + SLICE - 1) / SLICE;
    struct squares_job job = {v, n, NULL};
    *sum = 0;
    if (n == 0)
        return L2_OK;
    job.sums = calloc(n_slices, sizeof(double));
    if (!job.sums)
        return l2_err_memory(err, n_slices * sizeof(double));
    l2_pool_run(pool, sum_slice, &job, n_slices);
    for (size_t i = 0; i < n_slices; i++)
        *sum += job.sums[i];
    free(job.sums);
    return L2_OK;
}

int l2_params_norm(const struct l2_params *p, struct l2_pool *pool, double *norm,
                   struct l2_err *err)
{
    int rc = l2_adamw_squares(p->values, p->offset[p->n_tensors], pool, norm, err);
    *norm = sqrt(*norm);
    return rc;
}

/* ---- a step of an array ---- */

struct step_job {
    const struct l2_adamw_array *a;
    struct l2_adamw_rates rates;
    uint32_t key; /* of random rounding */
};

/* The finaliser of MurmurHash3: each bit of x changes half the bits of the result. */
static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bU;
    x = (x ^ x >> 13) * 0xc2b2ae35U;
    return x ^ x >> 16;
}

/* Rounds to the bf16 below or above with probabilities by their distance; number is of the first
 * value. */
static void round_values(uint16_t *out, const float *in, size_t n, uint32_t key, uint64_t number)
{
    uint32_t high = mix(key ^ (uint32_t)(number >> 32)), low = (uint32_t)number;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits, noise = mix((low + (uint32_t)i) ^ high) >> 16;
        memcpy(&bits, &in[i], sizeof bits);
        bool special = (bits & 0x7f800000U) == 0x7f800000U;
        out[i] = (uint16_t)((bits + (special ? 0 : noise)) >> 16);
    }
}

static float *block_in(const struct l2_adamw_values *v, size_t at, size_t n, float *block)
{
    if (!v->bf16)
        return v->f32 + at;
    l2_from_bf16(block, v->bf16 + at, n);
    return block;
}

static void block_out(const struct l2_adamw_values *v, size_t at, size_t n, const float *block,
                      uint32_t key, uint64_t number)
{
    if (v->bf16)
        round_values(v->bf16 + at, block, n, key, number + at);
}

static void step_slice(void *arg, size_t i)
{
    const struct step_job *j = arg;
    const struct l2_adamw_array *a = j->a;
    size_t begin = i * SLICE, end = a->n < begin + SLICE ? a->n : begin + SLICE;
    if (!a->p.bf16 && !a->m.bf16 && !a->v.bf16) {
        l2_adamw_row(a->p.f32 + begin, a->g + begin, a->m.f32 + begin, a->v.f32 + begin,
                     end - begin, &j->rates);
        return;
    }
    for (size_t at = begin; at < end; at += BLOCK) {
        float p[BLOCK], m[BLOCK], v[BLOCK];
        size_t n = end - at < BLOCK ? end - at : BLOCK;
        float *bp = block_in(&a->p, at, n, p), *bm = block_in(&a->m, at, n, m),
              *bv = block_in(&a->v, at, n, v);
        l2_adamw_row(bp, a->g + at, bm, bv, n, &j->rates);
        block_out(&a->p, at, n, bp, j->key, a->number);
        block_out(&a->m, at, n, bm, j->key + 1, a->number);
        block_out(&a->v, at, n, bv, j->key + 2, a->number);
    }
}

void l2_adamw_array_step(const struct l2_adamw_opts *opts, uint64_t step,
                         const struct l2_adamw_array *a, double scale, double lr,
                         struct l2_pool *pool)
{
    struct step_job job = {
        .a = a,
        .rates = {.beta1 = (float)opts->beta1,
                  .beta2 = (float)opts->beta2,
                  .eps = (float)opts->eps,
                  .lr = (float)lr,
                  .scale = (float)scale,
                  .correct1 = (float)(1 / (1 - pow(opts->beta1, (double)step))),
                  .correct2 = (float)(1 / (1 - pow(opts->beta2, (double)step))),
                  .decay = a->decayed ? (float)(1 - lr * opts->weight_decay) : 1},
        .key = mix((uint32_t)step) ^ (uint32_t)(step >> 32)};
    l2_pool_run(pool, step_slice, &job, (a->n + SLICE - 1) / SLICE);
}

/* ---- the parameters of a model ---- */

int l2_adamw_init_as(struct l2_adamw *a, const struct l2_hparams *hp,
                     const struct l2_adamw_opts *opts, enum l2_dtype moments, struct l2_err *err)
{
    int (*new)(struct l2_params **, const struct l2_hparams *, struct l2_err *) =
        moments == L2_BF16 ? l2_params_new_frozen : l2_params_new;
    *a = (struct l2_adamw){.opts = *opts};
    int rc = new (&a->m, hp, err);
    return rc == L2_OK ? new (&a->v, hp, err) : rc;
}

int l2_adamw_init(struct l2_adamw *a, const struct l2_hparams *hp, const struct l2_adamw_opts *opts,
                  struct l2_err *err)
{
    return l2_adamw_init_as(a, hp, opts, L2_F32, err);
}

void l2_adamw_release(struct l2_adamw *a)
{
    l2_params_free(a->m);
    l2_params_free(a->v);
    *a = (struct l2_adamw){.step = 0};
}

static struct l2_adamw_values values_at(const struct l2_params *p, enum l2_role role,
                                        uint32_t layer, size_t i, size_t skip)
{
    float *f32 = l2_params_at(p, role, layer);
    return f32 ? (struct l2_adamw_values){.f32 = f32 + skip}
               : (struct l2_adamw_values){.bf16 = p->frozen + p->offset[i] + skip};
}

struct l2_adamw_array l2_adamw_tensor(const struct l2_adamw *a, const struct l2_params *params,
                                      const struct l2_params *grads, size_t i, size_t begin,
                                      size_t end)
{
    enum l2_role role;
    uint32_t layer, rows, cols;
    l2_tensor_at(&params->hp, i, &role, &layer);
    l2_role_shape(&params->hp, role, &rows, &cols);
    size_t first = grads->offset[i], last = first + (size_t)rows * cols;
    begin = begin > first ? begin : first;
    end = end < last ? end : last;
    if (begin >= end)
        return (struct l2_adamw_array){.n = 0};
    return (struct l2_adamw_array){.p = values_at(params, role, layer, i, begin - first),
                                   .m = values_at(a->m, role, layer, i, begin - first),
                                   .v = values_at(a->v, role, layer, i, begin - first),
                                   .g = grads->values + begin,
                                   .n = end - begin,
                                   .decayed = l2_roles[role].decayed,
                                   .number = begin};
}

void l2_adamw_step(struct l2_adamw *a, struct l2_params *params, struct l2_params *grads,
                   double scale, double lr, struct l2_pool *pool)
{
    a->step++;
    for (size_t i = 0; i < params->n_tensors; i++) {
        struct l2_adamw_array array = l2_adamw_tensor(a, params, grads, i, 0, SIZE_MAX);
        l2_adamw_array_step(&a->opts, a->step, &array, scale, lr, pool);
    }
}
