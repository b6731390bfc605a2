/* Unit tests of the row operations: against plain loops in double, and equal bits of all
 * instruction sets. */
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

#include "kern/ops.h"
#include "kern/ref.h"
#include "kern/simd.h"
#include "util/num.h"

#define N 300

static const size_t lengths[] = {1, 2, 7, 15, 16, 17, 31, 32, 48, 63, 64, 65, 96, 255, 288};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static void noise(float *x, size_t n, uint32_t seed, float size)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = ((float)(seed >> 8) * 0x1p-23f - 1) * size;
    }
}

static void assert_near(const float *y, const double *want, size_t n, double relative)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(y[i] - want[i]) <= relative * (1e-3 + fabs(want[i])));
}

static void test_rmsnorm(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[N], w[N], y[N], z[N];
    double want[N];
    (void)state;
    noise(x, N, 1, 3);
    noise(w, N, 2, 2);
    for (size_t l = 0; l < N_LENGTHS; l++) {
        size_t n = lengths[l];
        l2_rmsnorm_fwd(y, x, w, n, 1e-5f);
        l2_ref_rmsnorm(want, x, w, n, 1e-5f);
        assert_near(y, want, n, 1e-6);
        for (size_t s = 0; s < n_sets; s++) {
            memcpy(z, x, sizeof z);
            sets[s]->rmsnorm(z, z, w, n, 1e-5f); /* in place */
            assert_memory_equal(y, z, n * sizeof *y);
            assert_memory_equal(z + n, x + n, (N - n) * sizeof *y);
        }
    }
    memset(x, 0, sizeof x);
    l2_rmsnorm_fwd(y, x, w, 16, 1e-5f);
    for (int i = 0; i < 16; i++)
        assert_true(y[i] == 0);
    x[3] = NAN;
    l2_rmsnorm_fwd(y, x, w, 16, 1e-5f);
    assert_true(isnan(y[0]) && isnan(y[15]));
}

static void test_rope(void **state)
{
    static const size_t dims[] = {2, 8, 12, 48, 64, 100, 128};
    static const uint32_t positions[] = {0, 1, 63, 4095, 131071};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[3 * 128], y[3 * 128], z[3 * 128], cos[64], sin[64];
    double want[3 * 128], frequency[64];
    (void)state;
    noise(x, 3 * 128, 3, 2);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            size_t n = 3 * dims[d];
            const struct l2_hparams hp = {.head_dim = (uint32_t)dims[d], .rope_theta = 10000};
            l2_rope_frequencies(frequency, &hp);
            l2_rope_angles(cos, sin, positions[p], frequency, dims[d]);
            l2_ref_rope(want, x, 3, dims[d], positions[p], 10000);
            memcpy(y, x, sizeof y);
            l2_rope_fwd(y, 3, dims[d], cos, sin);
            for (size_t i = 0; i < n; i++)
                assert_true(fabs(y[i] - want[i]) < 1e-6);
            for (size_t s = 0; s < n_sets; s++) {
                memcpy(z, x, sizeof z);
                sets[s]->rope(z, 3, dims[d], cos, sin);
                assert_memory_equal(y, z, sizeof y);
            }
        }
}

static void test_swiglu(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float gate[N], up[N], y[N], z[N];
    double want[N];
    (void)state;
    noise(gate, N, 4, 20);
    noise(up, N, 5, 3);
    gate[0] = -100, gate[1] = 100, gate[2] = 0; /* where exp saturates */
    for (size_t l = 0; l < N_LENGTHS; l++) {
        size_t n = lengths[l];
        l2_swiglu_fwd(y, gate, up, n);
        l2_ref_swiglu(want, gate, up, n);
        assert_near(y, want, n, 1e-6);
        for (size_t s = 0; s < n_sets; s++) {
            memcpy(z, gate, sizeof z);
            sets[s]->swiglu(z, z, up, n); /* in place */
            assert_memory_equal(y, z, n * sizeof *y);
            assert_memory_equal(z + n, gate + n, (N - n) * sizeof *y);
        }
    }
}

static void test_add_scale(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[N], y[N], z[N];
    (void)state;
    noise(x, N, 6, 3);
    noise(y, N, 7, 3);
    for (size_t l = 0; l < N_LENGTHS; l++)
        for (size_t s = 0; s <= n_sets; s++) {
            size_t n = lengths[l];
            memcpy(z, x, sizeof z);
            if (s < n_sets)
                sets[s]->add(z, y, n);
            else
                l2_add_fwd(z, y, n);
            for (size_t i = 0; i < N; i++)
                assert_true(z[i] == (i < n ? x[i] + y[i] : x[i]));
            memcpy(z, x, sizeof z);
            if (s < n_sets)
                sets[s]->scale(z, y, n, 0.3f);
            else
                l2_scale_fwd(z, y, n, 0.3f);
            for (size_t i = 0; i < N; i++)
                assert_true(z[i] == (i < n ? y[i] * 0.3f : x[i]));
        }
}

