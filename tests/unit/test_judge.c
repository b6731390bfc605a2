/* Unit tests of what judgements are worth: constants are from independent calculations in numpy by
 * the definitions (see each test). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/agreement.h"
#include "eval/calibration.h"
#include "eval/selfbleu.h"
#include "eval/winrate.h"

static struct l2_err err;

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-9))
        fail_msg("%.17g is not %.17g", got, want);
}

/* The roots of (p - k/n)^2 = z^2 p (1 - p) / n. */
static void test_wilson(void **state)
{
    static const double v[][4] = {{0, 10, 0, 0.2775327998628892},
                                  {7, 10, 0.3967781474611452, 0.892208732593699},
                                  {36.5, 100, 0.2772627397380464, 0.4627255047778397},
                                  {10, 10, 0.7224672001371111, 1},
                                  {814, 1000, 0.7886979748203992, 0.836898820850672}};
    (void)state;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct l2_interval ci = l2_wilson(v[i][0], v[i][1], L2_Z95);
        near(ci.low, v[i][2]);
        near(ci.high, v[i][3]);
    }
    assert_true(isnan(l2_wilson(0, 0, L2_Z95).low));
}

static double mean_of(void *arg, const uint32_t *chosen, size_t n)
{
    const double *v = arg;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[chosen[i]];
    return sum / (double)n;
}

/* The mean of n values has a deviation of sd / sqrt(n), and its quantiles are nearly normal. */
static void test_bootstrap(void **state)
{
    enum { N = 400 };
    static double v[N];
    double mean = 0, square = 0;
    struct l2_interval ci, again, other;
    (void)state;
    for (size_t i = 0; i < N; i++) {
        v[i] = (double)(i * 7919 % 1000) / 1000;
        mean += v[i] / N;
    }
    for (size_t i = 0; i < N; i++)
        square += (v[i] - mean) * (v[i] - mean) / N;
    double half = L2_Z95 * sqrt(square / N);
    assert_int_equal(l2_bootstrap(mean_of, v, N, 4000, 1, 0.95, &ci, &err), L2_OK);
    assert_true(fabs(ci.low - (mean - half)) < half * 0.08);
    assert_true(fabs(ci.high - (mean + half)) < half * 0.08);
    assert_int_equal(l2_bootstrap(mean_of, v, N, 4000, 1, 0.95, &again, &err), L2_OK);
    assert_memory_equal(&ci, &again, sizeof ci);
    assert_int_equal(l2_bootstrap(mean_of, v, N, 4000, 2, 0.95, &other, &err), L2_OK);
    assert_memory_not_equal(&ci, &other, sizeof ci);
    assert_int_equal(l2_bootstrap(mean_of, v, 0, 10, 2, 0.95, &other, &err), L2_OK);
    assert_true(isnan(other.low) && isnan(other.high));
}

/* The deviation of the means of all 210 subsets of 4 of these values. */
static void test_subset_z(void **state)
{
    static const double v[] = {1, 0, 0, 1, 1, 0, 1, 1, 0, .5};
    double squares = 0;
    int n = 0;
    (void)state;
    for (unsigned set = 0; set < 1024; set++) {
        double sum = 0;
        int size = 0;
        for (int i = 0; i < 10; i++)
            if (set >> i & 1) {
                sum += v[i];
                size++;
            }
        if (size != 4)
            continue;
        squares += (sum / 4 - 0.55) * (sum / 4 - 0.55);
        n++;
    }
    assert_int_equal(n, 210);
    near(l2_subset_z(0.9, 4, 0.55, 0.4716990566028302, 10), 0.35 / sqrt(squares / 210));
    near(l2_subset_z(0.9, 4, 0.55, 0.4716990566028302, 10), 1.817517754113245);
    assert_true(isnan(l2_subset_z(0.9, 10, 0.55, 0.47, 10)));
    assert_true(isnan(l2_subset_z(0.9, 0, 0.55, 0.47, 10)));
    assert_true(isnan(l2_subset_z(1, 4, 1, 0, 10)));
}

