/* Unit tests of the backends' matrix products: against plain loops, and native's promise of equal
 * bits whatever the batch, the threads and the instruction set. */
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

#include "kern/backend.h"
#include "kern/linear.h"
#include "kern/ref.h"
#include "util/num.h"

#define MAX_M 130

/* A matrix with its bytes at an odd address, as files have them. */
struct matrix {
    struct l2_tensor t;
    uint8_t *bytes;
    float *f32; /* the same values */
};

static float noise(size_t i)
{
    uint32_t h = (uint32_t)i * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(h >> 8) * 0x1p-23f - 1;
}

static float *noise_row(size_t n, size_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise(i + seed * 7919);
    return x;
}

static struct matrix matrix_new(enum l2_dtype dtype, uint32_t rows, uint32_t cols, size_t seed)
{
    size_t n = (size_t)rows * cols, size = l2_dtype_size(dtype);
    struct matrix m = {.t = {.dtype = dtype, .rows = rows, .cols = cols}};
    m.bytes = malloc(n * size + 1);
    m.f32 = noise_row(n, seed);
    assert_non_null(m.bytes);
    m.t.data = m.bytes + 1;
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = m.bytes + 1 + i * size;
        if (dtype == L2_F32)
            l2_put_f32le(p, m.f32[i]);
        else if (dtype == L2_F16)
            l2_put_u16le(p, l2_f16_from_f32(m.f32[i]));
        else
            l2_put_u16le(p, l2_bf16_from_f32(m.f32[i]));
        if (dtype == L2_F16)
            m.f32[i] = l2_f32_from_f16(l2_get_u16le(p));
        else if (dtype == L2_BF16)
            m.f32[i] = l2_f32_from_bf16(l2_get_u16le(p));
    }
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->bytes);
    free(m->f32);
}

static const struct l2_pack_opts exact = {.head_dim = 2};

static struct l2_weight packed(const struct l2_backend *b, const struct l2_tensor *t)
{
    struct l2_weight w;
    struct l2_err err;
    assert_int_equal(b->pack(&w, &t, 1, &exact, NULL, &err), L2_OK);
    assert_int_equal(w.rows, t->rows);
    assert_int_equal(w.cols, t->cols);
    return w;
}

/* Errors against double are those of sums of cols products of numbers below 1. */
static void assert_near_ref(const float *y, const float *x, size_t m, const struct matrix *w)
{
    size_t rows = w->t.rows, cols = w->t.cols;
    double *want = malloc(m * rows * sizeof *want);
    assert_non_null(want);
    l2_ref_linear(want, x, m, w->f32, rows, cols);
    double tolerance = 1e-6 * sqrt((double)cols) + 1e-7;
    for (size_t i = 0; i < m * rows; i++)
        assert_true(fabs(y[i] - want[i]) < tolerance);
    free(want);
}

static const struct l2_backend *const backends[] = {&l2_backend_native, &l2_backend_blas};

static const struct {
    uint32_t rows, cols;
} shapes[] = {{1, 1},    {1, 64},    {16, 5},    {17, 16},  {48, 256},
              {64, 257}, {65, 1000}, {100, 512}, {200, 63}, {333, 777}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void test_against_ref(void **state)
{
    static const size_t counts[] = {1, 2, 3, 5, 6, 7, 13, 65};
    (void)state;
    for (size_t b = 0; b < 2; b++)
        for (size_t s = 0; s < N_SHAPES; s++)
            for (int dtype = L2_F32; dtype <= L2_BF16; dtype++) {
                struct matrix mat =
                    matrix_new((enum l2_dtype)dtype, shapes[s].rows, shapes[s].cols, s);
                struct l2_weight w = packed(backends[b], &mat.t);
                float *x = noise_row((size_t)65 * w.cols, 99);
                for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                    size_t m = counts[c];
                    float *y = malloc((m * w.rows + 1) * sizeof *y);
                    assert_non_null(y);
                    y[m * w.rows] = 42;
                    backends[b]->linear(NULL, y, x, m, &w, NULL);
                    assert_near_ref(y, x, m, &mat);
                    assert_true(y[m * w.rows] == 42);
                    free(y);
                }
                free(x);
                backends[b]->release(&w);
                assert_null(w.data);
                matrix_free(&mat);
            }
}

