/* Unit tests of kern/math: error against the C library in higher precision, limits, and equal bits
 * of the scalar and all vector forms. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/math.h"
#include "kern/simd.h"

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* |got - want| in units of the last place of want. */
static double ulps32(float got, double want)
{
    float w = (float)want;
    float ulp = nextafterf(fabsf(w), INFINITY) - fabsf(w);
    return fabs(got - want) / ulp;
}

static double ulps64(double got, long double want)
{
    double w = (double)want;
    double ulp = nextafter(fabs(w), INFINITY) - fabs(w);
    return (double)(fabsl(got - want) / ulp);
}

static void test_expf_error(void **state)
{
    double worst = 0;
    (void)state;
    for (uint32_t bits = 0; bits < 0xff800000u; bits += 1009) { /* all signs and exponents */
        float x = float_of(bits);
        if (!(x > -87.3f && x < 88.7f))
            continue;
        double e = ulps32(l2_expf(x), exp(x));
        worst = e > worst ? e : worst;
    }
    print_message("# l2_expf: at most %.3f ulp\n", worst);
    assert_true(worst < 2);
}

static void test_expf_limits(void **state)
{
    (void)state;
    assert_true(l2_expf(0) == 1 && l2_expf(-0.0f) == 1);
    assert_true(l2_expf(-87.34f) == 0 && l2_expf(-INFINITY) == 0 && l2_expf(-3e38f) == 0);
    assert_true(l2_expf(88.73f) == INFINITY && l2_expf(INFINITY) == INFINITY);
    assert_true(isnan(l2_expf(NAN)));
    assert_true(l2_expf(88.72f) < INFINITY && l2_expf(-87.33f) >= 0x1p-126f);
}

/* Bits of one by one and of rows with every set of kernels, tails of all lengths included. */
static void test_expf_row(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[301], one[301], row[301];
    (void)state;
    for (int i = 0; i < 301; i++)
        x[i] = (float)(i - 150) * 0.6180339f * (i % 7 == 0 ? 0.01f : 1);
    x[3] = INFINITY, x[40] = -INFINITY, x[77] = NAN, x[100] = 1e30f;
    for (float shift = -3.5f; shift < 4; shift += 1.75f) {
        for (int i = 0; i < 301; i++)
            one[i] = l2_expf(x[i] - shift);
        assert_true(isnan(one[77]));
        one[77] = 0; /* NaNs may differ in sign and payload */
        for (size_t s = 0; s < n_sets; s++)
            for (size_t n = 1; n <= 301; n += n < 70 ? 1 : 77) {
                memset(row, 0, sizeof row);
                sets[s]->expf_row(row, x, n, shift);
                if (n > 77) {
                    assert_true(isnan(row[77]));
                    row[77] = 0;
                }
                assert_memory_equal(row, one, n * sizeof *row);
                assert_true(n == 301 || row[n] == 0);
            }
    }
    memcpy(row, x, sizeof row);
    l2_expf_row(row, row, 77, 1.75f); /* in place */
    for (int i = 0; i < 77; i++)
        assert_true(row[i] == l2_expf(x[i] - 1.75f));
}

static void test_exp(void **state)
{
    double worst = 0;
    (void)state;
    for (double x = -708; x < 709.7; x += 0.00313771) {
        double e = ulps64(l2_exp(x), expl(x));
        worst = e > worst ? e : worst;
    }
    for (double x = 1e-18; x < 1; x *= 1.0371) {
        double e = fmax(ulps64(l2_exp(x), expl(x)), ulps64(l2_exp(-x), expl(-x)));
        worst = e > worst ? e : worst;
    }
    print_message("# l2_exp: at most %.3f ulp\n", worst);
    assert_true(worst < 2);
    assert_true(l2_exp(0) == 1 && l2_exp(-INFINITY) == 0 && l2_exp(INFINITY) == INFINITY);
    assert_true(l2_exp(709.78) < INFINITY && l2_exp(709.79) == INFINITY && l2_exp(-746) == 0);
    assert_true(fabs(l2_exp(-740) - exp(-740)) <= 2 * 0x1p-1074); /* subnormal */
    assert_true(isnan(l2_exp(NAN)));
}

static void test_log(void **state)
{
    double worst = 0;
    (void)state;
    for (double x = 1e-320; x < 1e308; x *= 1.00171) {
        double e = ulps64(l2_log(x), logl(x));
        worst = e > worst ? e : worst;
    }
    for (double d = 0x1p-52; d < 0.5; d *= 1.0113) { /* near 1, where the result is near 0 */
        double e = fmax(ulps64(l2_log(1 + d), logl(1 + d)), ulps64(l2_log(1 - d), logl(1 - d)));
        worst = e > worst ? e : worst;
    }
    print_message("# l2_log: at most %.3f ulp\n", worst);
    assert_true(worst < 2);
    assert_true(l2_log(1) == 0 && l2_log(0) == -INFINITY && l2_log(INFINITY) == INFINITY);
    assert_true(isnan(l2_log(-1)) && isnan(l2_log(NAN)));
}

static void check_sincos(double x, double *worst)
{
    double s, c;
    l2_sincos(x, &s, &c);
    double e = fmax(ulps64(s, sinl(x)), ulps64(c, cosl(x)));
    *worst = e > *worst ? e : *worst;
}

static void test_sincos(void **state)
{
    double worst = 0, s, c;
    (void)state;
    for (double x = -100; x < 100; x += 0.00171)
        check_sincos(x, &worst);
    for (double x = 1e-10; x < 0x1p30; x *= 1.00037) {
        check_sincos(x, &worst);
        check_sincos(-x, &worst);
    }
    for (long n = 1; n < 680000000; n = n * 5 / 4 + 1) /* next to zeros of one of them */
        check_sincos((double)(n * 1.57079632679489661923132169163975144L), &worst);
    print_message("# l2_sincos: at most %.3f ulp\n", worst);
    assert_true(worst < 2);
    l2_sincos(0, &s, &c);
    assert_true(s == 0 && c == 1);
    l2_sincos(0x1p30, &s, &c);
    assert_true(isnan(s) && isnan(c));
    l2_sincos(NAN, &s, &c);
    assert_true(isnan(s) && isnan(c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expf_error), cmocka_unit_test(test_expf_limits),
        cmocka_unit_test(test_expf_row),   cmocka_unit_test(test_exp),
        cmocka_unit_test(test_log),        cmocka_unit_test(test_sincos),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
