/* The two probes: what the machine's arithmetic and memory give in this very minute. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "kern/aligned.h"

#define GEMM_SIZE     1024
#define PROBE_SECONDS 0.1
#define MEMORY_BYTES  ((size_t)512 << 20) /* far beyond any last-level cache share */

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_probe_sgemm(int n_threads)
{
    const size_t n = GEMM_SIZE;
    float *a = malloc(3 * n * n * sizeof *a);
    double best = 0, begin = bench_now();
    if (!a)
        return 0;
    for (size_t i = 0; i < 3 * n * n; i++)
        a[i] = (float)(i % 13) * 0.01f;
    openblas_set_num_threads(n_threads);
    do {
        double t = bench_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)n, (int)n, 1, a, (int)n,
                    a + n * n, (int)n, 0, a + 2 * n * n, (int)n);
        double rate = 2.0 * (double)n * (double)n * (double)n / (bench_now() - t);
        if (rate > best)
            best = rate;
    } while (bench_now() - begin < PROBE_SECONDS);
    openblas_set_num_threads(1);
    free(a);
    return best;
}

/* Reads a slice by n_streams forward streams; the sum keeps the compiler honest. */
struct reading {
    const uint64_t *data;
    size_t n;         /* words in all */
    size_t n_slices;  /* one a thread */
    size_t n_streams; /* in each slice */
    bool ahead;       /* asks for what comes, or leaves that to the processor */
    uint64_t sums[64];
};

static void read_slice(void *arg, size_t slice)
{
    struct reading *r = arg;
    size_t per_slice = r->n / r->n_slices, per_stream = per_slice / r->n_streams;
    const uint64_t *base = r->data + slice * per_slice;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= per_stream; i += 8) {
        for (size_t s = 0; s < r->n_streams; s++) {
            const uint64_t *p = base + s * per_stream + i;
            if (r->ahead)
                __builtin_prefetch(p + 256);
            for (size_t j = 0; j < 8; j++)
                sum[j] += p[j];
        }
    }
    for (size_t j = 0; j < 8; j++)
        r->sums[slice % 64] += sum[j];
}

double bench_probe_memory(struct l2_pool *pool)
{
    static const size_t streams[] = {1, 2, 4};
    struct reading r = {.n = MEMORY_BYTES / sizeof(uint64_t),
                        .n_slices = (size_t)l2_pool_threads(pool)};
    struct l2_err err;
    uint64_t *data = l2_aligned_alloc(MEMORY_BYTES, 1, &err); /* in huge pages, as weights are */
    double best = 0;
    if (!data)
        return 0;
    memset(data, 1, MEMORY_BYTES);
    r.data = data;
    for (size_t i = 0; i < 2 * sizeof streams / sizeof *streams; i++) {
        r.n_streams = streams[i / 2];
        r.ahead = i % 2;
        double t = bench_now();
        l2_pool_run(pool, read_slice, &r, r.n_slices);
        double rate = (double)MEMORY_BYTES / (bench_now() - t);
        if (rate > best)
            best = rate;
    }
    free(data);
    return best;
}
