/* Reward against N: order statistics of subsets, summed over records. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZES 96 /* of N: two to each power of two, and the largest one */

/* Means over records so far, and the sum of squares of max about its mean (Welford). */
struct sums {
    uint64_t records;
    double max, max_squares, median, mean;
};

/* The completions of one model and temperature. */
struct group {
    char *model; /* owned */
    bool has_temperature;
    double temperature;
    size_t most;                 /* the largest number of completions of a record */
    struct sums sums[MAX_SIZES]; /* of N = size_at(i) */
    struct sums whole;           /* of N = most */
    double *values;              /* of the record that is being added, in ascending order; owned */
    size_t n, cap;
};

struct l2_curve {
    struct group *groups;
    size_t n;
    double *ln_factorial; /* (n_factorials) */
    size_t n_factorials;
};

int l2_curve_new(struct l2_curve **out, struct l2_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? L2_OK : l2_err_memory(err, sizeof **out);
}

void l2_curve_free(struct l2_curve *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        free(c->groups[i].model);
        free(c->groups[i].values);
    }
    free(c->groups);
    free(c->ln_factorial);
    free(c);
}

/* 1, 2, 3, 4, 6, 8, 12, 16, ... */
static size_t size_at(size_t i)
{
    if (i == 0)
        return 1;
    return (i % 2 == 1 ? (size_t)2 : (size_t)3) << (i - 1) / 2;
}

double l2_expected_max(const double *ascending, size_t k, size_t n)
{
    double sum = 0, p = (double)n / (double)k; /* that the largest of n is number i of k: from k
                                                  down C(i - 1, n - 1) / C(k, n) */
    for (size_t i = k; i >= n; i--) {
        sum += p * ascending[i - 1];
        if (i > n)
            p *= (double)(i - n) / (double)(i - 1);
    }
    return sum;
}

static double ln_choose(const double *ln_factorial, size_t n, size_t k)
{
    return ln_factorial[n] - ln_factorial[k] - ln_factorial[n - k];
}

/* Of number m of n in ascending order, m from 1. */
static double expected_place(const double *ascending, size_t k, size_t n, size_t m,
                             const double *ln_factorial)
{
    double sum = 0, weights = 0; /* these sum to 1 but for rounding */
    for (size_t i = m; i + (n - m) <= k; i++) {
        double p = exp(ln_choose(ln_factorial, i - 1, m - 1) +
                       ln_choose(ln_factorial, k - i, n - m) - ln_choose(ln_factorial, k, n));
        sum += p * ascending[i - 1];
        weights += p;
    }
    return sum / weights;
}

double l2_expected_median(const double *ascending, size_t k, size_t n, const double *ln_factorial)
{
    double low = expected_place(ascending, k, n, (n + 1) / 2, ln_factorial);
    return n % 2 == 1 ? low : (low + expected_place(ascending, k, n, n / 2 + 1, ln_factorial)) / 2;
}

static bool same_group(const struct group *g, const struct l2_gen *gen)
{
    return g->has_temperature == gen->has_temperature &&
           (!g->has_temperature || g->temperature == gen->temperature) &&
           strlen(g->model) == gen->model.n &&
           (gen->model.n == 0 || memcmp(g->model, gen->model.s, gen->model.n) == 0);
}

/* The group of completions made so, a new one where there is none; NULL: out of memory. */
static struct group *find_group(struct l2_curve *c, const struct l2_gen *gen, struct l2_err *err)
{
    struct group *g;
    for (size_t i = 0; i < c->n; i++)
        if (same_group(&c->groups[i], gen))
            return &c->groups[i];
    g = realloc(c->groups, (c->n + 1) * sizeof *g);
    if (!g) {
        (void)l2_err_memory(err, (c->n + 1) * sizeof *g);
        return NULL;
    }
    c->groups = g;
    g += c->n;
    memset(g, 0, sizeof *g);
    g->model = calloc(gen->model.n + 1, 1);
    if (!g->model) {
        (void)l2_err_memory(err, gen->model.n + 1);
        return NULL;
    }
    if (gen->model.n > 0)
        memcpy(g->model, gen->model.s, gen->model.n);
    g->has_temperature = gen->has_temperature;
    g->temperature = gen->temperature;
    c->n++;
    return g;
}