static void test_logsumexp(void **state)
{
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float x[N], max;
    double lse;
    (void)state;
    noise(x, N, 8, 30);
    for (size_t n = 1; n <= N; n++) {
        float high = x[0];
        for (size_t i = 0; i < n; i++)
            high = fmaxf(high, x[i]);
        assert_true(l2_logsumexp(x, n, &max, &lse));
        assert_true(max == high);
        assert_true(fabs(lse - l2_ref_logsumexp(x, n)) < 2e-7 * (1 + fabs(lse)));
        for (size_t s = 0; s < n_sets; s++) {
            assert_true(sets[s]->max(x, n) == max);
            assert_true(sets[s]->sum_exp(x, n, max) == l2_simd_best()->sum_exp(x, n, max));
        }
    }
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t b = 0; b < 3; b++)
        for (size_t n = 1; n < 40; n++)
            for (size_t i = 0; i < n; i++) {
                float keep = x[i];
                x[i] = bad[b];
                assert_false(l2_logsumexp(x, n, &max, &lse));
                x[i] = keep;
            }
    for (size_t i = 0; i < 64; i++)
        x[i] = -3e38f; /* equal logits, however small */
    assert_true(l2_logsumexp(x, 64, &max, &lse) && max == -3e38f && lse == (double)-3e38f);
}

/* A cache of some blocks as the engine keeps it, and the same keys and values row by row. */
#define MAX_DIM   144
#define POSITIONS 150
#define BLOCKS    3
#define MAX_GROUP 70

struct cache {
    float k[BLOCKS][MAX_DIM * L2_ATTEND_BLOCK];
    float v[BLOCKS][L2_ATTEND_BLOCK * MAX_DIM];
    float rows_k[POSITIONS * MAX_DIM], rows_v[POSITIONS * MAX_DIM];
    float q[MAX_GROUP * MAX_DIM];
    float o[MAX_GROUP * MAX_DIM], again[MAX_GROUP * MAX_DIM];
};

/* What no position has written is NaN: it must be without effect. */
static void fill_cache(struct cache *c, size_t dim)
{
    size_t stride = l2_attend_stride(dim);
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < MAX_DIM * L2_ATTEND_BLOCK; i++)
            c->k[b][i] = c->v[b][i] = NAN;
    noise(c->rows_k, POSITIONS * dim, 9, 1);
    noise(c->rows_v, POSITIONS * dim, 10, 1);
    noise(c->q, MAX_GROUP * dim, 11, 1);
    for (size_t j = 0; j < POSITIONS; j++)
        for (size_t d = 0; d < dim; d++) {
            size_t b = j / L2_ATTEND_BLOCK, slot = j % L2_ATTEND_BLOCK;
            c->k[b][d * L2_ATTEND_BLOCK + slot] = c->rows_k[j * dim + d];
            c->v[b][slot * stride + d] = c->rows_v[j * dim + d];
        }
}

static void attend(const struct l2_simd *set, struct cache *c, size_t first, size_t group,
                   size_t dim, size_t n, float *o)
{
    float m[MAX_GROUP], l[MAX_GROUP];
    memset(o, 0, group * dim * sizeof *o);
    for (size_t g = 0; g < group; g++)
        m[g] = -INFINITY, l[g] = 0;
    for (size_t b = 0; b * L2_ATTEND_BLOCK < n; b++) {
        size_t left = n - b * L2_ATTEND_BLOCK;
        set->attend_block(c->q + first * dim, group, dim, c->k[b], c->v[b], false,
                          left < L2_ATTEND_BLOCK ? left : L2_ATTEND_BLOCK, m, l, o);
    }
    for (size_t g = 0; g < group; g++)
        for (size_t d = 0; d < dim; d++)
            o[g * dim + d] /= l[g];
}

