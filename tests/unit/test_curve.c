/* Unit tests of the reward curve: against all subsets, by model and temperature. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/curve.h"

static struct l2_err err;

/* The means over all subsets of n of the k <= 16 values. */
static void by_subsets(const double *ascending, size_t k, size_t n, double *max, double *median)
{
    double count = 0;
    *max = *median = 0;
    for (unsigned set = 0; set < 1u << k; set++) {
        double chosen[16];
        size_t m = 0;
        for (size_t i = 0; i < k; i++)
            if (set >> i & 1)
                chosen[m++] = ascending[i];
        if (m != n)
            continue;
        *max += chosen[n - 1];
        *median += (chosen[(n - 1) / 2] + chosen[n / 2]) / 2;
        count++;
    }
    *max /= count;
    *median /= count;
}

static void test_expectations(void **state)
{
    static const double v[] = {-3, -2.5, -1, -1, 0, 0.25, 1, 2, 2, 5, 8, 13};
    double ln_factorial[13] = {0};
    (void)state;
    for (size_t i = 1; i < 13; i++)
        ln_factorial[i] = ln_factorial[i - 1] + log((double)i);
    for (size_t k = 1; k <= 12; k++)
        for (size_t n = 1; n <= k; n++) {
            double max, median;
            by_subsets(v, k, n, &max, &median);
            assert_true(fabs(l2_expected_max(v, k, n) - max) < 1e-12);
            assert_true(fabs(l2_expected_median(v, k, n, ln_factorial) - median) < 1e-12);
        }
}

static void test_many_samples(void **state)
{
    enum { K = 10000 };
    static double v[K], ln_factorial[K + 1];
    (void)state;
    for (size_t i = 0; i < K; i++)
        v[i] = (double)(i + 1);
    for (size_t i = 1; i <= K; i++)
        ln_factorial[i] = ln_factorial[i - 1] + log((double)i);
    for (size_t n = 1; n <= K; n *= 10) { /* of 1..K: n (K + 1) / (n + 1), and (K + 1) / 2 */
        double want = (double)n * (K + 1) / (double)(n + 1);
        assert_true(fabs(l2_expected_max(v, K, n) / want - 1) < 1e-9);
        assert_true(fabs(l2_expected_median(v, K, n, ln_factorial) / ((K + 1) / 2.0) - 1) < 1e-6);
    }
}

struct points {
    struct l2_curve_point v[64];
    size_t n;
};

static int keep(void *arg, const struct l2_curve_point *p, struct l2_err *e)
{
    struct points *points = arg;
    (void)e;
    points->v[points->n++] = *p;
    return L2_OK;
}

/* A record with n completions of values first, first + 1, ...; the odd ones at temperature. */
static void add(struct l2_curve *c, size_t n, double first, double temperature)
{
    struct l2_verdict verdicts[16];
    struct l2_record r;
    l2_record_init(&r);
    for (size_t i = 0; i < n; i++) {
        struct l2_completion *done = l2_record_add_completion(&r, &err);
        assert_non_null(done);
        verdicts[i] = (struct l2_verdict){.fate = L2_FATE_OUTRANKED, .value = first + (double)i};
        if (i % 2 == 1) {
            done->gen.present = done->gen.has_temperature = true;
            done->gen.temperature = temperature;
            done->gen.model = (struct l2_str){"m", 1};
        }
    }
    verdicts[0].fate = L2_FATE_UNSCORED;
    assert_int_equal(l2_curve_add(c, &r, verdicts, &err), L2_OK);
    l2_record_release(&r);
}

static void test_groups(void **state)
{
    struct l2_curve *c;
    struct points p = {.n = 0};
    (void)state;
    assert_int_equal(l2_curve_new(&c, &err), L2_OK);
    add(c, 11, 0, 0.5); /* at 0.5 1 3 5 7 9, without temperature 2 4 6 8 10 */
    add(c, 5, 2, 0.5);  /* 3 5; 4 6 */
    add(c, 5, 2, 1);    /* at 1 3 5; 4 6 */
    assert_int_equal(l2_curve_points(c, keep, &p, &err), L2_OK);
    assert_int_equal(p.n, 5 + 5 + 2); /* N of 1 2 3 4 5, twice, and 1 2 */
    assert_string_equal(p.v[0].model, "m");
    assert_true(p.v[0].has_temperature && p.v[0].temperature == 0.5);
    assert_int_equal(p.v[0].records, 2);
    assert_string_equal(p.v[5].model, "");
    assert_false(p.v[5].has_temperature);
    assert_int_equal(p.v[5].n, 1);
    assert_int_equal(p.v[5].records, 3);
    assert_true(fabs(p.v[5].mean - 16 / 3.0) < 1e-12);
    assert_true(fabs(p.v[5].max - 16 / 3.0) < 1e-12);
    assert_true(fabs(p.v[5].max_se - 1 / 3.0) < 1e-12); /* of 6, 5 and 5 */
    assert_int_equal(p.v[6].records, 3);
    assert_true(fabs(p.v[6].max - (8 + 6 + 6) / 3.0) < 1e-12);
    assert_int_equal(p.v[9].n, 5);
    assert_int_equal(p.v[9].records, 1);
    assert_true(p.v[9].max == 10 && fabs(p.v[9].median - 6) < 1e-12 && p.v[9].max_se == 0);
    assert_true(p.v[10].temperature == 1 && p.v[11].max == 5);
    l2_curve_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_many_samples),
        cmocka_unit_test(test_groups),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