static int add_value(struct group *g, double value, struct l2_err *err)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        double *v = realloc(g->values, cap * sizeof *v);
        if (!v)
            return l2_err_memory(err, cap * sizeof *v);
        g->values = v;
        g->cap = cap;
    }
    g->values[g->n++] = value;
    return L2_OK;
}

static int extend_factorials(struct l2_curve *c, size_t k, struct l2_err *err)
{
    double *v;
    if (k < c->n_factorials)
        return L2_OK;
    v = realloc(c->ln_factorial, (k + 1) * sizeof *v);
    if (!v)
        return l2_err_memory(err, (k + 1) * sizeof *v);
    for (size_t i = c->n_factorials; i <= k; i++)
        v[i] = i == 0 ? 0 : v[i - 1] + log((double)i);
    c->ln_factorial = v;
    c->n_factorials = k + 1;
    return L2_OK;
}

static int ascending(const void *pa, const void *pb)
{
    const double *a = pa, *b = pb;
    return *a < *b ? -1 : *a > *b;
}

static void add_point(struct l2_curve *c, const struct group *g, double mean, size_t n,
                      struct sums *s)
{
    double max = l2_expected_max(g->values, g->n, n), before = max - s->max;
    double count = (double)++s->records;
    s->max += before / count;
    s->max_squares += before * (max - s->max);
    s->median += (l2_expected_median(g->values, g->n, n, c->ln_factorial) - s->median) / count;
    s->mean += (mean - s->mean) / count;
}

/* The values that were collected are all of one record. */
static int add_group(struct l2_curve *c, struct group *g, struct l2_err *err)
{
    double mean = 0;
    int rc = extend_factorials(c, g->n, err);
    if (rc < 0)
        return rc;
    qsort(g->values, g->n, sizeof *g->values, ascending);
    for (size_t i = 0; i < g->n; i++)
        mean += g->values[i] / (double)g->n;
    if (g->n > g->most) {
        g->most = g->n;
        g->whole = (struct sums){0};
    }
    for (size_t i = 0; size_at(i) <= g->n; i++)
        add_point(c, g, mean, size_at(i), &g->sums[i]);
    if (g->n == g->most)
        add_point(c, g, mean, g->n, &g->whole);
    g->n = 0;
    return L2_OK;
}

int l2_curve_add(struct l2_curve *c, const struct l2_record *r, const struct l2_verdict *verdicts,
                 struct l2_err *err)
{
    int rc = L2_OK;
    for (size_t i = 0; i < c->n; i++)
        c->groups[i].n = 0;
    for (size_t i = 0; i < r->n_completions && rc == L2_OK; i++) {
        struct group *g;
        if (verdicts[i].fate == L2_FATE_UNSCORED)
            continue;
        g = find_group(c, &r->completions[i].gen, err);
        rc = g ? add_value(g, verdicts[i].value, err) : L2_MEMORY;
    }
    for (size_t i = 0; i < c->n && rc == L2_OK; i++)
        if (c->groups[i].n > 0)
            rc = add_group(c, &c->groups[i], err);
    return rc;
}

static struct l2_curve_point point_of(const struct group *g, size_t n, const struct sums *s)
{
    double count = (double)s->records;
    return (struct l2_curve_point){
        .model = g->model,
        .has_temperature = g->has_temperature,
        .temperature = g->temperature,
        .n = n,
        .records = s->records,
        .max = s->max,
        .max_se = count > 1 ? sqrt(s->max_squares / (count - 1) / count) : 0,
        .median = s->median,
        .mean = s->mean,
    };
}

int l2_curve_points(struct l2_curve *c,
                    int (*put)(void *arg, const struct l2_curve_point *p, struct l2_err *err),
                    void *arg, struct l2_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct group *g = &c->groups[i];
        size_t last = 0;
        for (size_t j = 0; size_at(j) <= g->most; j++) {
            struct l2_curve_point p = point_of(g, size_at(j), &g->sums[j]);
            int rc = put(arg, &p, err);
            if (rc < 0)
                return rc;
            last = size_at(j);
        }
        if (last != g->most) {
            struct l2_curve_point p = point_of(g, g->most, &g->whole);
            int rc = put(arg, &p, err);
            if (rc < 0)
                return rc;
        }
    }
    return L2_OK;
}
