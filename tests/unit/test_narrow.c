/* Unit tests of products with narrowed activations and quantised weights: against plain loops in
 * double over the narrowed values, and equal bits whatever the batch, threads and instructions. */
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

#include "kern/aligned.h"
#include "kern/linear.h"
#include "kern/ref.h"
#include "util/num.h"

#define MAX_M 130

static const enum l2_pack_type types[] = {L2_PACK_BF16, L2_PACK_Q8_0, L2_PACK_Q8_K, L2_PACK_Q4_K,
                                          L2_PACK_Q6_K};
static const char *const type_names[] = {"BF16", "Q8_0", "Q8_K", "Q4_K", "Q6_K"};
#define N_TYPES (sizeof types / sizeof *types)

static float noise(size_t i)
{
    uint32_t h = (uint32_t)i * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(h >> 8) * 0x1p-23f - 1;
}

/* Rows with a few large values, as activations have them. */
static float *noise_rows(size_t n, size_t seed)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise(i + seed * 7919) * (i % 97 == 5 ? 20.0f : 1.0f);
    return x;
}

/* An F32 matrix, its rows packed as type, and the values that it was packed to. */
struct matrix {
    uint8_t *bytes;
    struct l2_tensor t;
    struct l2_weight w;
    float *values;
    void *scratch;
};

static float *packed_values(const struct l2_weight *w)
{
    float *v = malloc((size_t)w->rows * w->cols * sizeof *v);
    assert_non_null(v);
    assert_int_equal(w->n_pieces, 1);
    for (size_t i = 0; i < l2_piece_panels(w->pieces); i++) {
        struct l2_panel p = l2_piece_panel(w, w->pieces, i);
        for (uint32_t k = 0; k < w->cols; k += 256) {
            float block[256 * L2_PANEL];
            uint32_t n = w->cols - k < 256 ? w->cols - k : 256;
            if (l2_layout_quantised(p.layout))
                l2_layout_expand(block, &p, k, n);
            for (uint32_t j = 0; j < n; j++)
                for (uint32_t r = 0; r < p.valid; r++) {
                    const uint16_t *pairs = p.data;
                    float *out = v + ((size_t)i * L2_PANEL + r) * w->cols + k + j;
                    size_t at = ((size_t)(k + j) / 2 * p.width + r) * 2 + (k + j) % 2;
                    *out = p.layout == L2_LAYOUT_BF16_PAIRS ? l2_f32_from_bf16(pairs[at])
                                                            : block[j * p.width + r];
                }
        }
    }
    return v;
}

static struct matrix matrix_new(enum l2_pack_type type, bool narrow, uint32_t rows, uint32_t cols)
{
    struct matrix m = {.t = {.dtype = L2_F32, .rows = rows, .cols = cols}};
    struct l2_err err;
    size_t n = (size_t)rows * cols;
    float *v = noise_rows(n, cols);
    m.bytes = malloc(4 * n + 1);
    assert_non_null(m.bytes);
    l2_put_f32le_array(m.bytes + 1, v, n);
    free(v);
    m.t.data = m.bytes + 1;
    const struct l2_tensor *t = &m.t;
    const struct l2_pack_opts opts = {.head_dim = 2, .type = type, .narrow = narrow};
    assert_int_equal(l2_backend_native.pack(&m.w, &t, 1, &opts, NULL, &err), L2_OK);
    size_t scratch = l2_backend_native.scratch(&m.w, MAX_M);
    m.scratch = l2_aligned_alloc(scratch + 64, 1, &err);
    assert_non_null(m.scratch);
    memset((char *)m.scratch + scratch, 0x5a, 64);
    return m;
}

static void matrix_free(struct matrix *m)
{
    size_t scratch = l2_backend_native.scratch(&m->w, MAX_M);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(((uint8_t *)m->scratch)[scratch + i], 0x5a);
    l2_backend_native.release(&m->w);
    free(m->bytes);
    free(m->values);
    free(m->scratch);
}

/* What a row of activations is narrowed to, by the definition in narrow.h. */
static void narrowed(float *out, const float *x, uint32_t n, enum l2_layout layout)
{
    uint32_t block = layout == L2_LAYOUT_Q8_K ? 256 : 32;
    bool pairs = layout == L2_LAYOUT_BF16_PAIRS;
    for (uint32_t k = 0; k < n && pairs; k++)
        out[k] = l2_f32_from_bf16(l2_bf16_from_f32(x[k]));
    for (uint32_t k = 0; k < n && !pairs; k += block) {
        float most = 0;
        for (uint32_t i = k; i < k + block; i++)
            most = fmaxf(most, fabsf(x[i]));
        for (uint32_t i = k; i < k + block; i++)
            out[i] = most / 127 * rintf(x[i] * (127 / most));
    }
}