static void test_attention(void **state)
{
    static const size_t dims[] = {2, 8, 16, 48, 64, 80, 144};
    static const size_t groups[] = {1, 2, 5, 7, 8, MAX_GROUP};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    struct cache *c = malloc(sizeof *c);
    (void)state;
    assert_non_null(c);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        size_t dim = dims[d];
        fill_cache(c, dim);
        for (size_t n = 1; n <= POSITIONS; n += n < 70 ? 3 : 16) {
            attend(l2_simd_best(), c, 0, MAX_GROUP, dim, n, c->o);
            for (size_t g = 0; g < MAX_GROUP; g += 23) {
                double want[MAX_DIM];
                l2_ref_attend(want, c->q + g * dim, c->rows_k, c->rows_v, n, dim);
                for (size_t i = 0; i < dim; i++)
                    assert_true(fabs(c->o[g * dim + i] - want[i]) < 3e-6);
            }
            /* the same bits whatever the group, and with all sets of a kind (fused or not) */
            for (size_t s = 0; s < n_sets; s++) {
                bool alike = sets[s]->fused == l2_simd_best()->fused;
                for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
                    size_t first = (MAX_GROUP - groups[g]) / 2;
                    attend(sets[s], c, first, groups[g], dim, n, c->again);
                    const float *o = c->o + first * dim;
                    if (alike)
                        assert_memory_equal(c->again, o, groups[g] * dim * sizeof *o);
                    for (size_t i = 0; i < groups[g] * dim; i++)
                        assert_true(fabsf(c->again[i] - o[i]) < 3e-6f);
                }
            }
        }
    }
    free(c);
}

/* Scores far apart, where the running maximum has to move. */
static void test_attention_extremes(void **state)
{
    float k[2 * L2_ATTEND_BLOCK] = {0}, v[L2_ATTEND_BLOCK * 16] = {0}, q[2] = {1, 0}, o[2] = {0};
    float m = -INFINITY, l = 0;
    (void)state;
    for (int j = 0; j < L2_ATTEND_BLOCK; j++) {
        k[j] = j == 5 ? 200.0f : -200.0f;
        v[j * 16] = (float)j;
    }
    l2_attend_block(q, 1, 2, k, v, false, 5, &m, &l, o);
    assert_true(m == -200 && l == 5 && o[0] == 10); /* 0 + 1 + 2 + 3 + 4 */
    l2_attend_block(q, 1, 2, k, v, false, 64, &m, &l, o);
    assert_true(m == 200 && l == 1 && o[0] == 5);
    k[7] = NAN;
    l2_attend_block(q, 1, 2, k, v, false, 64, &m, &l, o);
    assert_true(isnan(l) && isnan(o[0]));
}

/* Keys and values in bf16 count as the floats that they are, to the bit. */
static void test_attention_bf16(void **state)
{
    static const size_t dims[] = {2, 48, 64, 80, 144};
    static float k[MAX_DIM * L2_ATTEND_BLOCK], v[L2_ATTEND_BLOCK * MAX_DIM];
    static uint16_t k16[MAX_DIM * L2_ATTEND_BLOCK], v16[L2_ATTEND_BLOCK * MAX_DIM];
    static float q[MAX_GROUP * MAX_DIM], o[2][MAX_GROUP * MAX_DIM];
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets), n_values = MAX_DIM * L2_ATTEND_BLOCK;
    (void)state;
    noise(k, n_values, 21, 1);
    noise(v, n_values, 22, 1);
    noise(q, MAX_GROUP * MAX_DIM, 23, 1);
    for (size_t i = 0; i < n_values; i++) {
        k[i] = l2_f32_from_bf16(k16[i] = l2_bf16_from_f32(k[i]));
        v[i] = l2_f32_from_bf16(v16[i] = l2_bf16_from_f32(v[i]));
    }
    for (size_t s = 0; s < n_sets; s++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (size_t group = 1; group <= MAX_GROUP; group += 8)
                for (size_t n = 1; n <= L2_ATTEND_BLOCK; n += 21) {
                    float m[2][MAX_GROUP], l[2][MAX_GROUP];
                    memset(o, 0, sizeof o);
                    for (int way = 0; way < 2; way++) {
                        for (size_t g = 0; g < group; g++)
                            m[way][g] = -INFINITY, l[way][g] = 0;
                        sets[s]->attend_block(q, group, dims[d], way ? (void *)k16 : (void *)k,
                                              way ? (void *)v16 : (void *)v, way, n, m[way], l[way],
                                              o[way]);
                    }
                    assert_memory_equal(o[0], o[1], sizeof o[0]);
                    assert_memory_equal(m[0], m[1], group * sizeof m[0][0]);
                    assert_memory_equal(l[0], l[1], group * sizeof l[0][0]);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_swiglu),
        cmocka_unit_test(test_add_scale),
        cmocka_unit_test(test_logsumexp),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_extremes),
        cmocka_unit_test(test_attention_bf16),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