/* Krippendorff's example of four observers with missing ratings, by all ordered pairs of ratings;
 * AC1 is 0.77544 in Gwet's Handbook. */
static void test_gwet(void **state)
{
    static const char rows[4][13] = {"123321412...", "1233224125.3", ".3332342251.",
                                     "12332441251."};
    static const double want[L2_N_WEIGHTS][3] = {
        {0.8181818181818182, 0.19032118055555555, 0.775444068126995},
        {0.9393939393939394, 0.5709635416666666, 0.8587391364326116},
        {0.9753787878787878, 0.7137044270833334, 0.9140007235516046}};
    uint32_t counts[12 * 5] = {0}, twice[24];
    struct l2_ratings ratings = {counts, 12, 5};
    (void)state;
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 12; i++)
            if (rows[j][i] != '.')
                counts[i * 5 + rows[j][i] - '1']++;
    for (uint32_t i = 0; i < 24; i++)
        twice[i] = i % 12;
    for (int w = 0; w < L2_N_WEIGHTS; w++) {
        struct l2_agreement a = l2_gwet(&ratings, (enum l2_agreement_weights)w, NULL, 0);
        assert_int_equal(a.items, 11);
        near(a.observed, want[w][0]);
        near(a.chance, want[w][1]);
        near(a.coefficient, want[w][2]);
        a = l2_gwet(&ratings, (enum l2_agreement_weights)w, twice, 24);
        assert_int_equal(a.items, 22);
        near(a.coefficient, want[w][2]);
    }
    memset(counts, 0, sizeof counts);
    counts[0] = counts[6] = 1;
    assert_true(isnan(l2_gwet(&ratings, L2_WEIGHTS_NONE, NULL, 0).coefficient));
}

static void test_wins(void **state)
{
    struct l2_wins w = {0};
    struct l2_win_rates r;
    (void)state;
    for (int i = -3; i <= 3; i++)
        l2_wins_add(&w, i, 0);
    l2_wins_add(&w, 0.5, 0.5);
    l2_wins_add(&w, -0.5, 0.5);
    l2_wins_add(&w, 1, 0.5);
    assert_true(w.wins == 4 && w.ties == 3 && w.losses == 3);
    l2_win_rates(&w, &r);
    near(r.win, 0.4);
    near(r.tie, 0.3);
    near(r.loss, 0.3);
    near(r.rate, 0.55);
    near(r.decided, 4.0 / 7);
    near(r.z, 1 / sqrt(7));
    near(r.decided_ci.low, l2_wilson(4, 7, L2_Z95).low);
    near(r.rate_ci.high, l2_wilson(5.5, 10, L2_Z95).high);
    w = (struct l2_wins){.ties = 2};
    l2_win_rates(&w, &r);
    near(r.rate, 0.5);
    assert_true(isnan(r.decided) && isnan(r.z));
}

/* The constants are of an implementation with a counter of tuples for each n-gram. */
static void test_self_bleu(void **state)
{
    uint64_t v[40][26], x = 1;
    struct l2_tokens_of t[40];
    double got;
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        t[i] = (struct l2_tokens_of){v[i], 6 + 5 * i};
        for (size_t j = 0; j < t[i].n; j++)
            v[i][j] = (i * i * 7 + j * 3 + i * j) % (5 + i);
    }
    assert_int_equal(l2_self_bleu(t, 5, 4, &got, &err), L2_OK);
    near(got, 0.3218527398729045);
    assert_int_equal(l2_self_bleu(t, 5, 2, &got, &err), L2_OK);
    near(got, 0.6343194707561319);
    for (size_t i = 0; i < 40; i++) {
        t[i] = (struct l2_tokens_of){v[i], 3 + i % 11};
        for (size_t j = 0; j < t[i].n; j++) {
            x = (x * 1103515245 + 12345) & 0x7fffffff;
            v[i][j] = (x >> 16) % 6;
        }
    }
    assert_int_equal(l2_self_bleu(t, 40, 4, &got, &err), L2_OK);
    near(got, 0.4845343139413229);
    assert_int_equal(l2_self_bleu(t, 40, 8, &got, &err), L2_OK);
    near(got, 0.15873487113966653);
}

