/* Unit tests of the samplers: draws against exact distributions computed here in the plainest way.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample/sampler.h"
#include "util/philox.h"

#define N     48
#define DRAWS 60000

struct token {
    double logit, p;
    uint32_t id;
};

static int by_likelihood(const void *pa, const void *pb)
{
    const struct token *a = pa, *b = pb;
    if (a->logit != b->logit)
        return a->logit > b->logit ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_id(const void *pa, const void *pb)
{
    const struct token *a = pa, *b = pb;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void normalise(struct token *t, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += t[i].p;
    for (size_t i = 0; i < n; i++)
        t[i].p /= sum;
}

/* The distribution that o draws from, by sorting; p[id] for all ids. */
static void exact(const struct l2_sampler_opts *o, const float *logits, uint32_t n,
                  const uint32_t *seen, size_t n_seen, double *p)
{
    struct token *t = calloc(n, sizeof *t);
    size_t kept = n, i;
    double sum = 0;
    for (i = 0; i < n; i++)
        t[i] = (struct token){logits[i], 0, (uint32_t)i};
    for (i = 0; i < n_seen; i++) {
        double l = logits[seen[i]];
        t[seen[i]].logit = l > 0 ? l / o->repetition_penalty : l * o->repetition_penalty;
    }
    qsort(t, n, sizeof *t, by_likelihood);
    for (i = 0; i < n; i++)
        t[i].p = exp((t[i].logit - t[0].logit) / o->temperature);
    normalise(t, n);
    if (o->top_k && o->top_k < kept)
        kept = o->top_k;
    normalise(t, kept);
    for (i = 0; i < kept && sum < o->top_p; i++)
        sum += t[i].p;
    if (o->top_p < 1)
        kept = i;
    normalise(t, kept);
    for (i = 0; i < kept && t[i].p >= o->min_p * t[0].p; i++)
        ;
    kept = i;
    normalise(t, kept);
    for (i = kept; i < n; i++)
        t[i].p = 0;
    qsort(t, n, sizeof *t, by_id);
    for (i = 0; i < n; i++)
        p[i] = t[i].p;
    free(t);
}

static struct l2_sampler *make(struct l2_sampler_opts o, uint32_t n)
{
    struct l2_sampler *s;
    struct l2_err err;
    assert_int_equal(l2_sampler_new(&s, &o, n, &err), L2_OK);
    return s;
}

static double uniform(uint64_t i)
{
    return l2_philox_uniform((struct l2_philox_key){{1, 2}}, 7, i);
}

/* Logits with a spread of about 8, and every fourth equal to its neighbour. */
static void make_logits(float *logits, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        logits[i] = (float)(4 * cos(i * 2.399) + 2 * sin(i * 0.7));
    for (uint32_t i = 4; i < n; i += 4)
        logits[i] = logits[i - 1];
}

/* Draws with fixed numbers; Pearson's chi-square must stay below its 99.99% quantile (by Wilson and
 * Hilferty), nothing of probability 0 may come, and the log-probabilities must be the exact ones.
 */
static void check_distribution(struct l2_sampler_opts o, const uint32_t *seen, size_t n_seen)
{
    float logits[N];
    double p[N], model[N], chi = 0, freedom = -1, z = 3.719;
    unsigned count[N] = {0};
    struct l2_sampler_opts neutral = l2_sampler_neutral();
    struct l2_sampler *s = make(o, N);
    struct l2_draw d;
    struct l2_err err;
    make_logits(logits, N);
    exact(&o, logits, N, seen, n_seen, p);
    exact(&neutral, logits, N, NULL, 0, model);
    for (unsigned i = 0; i < DRAWS; i++) {
        assert_int_equal(l2_sampler_draw(s, logits, seen, n_seen, uniform(i), &d, &err), L2_OK);
        assert_true(d.id < N && p[d.id] > 0);
        assert_true(fabs(d.logprob - log(model[d.id])) < 2e-6);
        assert_true(fabs(d.sampled_logprob - log(p[d.id])) < 2e-6);
        count[d.id]++;
    }
    /* cells of few expected draws are taken together */
    double small_p = 0;
    unsigned small_n = 0;
    for (unsigned i = 0; i < N; i++) {
        if (p[i] * DRAWS < 10) {
            small_p += p[i];
            small_n += count[i];
            continue;
        }
        chi += pow(count[i] - p[i] * DRAWS, 2) / (p[i] * DRAWS);
        freedom++;
    }
    if (small_p * DRAWS >= 5) {
        chi += pow(small_n - small_p * DRAWS, 2) / (small_p * DRAWS);
        freedom++;
    }
    if (freedom > 0)
        assert_true(chi < freedom * pow(1 - 2 / (9 * freedom) + z * sqrt(2 / (9 * freedom)), 3));
    l2_sampler_free(s);
}

