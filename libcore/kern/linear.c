/* Splits products with packed matrices over the pool. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/linear.h"

/* Products below this number of multiplications take about as long as waking a worker. */
#define ALONE ((size_t)1 << 15)

/* Tasks a thread, so that one that is late has little left; and rows of x a task at least, so that
 * a panel is read for many rows. */
#define TASKS_PER_THREAD 4
#define MIN_ROWS         24

struct job {
    const struct l2_simd *simd;
    const struct l2_weight *w;
    float *y;
    const float *x;
    size_t m;
    size_t rows; /* of x a task */
    size_t n_panels;
};

size_t l2_linear_panels(const struct l2_weight *w)
{
    return ((size_t)w->rows + L2_PANEL - 1) / L2_PANEL;
}

struct l2_panel l2_linear_panel(const struct l2_weight *w, uint32_t index)
{
    uint32_t first = index * L2_PANEL, left = w->rows - first;
    struct l2_panel p = {.dtype = w->dtype, .cols = w->cols};
    p.valid = left < L2_PANEL ? left : L2_PANEL;
    p.width = (p.valid + 15) / 16 * 16;
    p.data = (const char *)w->data + (size_t)first * w->cols * l2_dtype_size(w->dtype);
    return p;
}

static void run_task(void *arg, size_t i)
{
    const struct job *job = arg;
    size_t panel = i % job->n_panels, row = i / job->n_panels * job->rows;
    size_t m = job->m - row < job->rows ? job->m - row : job->rows;
    struct l2_panel p = l2_linear_panel(job->w, (uint32_t)panel);
    job->simd->panel(job->y + row * job->w->rows + panel * L2_PANEL, job->w->rows,
                     job->x + row * job->w->cols, m, &p);
}

void l2_linear_run(const struct l2_simd *simd, struct l2_pool *pool, float *y, const float *x,
                   size_t m, const struct l2_weight *w)
{
    struct job job = {simd, w, y, x, m, m, l2_linear_panels(w)};
    if (m == 0 || w->rows == 0)
        return;
    size_t wanted = (size_t)l2_pool_threads(pool) * TASKS_PER_THREAD;
    if (m * w->rows * w->cols < ALONE) {
        pool = NULL;
    } else if (job.n_panels < wanted && m > MIN_ROWS) {
        size_t cuts = (wanted + job.n_panels - 1) / job.n_panels;
        job.rows = (m + cuts - 1) / cuts;
        if (job.rows < MIN_ROWS)
            job.rows = MIN_ROWS;
    }
    l2_pool_run(pool, run_task, &job, (m + job.rows - 1) / job.rows * job.n_panels);
}