/* Sums of cols products of factors below 20 each, in floats. */
static void assert_near(const float *y, const float *x, size_t m, const struct matrix *mat)
{
    size_t rows = mat->w.rows, cols = mat->w.cols;
    double *want = malloc(m * rows * sizeof *want), *size = malloc(m * rows * sizeof *size);
    float *ax = malloc(m * cols * sizeof *ax), *aw = malloc(rows * cols * sizeof *aw);
    assert_true(want && size && ax && aw);
    l2_ref_linear(want, x, m, mat->values, rows, cols);
    for (size_t i = 0; i < m * cols; i++)
        ax[i] = fabsf(x[i]);
    for (size_t i = 0; i < rows * cols; i++)
        aw[i] = fabsf(mat->values[i]);
    l2_ref_linear(size, ax, m, aw, rows, cols);
    /* min terms of Q4_K are of the size of the sums of quants, up to 16 steps */
    for (size_t i = 0; i < m * rows; i++)
        if (!(fabs(y[i] - want[i]) <= 1e-6 * size[i] + 1e-5))
            fail_msg("%s, %zu x %zu: value %zu: got %g, want %g",
                     l2_layout_name(mat->w.pieces[0].layout), rows, cols, i, (double)y[i], want[i]);
    free(want), free(size), free(ax), free(aw);
}

static const uint32_t shapes[][2] = {{1, 32},   {16, 256},  {17, 64},   {40, 288},
                                     {64, 512}, {65, 1024}, {130, 768}, {200, 96}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void test_against_ref(void **state)
{
    static const size_t counts[] = {1, 2, 3, 4, 5, 11, 12, 13, 25, 49, 65};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    (void)state;
    for (size_t t = 0; t < N_TYPES; t++)
        for (size_t s = 0; s < N_SHAPES; s++) {
            struct matrix mat = matrix_new(types[t], true, shapes[s][0], shapes[s][1]);
            uint32_t rows = mat.w.rows, cols = mat.w.cols;
            float *x = noise_rows((size_t)65 * cols, 3), *nx = malloc((size_t)65 * cols * 4);
            float *y = malloc(((size_t)65 * rows + 1) * sizeof *y);
            assert_true(nx && y);
            mat.values = packed_values(&mat.w);
            for (size_t i = 0; i < 65; i++)
                narrowed(nx + i * cols, x + i * cols, cols, mat.w.pieces[0].layout);
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                for (size_t set = 0; set < n_sets; set++) {
                    y[counts[c] * rows] = 42;
                    l2_linear_run(sets[set], NULL, y, x, counts[c], &mat.w, mat.scratch);
                    assert_near(y, nx, counts[c], &mat);
                    assert_true(y[counts[c] * rows] == 42);
                }
            free(x), free(nx), free(y);
            matrix_free(&mat);
        }
}

/* Unnarrowed products of quantised weights are those of their values as floats, bit for bit. */
static void test_exact(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_TYPES; t++)
        for (size_t s = 0; s < N_SHAPES; s++) {
            struct matrix mat = matrix_new(types[t], false, shapes[s][0], shapes[s][1]);
            uint32_t rows = mat.w.rows, cols = mat.w.cols;
            if (types[t] == L2_PACK_BF16) {
                assert_int_equal(mat.w.pieces[0].layout, L2_LAYOUT_BF16);
                matrix_free(&mat);
                continue;
            }
            mat.values = packed_values(&mat.w);
            struct l2_tensor floats = {.dtype = L2_F32, .rows = rows, .cols = cols};
            uint8_t *bytes = malloc((size_t)rows * cols * 4);
            assert_non_null(bytes);
            l2_put_f32le_array(bytes, mat.values, (size_t)rows * cols);
            floats.data = bytes;
            const struct l2_tensor *part = &floats;
            const struct l2_pack_opts opts = {.head_dim = 2};
            struct l2_weight w;
            struct l2_err err;
            assert_int_equal(l2_backend_native.pack(&w, &part, 1, &opts, NULL, &err), L2_OK);
            float *x = noise_rows((size_t)7 * cols, 3), *y = malloc((size_t)14 * rows * sizeof *y);
            assert_non_null(y);
            assert_int_equal(l2_backend_native.scratch(&mat.w, 7), 0);
            l2_backend_native.linear(NULL, y, x, 7, &mat.w, NULL);
            l2_backend_native.linear(NULL, y + 7 * rows, x, 7, &w, NULL);
            assert_memory_equal(y, y + 7 * rows, (size_t)7 * rows * sizeof *y);
            l2_backend_native.release(&w);
            free(bytes), free(x), free(y);
            matrix_free(&mat);
        }
}

