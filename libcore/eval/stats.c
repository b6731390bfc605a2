/* Intervals and significance. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>

#include "util/philox.h"

struct l2_interval l2_wilson(double successes, double n, double z)
{
    if (!(n > 0))
        return (struct l2_interval){NAN, NAN};
    double p = successes / n, scale = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (struct l2_interval){fmax(0, middle - half), fmin(1, middle + half)};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t n, double share)
{
    double at = share * (double)(n - 1);
    size_t i = (size_t)at;
    double rest = at - (double)i;
    return i + 1 < n ? sorted[i] + rest * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

int l2_bootstrap(l2_statistic *f, void *arg, size_t n, uint32_t rounds, uint64_t seed, double level,
                 struct l2_interval *out, struct l2_err *err)
{
    struct l2_philox_key key = l2_philox_key_of(seed);
    uint32_t *chosen = calloc(n > 0 ? n : 1, sizeof *chosen);
    double *values = calloc(rounds > 0 ? rounds : 1, sizeof *values);
    size_t n_values = 0;
    int r = L2_OK;
    *out = (struct l2_interval){NAN, NAN};
    if (!chosen || !values) {
        r = l2_err_memory(err, n * sizeof *chosen + rounds * sizeof *values);
        goto out;
    }
    for (uint32_t k = 0; k < rounds && n > 0; k++) {
        for (size_t i = 0; i < n; i++)
            chosen[i] = (uint32_t)(l2_philox_uniform(key, k, i) * (double)n);
        double v = f(arg, chosen, n);
        if (isfinite(v))
            values[n_values++] = v;
    }
    if (n_values > 0) {
        qsort(values, n_values, sizeof *values, ascending);
        out->low = quantile(values, n_values, (1 - level) / 2);
        out->high = quantile(values, n_values, (1 + level) / 2);
    }
out:
    free(chosen);
    free(values);
    return r;
}

double l2_subset_z(double mean, size_t n, double mean_all, double deviation, size_t n_all)
{
    if (n == 0 || n >= n_all || !(deviation > 0))
        return NAN;
    double left = (double)(n_all - n) / (double)(n_all - 1);
    return (mean - mean_all) / (deviation * sqrt(left / (double)n));
}
