/* AdamW, in slices of fixed size, so that threads change no bits. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/adamw.h"

#include <math.h>
#include <stdlib.h>

#define SLICE ((size_t)16384)

const struct l2_adamw_opts l2_adamw_defaults = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1};

int l2_adamw_init(struct l2_adamw *a, const struct l2_hparams *hp, const struct l2_adamw_opts *opts,
                  struct l2_err *err)
{
    *a = (struct l2_adamw){.opts = *opts};
    int rc = l2_params_new(&a->m, hp, err);
    return rc == L2_OK ? l2_params_new(&a->v, hp, err) : rc;
}

void l2_adamw_release(struct l2_adamw *a)
{
    l2_params_free(a->m);
    l2_params_free(a->v);
    *a = (struct l2_adamw){.step = 0};
}

static size_t n_values(const struct l2_params *p)
{
    return p->offset[p->n_tensors];
}

/* ---- the norm ---- */

struct norm_job {
    const struct l2_params *p;
    double *sums; /* of each slice */
};

static void sum_slice(void *arg, size_t i)
{
    const struct norm_job *j = arg;
    size_t end = n_values(j->p) < (i + 1) * SLICE ? n_values(j->p) : (i + 1) * SLICE;
    double sums[8] = {0};
    for (size_t at = i * SLICE; at < end; at++)
        sums[at % 8] += (double)j->p->values[at] * j->p->values[at];
    j->sums[i] =
        ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

int l2_params_norm(const struct l2_params *p, struct l2_pool *pool, double *norm,
                   struct l2_err *err)
{
    size_t n = (n_values(p) + SLICE - 1) / SLICE;
    struct norm_job job = {p, calloc(n, sizeof(double))};
    double sum = 0;
    *norm = 0;
    if (!job.sums)
        return l2_err_memory(err, n * sizeof(double));
    l2_pool_run(pool, sum_slice, &job, n);
    for (size_t i = 0; i < n; i++)
        sum += job.sums[i];
    free(job.sums);
    *norm = sqrt(sum);
    return L2_OK;
}

/* ---- a step ---- */

struct step_job {
    const struct l2_adamw *a;
    struct l2_params *params, *grads;
    float scale, lr, correct1, correct2; /* of the moments' bias */
    size_t first, end;                   /* values of the tensor */
    float decay;                         /* what is left of a value: 1 - lr * weight decay */
};

static void step_slice(void *arg, size_t i)
{
    const struct step_job *j = arg;
    const struct l2_adamw_opts *o = &j->a->opts;
    float b1 = (float)o->beta1, b2 = (float)o->beta2, eps = (float)o->eps;
    float *restrict p = j->params->values, *restrict g = j->grads->values;
    float *restrict m = j->a->m->values, *restrict v = j->a->v->values;
    size_t begin = j->first + i * SLICE;
    size_t end = j->end < begin + SLICE ? j->end : begin + SLICE;
    for (size_t at = begin; at < end; at++) {
        float x = g[at] * j->scale;
        m[at] = b1 * m[at] + (1 - b1) * x;
        v[at] = b2 * v[at] + (1 - b2) * (x * x);
        float move = m[at] * j->correct1 / (sqrtf(v[at] * j->correct2) + eps);
        p[at] = p[at] * j->decay - j->lr * move;
        g[at] = 0;
    }
}

void l2_adamw_step(struct l2_adamw *a, struct l2_params *params, struct l2_params *grads,
                   double scale, double lr, struct l2_pool *pool)
{
    double step = (double)++a->step;
    struct step_job job = {.a = a,
                           .params = params,
                           .grads = grads,
                           .scale = (float)scale,
                           .lr = (float)lr,
                           .correct1 = (float)(1 / (1 - pow(a->opts.beta1, step))),
                           .correct2 = (float)(1 / (1 - pow(a->opts.beta2, step)))};
    for (size_t t = 0; t < params->n_tensors; t++) {
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&params->hp, t, &role, &layer);
        job.first = params->offset[t];
        job.end = params->offset[t + 1];
        job.decay = l2_roles[role].decayed ? (float)(1 - lr * a->opts.weight_decay) : 1;
        l2_pool_run(pool, step_slice, &job, (job.end - job.first + SLICE - 1) / SLICE);
    }
}