/* A row of the product has the same bits alone, in batches of 2 to 65 and more, at every place in
 * the batch, with 1, 2 and 3 threads, with every instruction set of a kind (fused or not). */
static void test_equal_bits(void **state)
{
    static const uint32_t sizes[][2] = {{40, 100}, {500, 700}};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    struct l2_pool *pools[3] = {0};
    struct l2_err err;
    (void)state;
    print_message("# kernels: %s\n", l2_simd_best()->name);
    for (int i = 1; i < 3; i++)
        assert_int_equal(l2_pool_new(&pools[i], i + 1, &err), L2_OK);
    for (size_t s = 0; s < 2; s++)
        for (int dtype = L2_F32; dtype <= L2_BF16; dtype++) {
            struct matrix mat = matrix_new((enum l2_dtype)dtype, sizes[s][0], sizes[s][1], s);
            struct l2_weight w = packed(&l2_backend_native, &mat.t);
            size_t row = w.rows * sizeof(float);
            float *x = noise_row((size_t)MAX_M * w.cols, 5);
            float *one = malloc(MAX_M * row), *y = malloc(MAX_M * row);
            assert_true(one && y);
            for (size_t set = 0; set < n_sets; set++) {
                if (set == 0 || sets[set]->fused != sets[set - 1]->fused)
                    for (size_t i = 0; i < MAX_M; i++)
                        l2_linear_run(sets[set], NULL, one + i * w.rows, x + i * w.cols, 1, &w,
                                      NULL);
                for (int p = 0; p < 3; p++)
                    for (size_t m = 1; m <= MAX_M; m += m < 66 ? 1 : 32) {
                        size_t first = m % 7 * (m + 7 <= MAX_M);
                        memset(y, 0x55, MAX_M * row);
                        l2_linear_run(sets[set], pools[p], y, x + first * w.cols, m, &w, NULL);
                        assert_memory_equal(y, one + first * w.rows, m * row);
                    }
            }
            l2_backend_native.linear(pools[1], y, x, MAX_M, &w, NULL);
            assert_memory_equal(y, one, MAX_M * row);
            free(x), free(one), free(y);
            l2_backend_native.release(&w);
            matrix_free(&mat);
        }
    l2_pool_free(pools[1]);
    l2_pool_free(pools[2]);
}

/* Subnormal and extreme half-precision weights, with every instruction set. */
static void test_f16_values(void **state)
{
    static const uint16_t values[16] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400,
                                        0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00,
                                        0x7e00, 0x3555, 0x8400, 0x0200};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    uint8_t bytes[32];
    float y[32];
    const float x[2] = {1, 1};
    (void)state;
    for (size_t i = 0; i < 16; i++)
        l2_put_u16le(bytes + 2 * i, values[i]);
    struct l2_tensor t = {.dtype = L2_F16, .rows = 16, .cols = 1, .data = bytes};
    struct l2_weight w = packed(&l2_backend_native, &t);
    for (size_t s = 0; s < n_sets; s++)
        for (size_t m = 1; m <= 2; m++) {
            l2_linear_run(sets[s], NULL, y, x, m, &w, NULL);
            for (size_t i = 0; i < 16; i++) {
                float want = l2_f32_from_f16(values[i]);
                assert_true(y[(m - 1) * 16 + i] == want || (isnan(want) && isnan(y[i])));
            }
        }
    l2_backend_native.release(&w);
}

