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

/* The kinds of activations that products take. */
enum kind { KIND_F32, KIND_PAIRS, KIND_Q8, KIND_Q8_K, N_KINDS };

struct job {
    const struct l2_simd *simd;
    const struct l2_weight *w;
    float *y;
    const float *x;
    size_t m;
    size_t rows; /* of x a task, whole tiles */
    size_t n_panels;
    size_t height;       /* rows of a tile */
    char *acts[N_KINDS]; /* narrowed ones, or NULL */
};

static enum kind kind_of(const struct l2_weight *w, const struct l2_piece *piece)
{
    if (piece->layout == L2_LAYOUT_BF16_PAIRS)
        return KIND_PAIRS;
    if (!w->narrow || !l2_layout_quantised(piece->layout))
        return KIND_F32;
    return piece->layout == L2_LAYOUT_Q8_K ? KIND_Q8_K : KIND_Q8;
}

static const struct l2_narrow *narrow_of(const struct l2_simd *simd, enum kind kind)
{
    return kind == KIND_PAIRS ? simd->pairs : kind == KIND_Q8 ? simd->q8 : simd->q8_k;
}

static size_t row_bytes(enum kind kind, size_t cols)
{
    switch (kind) {
    case KIND_PAIRS:
        return l2_pairs_row_bytes(cols);
    case KIND_Q8:
        return l2_q8_row_bytes(cols);
    default:
        return l2_q8_k_row_bytes(cols);
    }
}

static bool uses(const struct l2_weight *w, enum kind kind)
{
    for (size_t i = 0; i < w->n_pieces; i++)
        if (kind_of(w, &w->pieces[i]) == kind)
            return true;
    return false;
}

static size_t acts_bytes(const struct l2_weight *w, enum kind kind, size_t m)
{
    return uses(w, kind) ? (m * row_bytes(kind, w->cols) + 63) / 64 * 64 : 0;
}

size_t l2_linear_scratch(const struct l2_weight *w, size_t m)
{
    size_t bytes = 0;
    for (enum kind kind = KIND_PAIRS; kind < N_KINDS; kind++)
        bytes += acts_bytes(w, kind, m);
    return bytes;
}

static struct l2_tiles tiles_of(const struct job *job, enum kind kind, size_t row, size_t m)
{
    size_t bytes = row_bytes(kind, job->w->cols);
    return (struct l2_tiles){job->acts[kind] + row * bytes, m, job->height, bytes};
}

static void narrow_tile(void *arg, size_t t)
{
    const struct job *job = arg;
    size_t row = t * job->height, left = job->m - row, m = left < job->height ? left : job->height;
    for (enum kind kind = KIND_PAIRS; kind < N_KINDS; kind++)
        if (job->acts[kind])
            narrow_of(job->simd, kind)
                ->tile(job->acts[kind] + row * row_bytes(kind, job->w->cols),
                       job->x + row * job->w->cols, m, job->w->cols);
}

static void run_task(void *arg, size_t i)
{
    const struct job *job = arg;
    size_t panel = i % job->n_panels, row = i / job->n_panels * job->rows;
    size_t m = job->m - row < job->rows ? job->m - row : job->rows;
    const struct l2_piece *piece = job->w->pieces;
    for (; panel >= l2_piece_panels(piece); piece++)
        panel -= l2_piece_panels(piece);
    struct l2_panel p = l2_piece_panel(job->w, piece, panel);
    float *y = job->y + row * job->w->rows + piece->first + panel * L2_PANEL;
    enum kind kind = kind_of(job->w, piece);
    if (kind == KIND_F32) {
        job->simd->panel(y, job->w->rows, job->x + row * job->w->cols, m, &p);
    } else {
        struct l2_tiles t = tiles_of(job, kind, row, m);
        narrow_of(job->simd, kind)->panel(y, job->w->rows, &t, &p);
    }
}

/* Tiles of about equal height, no higher than all kernels in use like. */
static size_t tile_height(const struct job *job)
{
    size_t most = L2_NARROW_MAX;
    for (enum kind kind = KIND_PAIRS; kind < N_KINDS; kind++)
        if (job->acts[kind] && narrow_of(job->simd, kind)->height < most)
            most = narrow_of(job->simd, kind)->height;
    size_t n = (job->m + most - 1) / most;
    return (job->m + n - 1) / n;
}

void l2_linear_run(const struct l2_simd *simd, struct l2_pool *pool, float *y, const float *x,
                   size_t m, const struct l2_weight *w, void *scratch)
{
    struct job job = {.simd = simd, .w = w, .y = y, .x = x, .m = m, .rows = m};
    if (m == 0 || w->rows == 0)
        return;
    char *acts = scratch;
    for (enum kind kind = KIND_PAIRS; kind < N_KINDS; kind++)
        if (uses(w, kind)) {
            job.acts[kind] = acts;
            acts += acts_bytes(w, kind, m);
        }
    job.height = tile_height(&job);
    for (size_t i = 0; i < w->n_pieces; i++)
        job.n_panels += l2_piece_panels(&w->pieces[i]);
    size_t wanted = (size_t)l2_pool_threads(pool) * TASKS_PER_THREAD;
    if (m * w->rows * w->cols < ALONE) {
        pool = NULL;
    } else if (job.n_panels < wanted && m > MIN_ROWS) {
        size_t cuts = (wanted + job.n_panels - 1) / job.n_panels;
        job.rows = (m + cuts - 1) / cuts;
        if (job.rows < MIN_ROWS)
            job.rows = MIN_ROWS;
        job.rows = (job.rows + job.height - 1) / job.height * job.height;
    }
    if (l2_linear_scratch(w, m) > 0)
        l2_pool_run(m * w->cols < ALONE ? NULL : pool, narrow_tile, &job,
                    (m + job.height - 1) / job.height);
    l2_pool_run(pool, run_task, &job, (m + job.rows - 1) / job.rows * job.n_panels);
}
