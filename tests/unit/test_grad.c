/* Unit tests of training's kernels: row gradients against central differences of their formulas in
 * double, on every instruction set; matrix products against plain loops. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/gemm.h"
#include "kern/gemm_bf16.h"
#include "kern/ops.h"
#include "kern/simd.h"
#include "util/num.h"

#define N    65
#define STEP 1e-5

static const size_t lengths[] = {1, 2, 15, 16, 17, 32, 48, 65};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static void noise(float *x, size_t n, uint32_t seed, float size)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) * 0x1p-23f - 1) * size;
    }
}

/* A scalar function of up to three rows in double. */
typedef double scalar_fn(const double *a, const double *b, const float *dy, size_t n);

static double rmsnorm(const double *x, const double *w, const float *dy, size_t n)
{
    double sum = 0, y = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y += x[i] / sqrt(sum / (double)n + 1e-5) * w[i] * (double)dy[i];
    return y;
}

static double swiglu(const double *gate, const double *up, const float *dy, size_t n)
{
    double y = 0;
    for (size_t i = 0; i < n; i++)
        y += gate[i] / (1 + exp(-gate[i])) * up[i] * (double)dy[i];
    return y;
}

static double log_softmax(const double *x, const double *unused, const float *c, size_t n)
{
    double sum = 0, y = 0;
    (void)unused;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i]);
    for (size_t i = 0; i < n; i++)
        y += (double)c[i] * (x[i] - log(sum));
    return y;
}

/* da and db are the gradients of fn at (a, b). */
static void check(scalar_fn *fn, const float *a, const float *b, const float *dy, size_t n,
                  const float *da, const float *db)
{
    double v[2][N];
    const float *got[] = {da, db};
    for (size_t i = 0; i < n; i++) {
        v[0][i] = (double)a[i];
        v[1][i] = (double)b[i];
    }
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; got[s] && i < n; i++) {
            double at = v[s][i], up, down;
            v[s][i] = at + STEP;
            up = fn(v[0], v[1], dy, n);
            v[s][i] = at - STEP;
            down = fn(v[0], v[1], dy, n);
            v[s][i] = at;
            double want = (up - down) / (2 * STEP);
            assert_true(fabs((double)got[s][i] - want) < 1e-5 * (1 + fabs(want)));
        }
}

static void test_rows(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float a[N], b[N], dy[N], da[N + 1], db[N + 1], first[2][N];
    (void)state;
    noise(a, N, 1, 3);
    noise(b, N, 2, 2);
    noise(dy, N, 3, 1);
    for (size_t l = 0; l < N_LENGTHS; l++)
        for (size_t s = 0; s < n_sets; s++) {
            size_t n = lengths[l];
            memset(da, 0, sizeof da);
            memset(db, 0, sizeof db);
            sets[s]->rmsnorm_bwd(da, db, a, b, dy, n, 1e-5f);
            check(rmsnorm, a, b, dy, n, da, db);
            assert_true(da[n] == 0 && db[n] == 0);
            if (s == 0) {
                memcpy(first[0], da, sizeof first[0]);
                memcpy(first[1], db, sizeof first[1]);
            }
            assert_memory_equal(first[0], da, n * sizeof *da);
            assert_memory_equal(first[1], db, n * sizeof *db);
            memcpy(da, a, N * sizeof *a);
            memcpy(db, b, N * sizeof *b);
            sets[s]->swiglu_bwd(da, db, da, db, dy, n); /* in place */
            check(swiglu, a, b, dy, n, da, db);
            assert_true(n == N || (da[n] == a[n] && db[n] == b[n]));
            assert_true(fabsf(sets[s]->dot(a, b, n) - sets[0]->dot(a, b, n)) == 0);
        }
}

static void test_cross_entropy(void **state)
{
    float x[N], c[N], dx[N];
    (void)state;
    noise(x, N, 4, 3);
    noise(c, N, 5, 1);
    for (size_t l = 0; l < N_LENGTHS; l++) {
        size_t n = lengths[l];
        struct l2_softmax_row row;
        float total = 0;
        memcpy(dx, x, sizeof x);
        l2_log_softmax_fwd(&row, dx, n);
        for (size_t i = 0; i < n; i++)
            total += c[i];
        l2_log_softmax_bwd(dx, n, &row, total);
        for (size_t i = 0; i < n; i++)
            dx[i] += c[i];
        check(log_softmax, x, x, c, n, dx, NULL);
    }
    struct l2_softmax_row row;
    x[3] = NAN;
    l2_log_softmax_fwd(&row, x, N);
    assert_true(isnan(row.max));
}