/* As the test of that name for exact products; 6-lane tails of panels included. */
static void test_equal_bits(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    struct l2_pool *pools[3] = {0};
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < n_sets; i++)
        print_message("# kernels: %s: pairs %s, q8 %s\n", sets[i]->name, sets[i]->pairs->name,
                      sets[i]->q8->name);
    for (int i = 1; i < 3; i++)
        assert_int_equal(l2_pool_new(&pools[i], i + 1, &err), L2_OK);
    for (size_t t = 0; t < N_TYPES; t++) {
        struct matrix mat = matrix_new(types[t], true, 150, types[t] == L2_PACK_Q8_0 ? 608 : 768);
        size_t rows = mat.w.rows, cols = mat.w.cols, row = rows * sizeof(float);
        float *x = noise_rows(MAX_M * cols, 5), *one = malloc(MAX_M * row),
              *y = malloc(MAX_M * row);
        assert_true(one && y);
        for (size_t i = 0; i < cols; i++) /* sums that underflow */
            x[7 * cols + i] *= 0x1p-126f;
        for (size_t set = 0; set < n_sets; set++) {
            if (set == 0 || (sets[set]->fused != sets[set - 1]->fused && types[t] != L2_PACK_BF16))
                for (size_t i = 0; i < MAX_M; i++)
                    l2_linear_run(sets[set], NULL, one + i * rows, x + i * cols, 1, &mat.w,
                                  mat.scratch);
            for (int p = 0; p < 3; p++)
                for (size_t m = 1; m <= MAX_M; m += m < 27 ? 1 : 17) {
                    size_t first = m % 7 * (m + 7 <= MAX_M);
                    memset(y, 0x55, MAX_M * row);
                    l2_linear_run(sets[set], pools[p], y, x + first * cols, m, &mat.w, mat.scratch);
                    if (memcmp(y, one + first * rows, m * row) != 0)
                        fail_msg("%s, %s: %zu rows, %d threads", type_names[t], sets[set]->name, m,
                                 p + 1);
                }
        }
        free(x), free(one), free(y);
        matrix_free(&mat);
    }
    l2_pool_free(pools[1]);
    l2_pool_free(pools[2]);
}

/* Products of what is not finite are not finite; zeros and the smallest numbers give zeros. */
static void test_odd_activations(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    const float odd[] = {INFINITY, -INFINITY, NAN, 0, 0x1p-149f};
    (void)state;
    for (size_t t = 0; t < N_TYPES; t++) {
        struct matrix mat = matrix_new(types[t], true, 16, 256);
        for (size_t set = 0; set < n_sets; set++)
            for (size_t i = 0; i < 5; i++) {
                float x[256] = {0}, y[16];
                x[77] = odd[i];
                l2_linear_run(sets[set], NULL, y, x, 1, &mat.w, mat.scratch);
                for (size_t r = 0; r < 16; r++)
                    assert_true(i < 3 ? !isfinite(y[r]) : y[r] == 0);
            }
        matrix_free(&mat);
    }
}

