/* The blas backend: OpenBLAS on one thread, called on slices from the pool. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/blas.h"

#include <cblas.h>
#include <stdio.h>
#include "kern/aligned.h"
#include "kern/backend.h"
#include "kern/weight.h"
#include "util/num.h"

/* Rows of W in a slice at least: below it OpenBLAS spends its time on packing x. */
#define MIN_SLICE 256

struct pack {
    struct l2_weight *w;
    const struct l2_tensor *const *parts;
    uint32_t head_dim;
};

struct job {
    const struct l2_weight *w;
    float *y;
    const float *x;
    size_t m;
    uint32_t slice; /* rows of W a task */
};

/* Nothing else sets this number. */
void l2_blas_one_thread(void)
{
    openblas_set_num_threads(1);
}

static void describe(char *out, size_t out_size)
{
    snprintf(out, out_size, "blas: %s, %s", openblas_get_config(), openblas_get_corename());
}

static void pack_row(void *arg, size_t row)
{
    const struct pack *job = arg;
    uint32_t part_row = (uint32_t)row;
    const struct l2_tensor *t = l2_weight_part(job->parts, &part_row);
    l2_tensor_row(t, job->head_dim, part_row, (float *)job->w->data + row * job->w->cols);
}

static int pack(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                const struct l2_pack_opts *opts, struct l2_pool *pool, struct l2_err *err)
{
    struct pack job = {out, parts, opts->head_dim};
    size_t values;
    int r = l2_weight_init(out, parts, n_parts, err);
    if (r != L2_OK)
        return r;
    l2_blas_one_thread();
    if (!l2_mul_size(out->rows, out->cols, &values))
        return l2_err_set(err, L2_LIMIT, "a matrix of %u rows and %u columns is too large",
                          (unsigned)out->rows, (unsigned)out->cols);
    out->data = l2_aligned_alloc(values, sizeof(float), err);
    if (!out->data)
        return err ? err->code : L2_MEMORY;
    out->bytes = values * sizeof(float);
    l2_pool_run(pool, pack_row, &job, out->rows);
    return L2_OK;
}

static void run_slice(void *arg, size_t i)
{
    const struct job *job = arg;
    const struct l2_weight *w = job->w;
    uint32_t first = (uint32_t)i * job->slice, left = w->rows - first;
    int rows = (int)(left < job->slice ? left : job->slice), cols = (int)w->cols;
    const float *part = (const float *)w->data + (size_t)first * w->cols;
    if (job->m == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, rows, cols, 1, part, cols, job->x, 1, 0,
                    job->y + first, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)job->m, rows, cols, 1, job->x,
                    cols, part, cols, 0, job->y + first, (int)w->rows);
}

static size_t scratch(const struct l2_weight *w, size_t m)
{
    (void)w, (void)m;
    return 0;
}

static void linear(struct l2_pool *pool, float *y, const float *x, size_t m,
                   const struct l2_weight *w, void *unused)
{
    (void)unused;
    struct job job = {w, y, x, m, MIN_SLICE};
    uint32_t threads = (uint32_t)l2_pool_threads(pool);
    if (m == 0 || w->rows == 0)
        return;
    uint32_t share = (w->rows + threads - 1) / threads;
    if (share > job.slice)
        job.slice = share;
    l2_pool_run(pool, run_slice, &job, (w->rows + job.slice - 1) / job.slice);
}

const struct l2_backend l2_backend_blas = {
    .name = "blas",
    .describe = describe,
    .pack = pack,
    .release = l2_weight_release,
    .scratch = scratch,
    .linear = linear,
};