/* The gradient of a rotation is the rotation back. */
static void test_rope(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[3 * 22], y[3 * 22], cos[11], sin[11];
    (void)state;
    for (int i = 0; i < 11; i++) {
        cos[i] = cosf((float)i);
        sin[i] = sinf((float)i);
    }
    for (size_t s = 0; s < n_sets; s++) {
        noise(x, 3 * 22, 6, 2);
        memcpy(y, x, sizeof x);
        sets[s]->rope(y, 3, 22, cos, sin);
        assert_memory_not_equal(x, y, sizeof x);
        sets[s]->rope_bwd(y, 3, 22, cos, sin);
        for (size_t i = 0; i < 3 * 22; i++)
            assert_true(fabsf(x[i] - y[i]) < 1e-6f);
    }
}

/* Factors are rounded to bf16 where bf16 is set. */
static double element(const struct l2_gemm *g, size_t i, size_t j, bool bf16)
{
    double sum = g->add ? 0.5 : 0;
    for (size_t k = 0; k < g->k; k++) {
        float a = g->op == L2_GEMM_TN ? g->a[k * g->lda + i] : g->a[i * g->lda + k];
        float b = g->op == L2_GEMM_NT ? g->b[j * g->ldb + k] : g->b[k * g->ldb + j];
        if (bf16) {
            a = l2_f32_from_bf16(l2_bf16_from_f32(a));
            b = l2_f32_from_bf16(l2_bf16_from_f32(b));
        }
        sum += (double)a * (double)b;
    }
    return sum;
}

static void run_gemm(struct l2_pool *pool, const struct l2_gemm *g, int how)
{
    if (how < 2)
        l2_gemm_run(pool, g, 1, how == 1);
    else
        l2_gemm_bf16_portable(g);
}

static void check_gemm(struct l2_pool *pool, enum l2_gemm_op op, size_t m, size_t n, size_t k,
                       bool add, int how)
{
    bool ta = op == L2_GEMM_TN, tb = op == L2_GEMM_NT;
    size_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 5, ldc = n + 2;
    size_t na = (ta ? k : m) * lda, nb = (tb ? n : k) * ldb;
    float *a = malloc(na * sizeof *a), *b = malloc(nb * sizeof *b),
          *c = malloc(m * ldc * sizeof *c);
    assert_true(a && b && c);
    noise(a, na, 7, 1);
    noise(b, nb, 8, 1);
    for (size_t i = 0; i < m * ldc; i++)
        c[i] = i % ldc < n ? 0.5f : 7;
    struct l2_gemm g = {op, add, m, n, k, a, b, c, lda, ldb, ldc};
    run_gemm(pool, &g, how);
    for (size_t i = 0; i<m; i += m> 100 ? 13 : 1) {
        for (size_t j = 0; j<n; j += n> 100 ? 7 : 1) {
            double want = element(&g, i, j, how > 0);
            assert_true(fabs((double)c[i * ldc + j] - want) < 2e-6 * (double)(k + 10));
        }
        assert_true(c[i * ldc + n] == 7 && c[i * ldc + n + 1] == 7);
    }
    free(a);
    free(b);
    free(c);
}

static void test_gemm(void **state)
{
    static const size_t shapes[][3] = {{1, 1, 1},     {2, 3, 1},     {12, 32, 2},
                                       {13, 33, 3},   {11, 15, 31},  {24, 17, 257},
                                       {400, 20, 65}, {30, 530, 70}, {600, 550, 9}};
    struct l2_pool *pool;
    struct l2_err err;
    (void)state;
    assert_int_equal(l2_pool_new(&pool, 2, &err), L2_OK);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int op = L2_GEMM_NT; op <= L2_GEMM_TN; op++)
            for (int how = 0; how < 3; how++)
                for (int add = 0; add < 2; add++)
                    check_gemm(pool, (enum l2_gemm_op)op, shapes[s][0], shapes[s][1], shapes[s][2],
                               add, how);
    l2_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_gemm),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