static void test_distributions(void **state)
{
    static const uint32_t seen[] = {3, 5, 5, 9, 3, 20, 21, 22, 23};
    struct l2_sampler_opts o = l2_sampler_neutral();
    (void)state;
    check_distribution(o, NULL, 0);
    o.temperature = 0.6;
    check_distribution(o, NULL, 0);
    o.temperature = 1.7;
    check_distribution(o, NULL, 0);
    o = l2_sampler_neutral();
    for (o.top_k = 1; o.top_k < N + 3; o.top_k += 5)
        check_distribution(o, NULL, 0);
    o = l2_sampler_neutral();
    for (o.top_p = 0.05; o.top_p < 1; o.top_p += 0.19)
        check_distribution(o, NULL, 0);
    o = l2_sampler_neutral();
    o.min_p = 0.02;
    check_distribution(o, NULL, 0);
    o = l2_sampler_neutral();
    o.repetition_penalty = 1.4;
    check_distribution(o, seen, sizeof seen / sizeof *seen);
    o.temperature = 1.2;
    o.top_k = 20;
    o.top_p = 0.93;
    o.min_p = 0.03;
    check_distribution(o, seen, sizeof seen / sizeof *seen);
}

/* The inverse of the cumulative distribution, at its very steps. */
static void test_inverse(void **state)
{
    float logits[4] = {0, 0, 0, 0};
    static const double u[] = {0, 0.2499999, 0.25, 0.5, 0.7499999, 0.75, 1 - 0x1p-53};
    static const uint32_t id[] = {0, 0, 1, 2, 2, 3, 3};
    struct l2_sampler *s = make(l2_sampler_neutral(), 4);
    struct l2_draw d;
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < sizeof u / sizeof *u; i++) {
        assert_int_equal(l2_sampler_draw(s, logits, NULL, 0, u[i], &d, &err), L2_OK);
        assert_int_equal(d.id, id[i]);
    }
    l2_sampler_free(s);
}

static uint32_t draw_one(struct l2_sampler_opts o, const float *logits, uint32_t n, double u)
{
    struct l2_sampler *s = make(o, n);
    struct l2_draw d;
    struct l2_err err;
    assert_int_equal(l2_sampler_draw(s, logits, NULL, 0, u, &d, &err), L2_OK);
    l2_sampler_free(s);
    return d.id;
}

static void test_greedy(void **state)
{
    float logits[5] = {-1, 3, 3, -0.0f, 0.0f};
    float zeros[2] = {-0.0f, 0.0f};
    struct l2_sampler_opts o = l2_sampler_neutral();
    struct l2_sampler *s;
    struct l2_draw d;
    struct l2_err err;
    static const uint32_t seen[] = {1};
    (void)state;
    o.temperature = 0;
    assert_int_equal(draw_one(o, logits, 5, 0.99), 1);
    assert_int_equal(draw_one(o, zeros, 2, 0.99), 0);
    o.repetition_penalty = 1.5;
    s = make(o, 5);
    assert_int_equal(l2_sampler_draw(s, logits, seen, 1, 0, &d, &err), L2_OK);
    assert_int_equal(d.id, 2);
    assert_true(d.sampled_logprob == 0);
    assert_true(fabs(d.logprob - (3 - log(2 * exp(3) + exp(-1) + 2))) < 1e-6);
    l2_sampler_free(s);
}

/* Of equally likely tokens the lowest ids stay; -0 and 0 are equal; the most likely always stays.
 */
