/* Metrics of choices by log-likelihood, and means with their standard errors. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/metrics.h"

#include <math.h>

const char *const l2_choice_metric_names[L2_N_CHOICE_METRICS + 1] = {
    "acc", "acc_norm", "acc_bytes", "exact_match", "mc2", "brier_score", NULL};

struct l2_mean l2_mean_of(const double *v, size_t n)
{
    struct l2_mean m = {.value = NAN, .error = NAN, .n = n};
    double sum = 0, squares = 0;
    if (n == 0)
        return m;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    m.value = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - m.value) * (v[i] - m.value);
    if (n > 1)
        m.error = sqrt(squares / (double)(n - 1) / (double)n);
    return m;
}

static size_t characters(const struct l2_str *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += ((unsigned char)s->s[i] & 0xc0) != 0x80;
    return n;
}

/* The choice of the largest log-probability, each divided by its length in the unit of metric. */
static size_t best(const struct l2_choice *c, size_t n, enum l2_choice_metric metric)
{
    size_t at = 0;
    double max = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        size_t length = metric == L2_ACC_NORM    ? characters(&c[i].text)
                        : metric == L2_ACC_BYTES ? c[i].text.n
                                                 : 1;
        double v = c[i].logprob / (double)(length > 0 ? length : 1);
        if (v > max) {
            max = v;
            at = i;
        }
    }
    return at;
}

void l2_choice_metrics(const struct l2_choice *c, size_t n, double out[L2_N_CHOICE_METRICS])
{
    double max = -INFINITY, all = 0, right = 0, brier = 0, n_right = 0;
    bool greedy = false;
    out[L2_ACC] = c[best(c, n, L2_ACC)].right;
    out[L2_ACC_NORM] = c[best(c, n, L2_ACC_NORM)].right;
    out[L2_ACC_BYTES] = c[best(c, n, L2_ACC_BYTES)].right;
    for (size_t i = 0; i < n; i++) {
        greedy = greedy || (c[i].right && c[i].greedy);
        max = c[i].logprob > max ? c[i].logprob : max;
        n_right += c[i].right;
    }
    for (size_t i = 0; i < n; i++)
        all += exp(c[i].logprob - max);
    for (size_t i = 0; i < n; i++) {
        double share = exp(c[i].logprob - max) / all;
        double want = c[i].right ? 1 / n_right : 0;
        right += c[i].right ? share : 0;
        brier += (share - want) * (share - want);
    }
    out[L2_CHOICE_GREEDY] = greedy;
    out[L2_MC2] = right;
    out[L2_BRIER] = brier;
}