static void test_self_bleu_edges(void **state)
{
    static const uint64_t a[] = {1, 2, 3}, b[] = {4, 5}, c[] = {1, 2, 3, 4, 1, 2};
    static const uint64_t d[] = {7, 8, 9, 10, 11};
    struct l2_tokens_of t[] = {{a, 3}, {b, 2}, {c, 6}};
    struct l2_tokens_of same[] = {{c, 6}, {c, 6}}, none[] = {{c, 6}, {d, 5}};
    struct l2_tokens_of empty[] = {{a, 0}, {b, 0}};
    double got;
    (void)state;
    assert_int_equal(l2_self_bleu(t, 3, 4, &got, &err), L2_OK);
    near(got, 0.2900524447595616);
    assert_int_equal(l2_self_bleu(same, 2, 4, &got, &err), L2_OK);
    near(got, 1);
    assert_int_equal(l2_self_bleu(none, 2, 4, &got, &err), L2_OK);
    near(got, 0);
    assert_int_equal(l2_self_bleu(empty, 2, 4, &got, &err), L2_OK);
    near(got, 0);
    assert_int_equal(l2_self_bleu(t, 1, 4, &got, &err), L2_ARGUMENT);
}

/* numpy: linspace(.5, 1, 6) as edges. */
static void test_calibration(void **state)
{
    static const double d[] = {2.5, -0.3, 0.05, 1.1, -1.7, 0, 4.0, 0.6, -0.2, 3.1};
    static const double s[] = {1, .4, .5, .75, .2, .6, 1, .3, .9, .8};
    static const double want[5][4] = {{4, 0.5341934776520868, 0.425, 0.1375},
                                      {1, 0.6456563062257954, 0.3, 0.6},
                                      {1, 0.7502601055951177, 0.75, 1.1},
                                      {1, 0.8455347349164652, 0.8, 1.7},
                                      {3, 0.9543494516918596, 0.9333333333333332, 3.2}};
    struct l2_calibration_bin bins[5] = {{0}};
    struct l2_calibration c = {.bins = bins, .n_bins = 5};
    (void)state;
    for (size_t i = 0; i < 10; i++)
        l2_calibration_add(&c, d[i], s[i]);
    l2_calibration_finish(&c);
    for (size_t i = 0; i < 5; i++) {
        near((double)bins[i].n, want[i][0]);
        near(bins[i].confidence, want[i][1]);
        near(bins[i].share, want[i][2]);
        near(bins[i].difference, want[i][3]);
    }
    near(c.ece, 0.08912734124213044);
    near(c.mce, 0.3456563062257954);
    near(c.log_loss, 0.5527813877559865);
    struct l2_calibration extreme = {.bins = memset(bins, 0, sizeof bins), .n_bins = 5};
    l2_calibration_add(&extreme, 1e300, 1);
    l2_calibration_add(&extreme, -1e300, 0);
    l2_calibration_finish(&extreme);
    near(extreme.log_loss, 0);
    near(extreme.ece, 0);
}

static void test_credit(void **state)
{
    static const double r[] = {1, 3, 2};
    double weight;
    (void)state;
    near(l2_pair_credit(2, r, 1), 1);
    near(l2_pair_credit(1, r, 1), 0);
    near(l2_pair_credit(0, r, 1), 0);
    near(l2_pair_credit(4, r, 3), 1);
    near(l2_pair_credit(3, r, 3), 0.5);
    near(l2_pair_credit(2, r, 3), 0);
    assert_string_equal(l2_rewardbench_section("mt-bench-hard", &weight), "Chat Hard");
    near(weight, 37);
    assert_string_equal(l2_rewardbench_section("math-prm", &weight), "Reasoning");
    near(weight, 6 * 164);
    assert_null(l2_rewardbench_section("other", &weight));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_subset_z),
        cmocka_unit_test(test_gwet),
        cmocka_unit_test(test_wins),
        cmocka_unit_test(test_self_bleu),
        cmocka_unit_test(test_self_bleu_edges),
        cmocka_unit_test(test_calibration),
        cmocka_unit_test(test_credit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
