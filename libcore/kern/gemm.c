/* Matrix products of training, cut into tiles for the pool. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/gemm.h"

#include <cblas.h>
#include "kern/blas.h"
#include "kern/gemm_bf16.h"

/* Rows and columns of a tile of C at most: OpenBLAS packs its factors anew for each. */
#define TILE 512
/* A product is cut into so many tiles at least, where they are not smaller than MIN_TILE. */
#define MIN_TILES 4
#define MIN_TILE  96

struct grid {
    size_t rows, cols;     /* of a tile */
    size_t n_rows, n_cols; /* tiles */
};

struct run {
    const struct l2_gemm *jobs;
    size_t n_jobs;
    bool bf16;
};

static size_t cut(size_t n, size_t parts)
{
    return ((n + parts - 1) / parts + 15) / 16 * 16;
}

static struct grid tiles(const struct l2_gemm *g)
{
    size_t pm = (g->m + TILE - 1) / TILE, pn = (g->n + TILE - 1) / TILE;
    while (pm * pn < MIN_TILES && (g->m / pm >= 2 * MIN_TILE || g->n / pn >= 2 * MIN_TILE)) {
        if (g->m / pm > g->n / pn)
            pm++;
        else
            pn++;
    }
    struct grid out = {.rows = cut(g->m, pm), .cols = cut(g->n, pn)};
    out.n_rows = (g->m + out.rows - 1) / out.rows;
    out.n_cols = (g->n + out.cols - 1) / out.cols;
    return out;
}

/* The part of a product that makes rows [row, ...) and columns [col, ...) of C. */
static struct l2_gemm part(const struct l2_gemm *g, const struct grid *grid, size_t tile)
{
    struct l2_gemm t = *g;
    size_t row = tile / grid->n_cols * grid->rows, col = tile % grid->n_cols * grid->cols;
    t.m = g->m - row < grid->rows ? g->m - row : grid->rows;
    t.n = g->n - col < grid->cols ? g->n - col : grid->cols;
    t.a += g->op == L2_GEMM_TN ? row : row * g->lda;
    t.b += g->op == L2_GEMM_NT ? col * g->ldb : col;
    t.c += row * g->ldc + col;
    return t;
}

static void blas(const struct l2_gemm *g)
{
    cblas_sgemm(CblasRowMajor, g->op == L2_GEMM_TN ? CblasTrans : CblasNoTrans,
                g->op == L2_GEMM_NT ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1,
                g->a, (int)g->lda, g->b, (int)g->ldb, g->add ? 1 : 0, g->c, (int)g->ldc);
}

static void run_tile(void *arg, size_t i)
{
    const struct run *run = arg;
    const struct l2_gemm *g = run->jobs;
    struct grid grid = tiles(g);
    while (i >= grid.n_rows * grid.n_cols) {
        i -= grid.n_rows * grid.n_cols;
        grid = tiles(++g);
    }
    struct l2_gemm t = part(g, &grid, i);
    if (run->bf16)
        l2_gemm_bf16(&t);
    else
        blas(&t);
}

void l2_gemm_run(struct l2_pool *pool, const struct l2_gemm *jobs, size_t n_jobs, bool bf16)
{
    struct run run = {jobs, n_jobs, bf16};
    size_t n = 0;
    for (size_t i = 0; i < n_jobs; i++) {
        struct grid grid = tiles(&jobs[i]);
        n += grid.n_rows * grid.n_cols;
    }
    l2_blas_one_thread();
    l2_pool_run(pool, run_tile, &run, n);
}