/* Parts of several types under one input, as mixed files have them. */
static void test_mixed(void **state)
{
    (void)state;
    struct matrix m[3] = {matrix_new(L2_PACK_Q4_K, true, 70, 512),
                          matrix_new(L2_PACK_Q6_K, true, 33, 512),
                          matrix_new(L2_PACK_BF16, true, 20, 512)};
    uint8_t *blocks[3];
    struct l2_tensor t[3];
    const struct l2_tensor *parts[3];
    for (size_t i = 0; i < 3; i++) {
        t[i] = m[i].t;
        parts[i] = &t[i];
        size_t n = (size_t)t[i].rows * 512;
        float *v = malloc(n * sizeof *v);
        blocks[i] = malloc(2 * n);
        assert_true(v && blocks[i]);
        l2_get_f32le_array(v, t[i].data, n);
        t[i].quant = i == 2 ? NULL : l2_quant_by_ggml_type(i == 0 ? L2_GGML_Q4_K : L2_GGML_Q6_K);
        t[i].dtype = i == 2 ? L2_BF16 : L2_QUANTISED;
        if (i < 2)
            t[i].quant->encode(blocks[i], v, n / 256);
        for (size_t k = 0; i == 2 && k < n; k++)
            l2_put_u16le(blocks[i] + 2 * k, l2_bf16_from_f32(v[k]));
        t[i].data = blocks[i];
        free(v);
    }
    struct l2_weight w;
    struct l2_err err;
    const struct l2_pack_opts opts = {.head_dim = 2, .narrow = true};
    assert_int_equal(l2_backend_native.pack(&w, parts, 3, &opts, NULL, &err), L2_OK);
    assert_int_equal(w.n_pieces, 3);
    float *x = noise_rows(30 * 512, 1), *y = malloc(30 * 123 * 4), *alone = malloc(30 * 70 * 4);
    void *scratch = l2_aligned_alloc(l2_backend_native.scratch(&w, 30), 1, &err);
    assert_true(x && y && alone && scratch);
    l2_backend_native.linear(NULL, y, x, 30, &w, scratch);
    for (size_t i = 0, at = 0; i < 3; at += t[i++].rows) {
        l2_backend_native.linear(NULL, alone, x, 30, &m[i].w, m[i].scratch);
        for (size_t r = 0; r < 30; r++)
            assert_memory_equal(y + r * 123 + at, alone + r * t[i].rows, t[i].rows * sizeof *y);
    }
    l2_backend_native.release(&w);
    for (size_t i = 0; i < 3; i++) {
        matrix_free(&m[i]);
        free(blocks[i]);
    }
    free(x), free(y), free(alone), free(scratch);
}

/* Types that do not fit the columns give way. */
static void test_layouts(void **state)
{
    static const struct {
        enum l2_pack_type type;
        uint32_t cols;
        enum l2_layout layout;
    } cases[] = {
        {L2_PACK_Q4_K, 256, L2_LAYOUT_Q4_K}, {L2_PACK_Q4_K, 288, L2_LAYOUT_Q8_0},
        {L2_PACK_Q6_K, 32, L2_LAYOUT_Q8_0},  {L2_PACK_Q8_0, 100, L2_LAYOUT_F32},
        {L2_PACK_Q8_K, 512, L2_LAYOUT_Q8_K}, {L2_PACK_Q8_K, 320, L2_LAYOUT_Q8_0},
        {L2_PACK_Q4_K, 7, L2_LAYOUT_F32},    {L2_PACK_BF16, 7, L2_LAYOUT_BF16_PAIRS},
        {L2_PACK_AS_IS, 256, L2_LAYOUT_F32},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct matrix m = matrix_new(cases[i].type, true, 5, cases[i].cols);
        assert_int_equal(m.w.pieces[0].layout, cases[i].layout);
        matrix_free(&m);
    }
}

/* Random weights come back with the error that the types are known for. */
static void test_encoders(void **state)
{
    static const struct {
        uint32_t type;
        double error; /* root mean square, relative */
    } cases[] = {{L2_GGML_Q8_0, 0.006}, {L2_GGML_Q4_K, 0.08}, {L2_GGML_Q6_K, 0.02}};
    enum { N = 256 * 64 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    uint8_t *blocks = malloc(2 * N);
    (void)state;
    assert_true(x && y && blocks);
    for (size_t i = 0; i < N; i++)
        x[i] = (noise(3 * i) + noise(3 * i + 1) + noise(3 * i + 2)) * 0.02f;
    for (size_t c = 0; c < 3; c++) {
        const struct l2_quant *q = l2_quant_by_ggml_type(cases[c].type);
        double error = 0, size = 0;
        q->encode(blocks, x, N / q->block_values);
        q->decode(y, blocks, N / q->block_values);
        for (size_t i = 0; i < N; i++) {
            error += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
            size += (double)x[i] * x[i];
        }
        print_message("# %s: relative error %.4f\n", q->name, sqrt(error / size));
        assert_true(sqrt(error / size) < cases[c].error);
        memset(x, 0, 256 * sizeof *x);
        q->encode(blocks, x, 256 / q->block_values);
        q->decode(y, blocks, 256 / q->block_values);
        for (size_t i = 0; i < 256; i++)
            assert_true(y[i] == 0);
    }
    free(x), free(y), free(blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoders),        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_against_ref),     cmocka_unit_test(test_exact),
        cmocka_unit_test(test_odd_activations), cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_equal_bits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("narrow", tests, NULL, NULL);
}