static void test_ties_and_edges(void **state)
{
    float equal[6] = {1, 1, 1, 1, 1, 1};
    float zeros[3] = {-0.0f, 0.0f, -0.0f};
    float steep[4] = {-3e38f, 3e38f, 0, 3e38f};
    struct l2_sampler_opts o = l2_sampler_neutral();
    (void)state;
    o.top_k = 2;
    assert_int_equal(draw_one(o, equal, 6, 0.999), 1);
    assert_int_equal(draw_one(o, zeros, 3, 0.999), 1);
    o.top_k = UINT32_MAX;
    assert_int_equal(draw_one(o, equal, 6, 0.999), 5);
    o = l2_sampler_neutral();
    o.top_p = 0.34;
    assert_int_equal(draw_one(o, equal, 6, 0.999), 2);
    o.top_p = 1e-300;
    assert_int_equal(draw_one(o, equal, 6, 0.999), 0);
    o = l2_sampler_neutral();
    o.min_p = 1;
    assert_int_equal(draw_one(o, steep, 4, 0.4), 1);
    assert_int_equal(draw_one(o, steep, 4, 0.6), 3);
    o = l2_sampler_neutral();
    o.temperature = 1e-300;
    assert_int_equal(draw_one(o, steep, 4, 0.999), 3);
    o.temperature = 1e300;
    assert_int_equal(draw_one(o, steep, 4, 0.1), 0);
}

static void test_not_finite(void **state)
{
    float logits[4] = {0, 1, 2, 3};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const uint32_t seen[] = {2};
    struct l2_sampler_opts o = l2_sampler_neutral();
    struct l2_sampler *s = make(o, 4);
    struct l2_draw d;
    struct l2_err err;
    double lp;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        logits[2] = bad[i];
        assert_int_equal(l2_sampler_draw(s, logits, NULL, 0, 0.5, &d, &err), L2_CORRUPT);
        assert_non_null(strstr(err.text, "token 2"));
        assert_int_equal(l2_logprob(logits, 4, 0, &lp, &err), L2_CORRUPT);
    }
    l2_sampler_free(s);
    o.repetition_penalty = 1e30;
    logits[2] = -1e20f;
    s = make(o, 4);
    assert_int_equal(l2_sampler_draw(s, logits, seen, 1, 0.5, &d, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "penalty"));
    l2_sampler_free(s);
}

static void test_options(void **state)
{
    struct l2_sampler_opts bad[7];
    struct l2_sampler *s;
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < 7; i++)
        bad[i] = l2_sampler_neutral();
    bad[0].temperature = -1;
    bad[1].temperature = NAN;
    bad[2].top_p = 0;
    bad[3].top_p = 1.5;
    bad[4].min_p = -0.1;
    bad[5].repetition_penalty = 0;
    bad[6].repetition_penalty = INFINITY;
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(l2_sampler_new(&s, &bad[i], 4, &err), L2_ARGUMENT);
        assert_null(s);
    }
    assert_true(l2_sampler_is_neutral(&(struct l2_sampler_opts){1, 0, 1, 0, 1}));
    assert_false(l2_sampler_is_neutral(&(struct l2_sampler_opts){0, 0, 1, 0, 1}));
}

/* A draw depends on nothing that was drawn before. */
static void test_no_memory(void **state)
{
    static const uint32_t seen[] = {1, 2, 3};
    struct l2_sampler_opts o = {0.9, 12, 0.95, 0.01, 1.3};
    struct l2_sampler *s = make(o, N), *fresh;
    struct l2_draw a, b;
    struct l2_err err;
    float logits[N];
    (void)state;
    make_logits(logits, N);
    for (unsigned i = 0; i < 200; i++) {
        fresh = make(o, N);
        logits[i % N] += 0.25f;
        assert_int_equal(l2_sampler_draw(s, logits, seen, i % 4, uniform(i), &a, &err), L2_OK);
        assert_int_equal(l2_sampler_draw(fresh, logits, seen, i % 4, uniform(i), &b, &err), L2_OK);
        assert_memory_equal(&a, &b, sizeof a);
        l2_sampler_free(fresh);
    }
    l2_sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions), cmocka_unit_test(test_inverse),
        cmocka_unit_test(test_greedy),        cmocka_unit_test(test_ties_and_edges),
        cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_no_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
