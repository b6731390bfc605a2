/* make bench: measures the suite's hot paths, interleaved with probes of the machine, in several
 * rounds, and prints a table on stderr and JSON lines on stdout. Figures are medians of per-round
 * ratios, since machines are shared and noisy. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

#define MAX_ROUNDS 100

bool bench_wants(const struct bench_list *l, const char *name)
{
    return !l->only || strstr(name, l->only);
}

int bench_add(struct bench_list *l, const struct bench_case *c, struct l2_err *err)
{
    if (!bench_wants(l, c->name)) {
        c->release(c->state);
        return L2_OK;
    }
    struct bench_case *v = realloc(l->v, (l->n + 1) * sizeof *v);
    if (!v) {
        c->release(c->state);
        return l2_err_memory(err, (l->n + 1) * sizeof *v);
    }
    l->v = v;
    l->v[l->n++] = *c;
    return L2_OK;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Per round: the case's rate, and its ratios to the probes made just before it. */
static int measure(struct bench_case *c, struct l2_pool *pool, int n_rounds, struct l2_err *err)
{
    double rate[MAX_ROUNDS], of_s[MAX_ROUNDS], of_m[MAX_ROUNDS], probe_s[MAX_ROUNDS],
        probe_m[MAX_ROUNDS];
    struct bench_sample s = {0};
    struct rusage usage;
    for (int i = 0; i < n_rounds; i++) {
        probe_s[i] = bench_probe_sgemm(l2_pool_threads(pool));
        probe_m[i] = bench_probe_memory(pool);
        int r = c->run(c->state, &s, err);
        if (r != L2_OK)
            return r;
        rate[i] = s.work / s.seconds;
        of_s[i] = s.flops / s.seconds / probe_s[i];
        of_m[i] = s.bytes / s.seconds / probe_m[i];
    }
    getrusage(RUSAGE_SELF, &usage);
    double r = median(rate, n_rounds), fs = median(of_s, n_rounds), fm = median(of_m, n_rounds);
    fprintf(stderr, "%-34s %12.1f %-9s", c->name, r, c->unit);
    if (s.flops > 0)
        fprintf(stderr, " %6.3f of S", fs);
    if (s.bytes > 0)
        fprintf(stderr, " %6.3f of M", fm);
    if (s.held > 0)
        fprintf(stderr, " %6.3f GB", s.held / 1e9);
    fprintf(stderr, "\n");
    printf("{\"case\":\"%s\",\"rate\":%.6g,\"unit\":\"%s\",\"of_s\":%.4g,\"of_m\":%.4g,"
           "\"s_flops\":%.4g,\"m_bytes\":%.4g,\"rounds\":%d,\"threads\":%d,\"held_mb\":%.0f,"
           "\"peak_rss_mb\":%ld}\n",
           c->name, r, c->unit, fs, fm, median(probe_s, n_rounds), median(probe_m, n_rounds),
           n_rounds, l2_pool_threads(pool), s.held / 1e6, usage.ru_maxrss / 1024);
    fflush(stdout);
    return L2_OK;
}

static int fail(const struct l2_err *err)
{
    char text[1024];
    l2_err_format(err, text, sizeof text);
    fprintf(stderr, "bench: %s\n", text);
    return 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench [-r rounds] [-j threads] [-o name-part] [-x text-file]\n"
                    "             [-z vocabulary] [shape:type]...\n"
                    "shapes: 15m 110m 1b 7b; types: f32 f16 bf16 q8_0 q8_k q4_k q6_k; default "
                    "15m:f32 110m:f32 110m:bf16\n");
    return 2;
}

/* One case after the other, so that only one model is in memory at a time. */
static int run_list(struct bench_list *l, int n_rounds, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < l->n; i++) {
        if (r == L2_OK)
            r = measure(&l->v[i], l->pool, n_rounds, err);
        l->v[i].release(l->v[i].state);
    }
    l->n = 0;
    return r;
}

static int run_model(struct bench_list *l, const char *arg, int n_rounds, struct l2_err *err)
{
    char shape[32];
    const char *colon = strchr(arg, ':');
    if (!colon || (size_t)(colon - arg) >= sizeof shape)
        return l2_err_set(err, L2_ARGUMENT, "want shape:type, got '%s'", arg);
    memcpy(shape, arg, (size_t)(colon - arg));
    shape[colon - arg] = '\0';
    int r = bench_add_model(l, shape, colon + 1, err);
    return r == L2_OK ? run_list(l, n_rounds, err) : r;
}

/* One after the other: a shape's parameters and moments are large. */
static int run_training(struct bench_list *l, int n_rounds, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; bench_training(i) && r == L2_OK; i++) {
        r = bench_add_training(l, bench_training(i), err);
        if (r == L2_OK)
            r = run_list(l, n_rounds, err);
    }
    return r;
}

/* One after the other, likewise. */
static int run_heads(struct bench_list *l, int n_rounds, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; bench_heads(i) && r == L2_OK; i++) {
        r = bench_add_heads(l, i, err);
        if (r == L2_OK)
            r = run_list(l, n_rounds, err);
    }
    return r;
}

int main(int argc, char **argv)
{
    static char *const defaults[] = {"15m:f32", "110m:f32", "110m:bf16", NULL};
    struct bench_list list = {0};
    struct l2_err err;
    int n_rounds = 5, n_threads = l2_pool_default_threads(), c, r;
    while ((c = getopt(argc, argv, "r:j:o:x:z:")) != -1) {
        switch (c) {
        case 'r':
            n_rounds = (int)strtol(optarg, NULL, 10);
            break;
        case 'j':
            n_threads = (int)strtol(optarg, NULL, 10);
            break;
        case 'o':
            list.only = optarg;
            break;
        case 'x':
            list.text = optarg;
            break;
        case 'z':
            list.vocab = optarg;
            break;
        default:
            return usage();
        }
    }
    if (n_rounds < 1 || n_rounds > MAX_ROUNDS || n_threads < 1)
        return usage();
    if (l2_pool_new(&list.pool, n_threads, &err) != L2_OK)
        return fail(&err);
    r = bench_add_streams(&list, &err);
    if (r == L2_OK)
        r = bench_add_tokenizer(&list, &err);
    if (r == L2_OK)
        r = run_list(&list, n_rounds, &err);
    if (r == L2_OK)
        r = run_training(&list, n_rounds, &err);
    if (r == L2_OK)
        r = run_heads(&list, n_rounds, &err);
    for (char *const *m = argv[optind] ? argv + optind : defaults; *m && r == L2_OK; m++)
        r = run_model(&list, *m, n_rounds, &err);
    free(list.v);
    l2_pool_free(list.pool);
    return r == L2_OK ? 0 : fail(&err);
}