/* Parts one below the other give what they give alone, also when their types differ. */
static void test_stacked(void **state)
{
    (void)state;
    for (size_t b = 0; b < 2; b++)
        for (int dtype = L2_F32; dtype <= L2_BF16; dtype++) {
            struct matrix parts[3] = {matrix_new((enum l2_dtype)dtype, 50, 96, 1),
                                      matrix_new(L2_BF16, 7, 96, 2),
                                      matrix_new((enum l2_dtype)dtype, 100, 96, 3)};
            const struct l2_tensor *t[3] = {&parts[0].t, &parts[1].t, &parts[2].t};
            struct l2_weight w;
            struct l2_err err;
            assert_int_equal(backends[b]->pack(&w, t, 3, &exact, NULL, &err), L2_OK);
            assert_int_equal(w.rows, 157);
            float *x = noise_row(96, 4), y[157], alone[100];
            backends[b]->linear(NULL, y, x, 1, &w, NULL);
            for (size_t i = 0, at = 0; i < 3; at += parts[i++].t.rows) {
                assert_near_ref(y + at, x, 1, &parts[i]);
                struct l2_weight one = packed(backends[b], t[i]);
                backends[b]->linear(NULL, alone, x, 1, &one, NULL);
                if (b == 0)
                    assert_memory_equal(y + at, alone, t[i]->rows * sizeof *y);
                backends[b]->release(&one);
                matrix_free(&parts[i]);
            }
            backends[b]->release(&w);
            free(x);
        }
}

/* Interleaved rows come out in Hugging Face order. */
static void test_interleaved(void **state)
{
    enum { HEAD = 6, ROWS = 12 };
    static const uint32_t where[ROWS] = {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11};
    (void)state;
    for (size_t b = 0; b < 2; b++)
        for (int dtype = L2_F32; dtype <= L2_BF16; dtype++) {
            struct matrix mat = matrix_new((enum l2_dtype)dtype, ROWS, 1, 8);
            const struct l2_tensor *t = &mat.t;
            struct l2_weight w;
            struct l2_err err;
            float x = 1, y[ROWS];
            const struct l2_pack_opts opts = {.head_dim = HEAD};
            mat.t.interleaved = true;
            assert_int_equal(backends[b]->pack(&w, &t, 1, &opts, NULL, &err), L2_OK);
            backends[b]->linear(NULL, y, &x, 1, &w, NULL);
            for (size_t i = 0; i < ROWS; i++)
                assert_true(y[i] == mat.f32[where[i]]);
            backends[b]->release(&w);
            matrix_free(&mat);
        }
}

static void test_pack_errors(void **state)
{
    uint8_t bytes[64] = {0};
    struct l2_tensor a = {.dtype = L2_F32, .rows = 2, .cols = 4, .data = bytes};
    struct l2_tensor c = {.dtype = L2_F32, .rows = 2, .cols = 3, .data = bytes};
    struct l2_tensor huge = {.dtype = L2_F32, .rows = UINT32_MAX, .cols = 4, .data = bytes};
    const struct l2_tensor *differ[] = {&a, &c}, *large[] = {&huge, &a};
    struct l2_weight w;
    struct l2_err err;
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        assert_int_equal(backends[b]->pack(&w, differ, 2, &exact, NULL, &err), L2_CORRUPT);
        assert_string_equal(err.text, "matrices for one input differ in width: 4 and 3");
        assert_int_equal(backends[b]->pack(&w, large, 2, &exact, NULL, &err), L2_LIMIT);
    }
}

static void test_describe(void **state)
{
    char line[128];
    (void)state;
    l2_backend_native.describe(line, sizeof line);
    assert_string_equal(line, l2_simd_best()->fused ? "native 2 fused" : "native 2");
    l2_backend_blas.describe(line, sizeof line);
    assert_memory_equal(line, "blas: OpenBLAS", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_ref), cmocka_unit_test(test_equal_bits),
        cmocka_unit_test(test_f16_values),  cmocka_unit_test(test_stacked),
        cmocka_unit_test(test_interleaved), cmocka_unit_test(test_pack_errors),
        cmocka_unit_test(test_describe),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
