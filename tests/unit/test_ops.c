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
    float k[BLOCKS][MAX_DIM * L2_KV_BLOCK];
    float v[BLOCKS][L2_KV_BLOCK * MAX_DIM];
    float rows_k[POSITIONS * MAX_DIM], rows_v[POSITIONS * MAX_DIM];
    float q[MAX_GROUP * MAX_DIM];
    float o[MAX_GROUP * MAX_DIM], again[MAX_GROUP * MAX_DIM];
};

/* What no position has written is NaN: it must be without effect. */
static void fill_cache(struct cache *c, size_t dim)
{
    size_t stride = l2_kv_stride(dim);
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t i = 0; i < MAX_DIM * L2_KV_BLOCK; i++)
            c->k[b][i] = c->v[b][i] = NAN;
    noise(c->rows_k, POSITIONS * dim, 9, 1);
    noise(c->rows_v, POSITIONS * dim, 10, 1);
    noise(c->q, MAX_GROUP * dim, 11, 1);
    for (size_t j = 0; j < POSITIONS; j++)
        for (size_t d = 0; d < dim; d++) {
            size_t b = j / L2_KV_BLOCK, slot = j % L2_KV_BLOCK;
            c->k[b][d * L2_KV_BLOCK + slot] = c->rows_k[j * dim + d];
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
    for (size_t b = 0; b * L2_KV_BLOCK < n; b++) {
        size_t left = n - b * L2_KV_BLOCK;
        const struct l2_kv_head kv = {.type = L2_KV_F32, .k = c->k[b], .v = c->v[b]};
        set->attend_block(c->q + first * dim, group, dim, &kv,
                          left < L2_KV_BLOCK ? left : L2_KV_BLOCK, m, l, o);
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
    float k[2 * L2_KV_BLOCK] = {0}, v[L2_KV_BLOCK * 16] = {0}, q[2] = {1, 0}, o[2] = {0};
    float m = -INFINITY, l = 0;
    const struct l2_kv_head kv = {.type = L2_KV_F32, .k = k, .v = v};
    (void)state;
    for (int j = 0; j < L2_KV_BLOCK; j++) {
        k[j] = j == 5 ? 200.0f : -200.0f;
        v[j * 16] = (float)j;
    }
    l2_attend_block(q, 1, 2, &kv, 5, &m, &l, o);
    assert_true(m == -200 && l == 5 && o[0] == 10); /* 0 + 1 + 2 + 3 + 4 */
    l2_attend_block(q, 1, 2, &kv, 64, &m, &l, o);
    assert_true(m == 200 && l == 1 && o[0] == 5);
    k[7] = NAN;
    l2_attend_block(q, 1, 2, &kv, 64, &m, &l, o);
    assert_true(isnan(l) && isnan(o[0]));
}

#define NARROW_DIM 144

/* Blocks of one type, and their values as floats. */
struct narrow {
    struct l2_kv_head kv, f32;
    void *data, *floats;
};

static struct narrow narrow_new(enum l2_kv_type type, size_t dim)
{
    struct narrow b;
    b.data = calloc(1, l2_kv_head_bytes(type, dim));
    b.floats = calloc(1, l2_kv_head_bytes(L2_KV_F32, dim));
    assert_non_null(b.data);
    assert_non_null(b.floats);
    b.kv = l2_kv_head_at(b.data, type, dim);
    b.f32 = l2_kv_head_at(b.floats, L2_KV_F32, dim);
    for (size_t slot = 0; slot < L2_KV_BLOCK; slot++) {
        float k[NARROW_DIM], v[NARROW_DIM];
        noise(k, dim, 21 + (unsigned)slot, 1 + (float)slot);
        noise(v, dim, 122 + (unsigned)slot, 3 / (1 + (float)slot));
        l2_kv_head_put(&b.kv, dim, slot, k, v);
        l2_kv_head_put(&b.f32, dim, slot, k, v);
    }
    return b;
}

/* Every key and value is within the error of its type, and put where it belongs. */
static void check_stored(const struct narrow *b, size_t dim)
{
    const float *fk = b->f32.k, *fv = b->f32.v;
    for (size_t slot = 0; slot < L2_KV_BLOCK; slot++) {
        float most_k = 0, most_v = 0;
        for (size_t d = 0; d < dim; d++) {
            most_k = fmaxf(most_k, fabsf(fk[d * L2_KV_BLOCK + slot]));
            most_v = fmaxf(most_v, fabsf(fv[slot * l2_kv_stride(dim) + d]));
        }
        for (size_t d = 0; d < dim; d++) {
            size_t at_k = d * L2_KV_BLOCK + slot, at_v = slot * l2_kv_stride(dim) + d;
            float k, v, bound_k, bound_v;
            if (b->kv.type == L2_KV_BF16) {
                k = l2_f32_from_bf16(((const uint16_t *)b->kv.k)[at_k]);
                v = l2_f32_from_bf16(((const uint16_t *)b->kv.v)[at_v]);
                bound_k = fabsf(fk[at_k]) / 256;
                bound_v = fabsf(fv[at_v]) / 256;
            } else {
                k = (float)((const int8_t *)b->kv.k)[at_k] * b->kv.k_scale[slot];
                v = (float)((const int8_t *)b->kv.v)[at_v] * b->kv.v_scale[slot];
                bound_k = most_k / 253; /* half a step, and a little for its rounding */
                bound_v = most_v / 253;
            }
            assert_true(fabsf(k - fk[at_k]) <= bound_k);
            assert_true(fabsf(v - fv[at_v]) <= bound_v);
            ((float *)b->f32.k)[at_k] = k;
            ((float *)b->f32.v)[at_v] = v;
        }
    }
}

/* One block's attention by each set and in groups of all sizes, against that over the floats which
 * the type's keys and values stand for: bf16 to the bit, 8 bits within rounding, since scales
 * multiply sums there; and all sets that are alike in fused to the bit. */
static void check_narrow(const struct narrow *b, size_t dim, size_t n)
{
    static float q[MAX_GROUP * NARROW_DIM], want[MAX_GROUP * NARROW_DIM],
        best[MAX_GROUP * NARROW_DIM], got[MAX_GROUP * NARROW_DIM];
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    float m[MAX_GROUP], l[MAX_GROUP];
    noise(q, MAX_GROUP * dim, 23, 0.05f);
    for (size_t s = 0; s < n_sets; s++)
        for (size_t group = 1; group <= MAX_GROUP; group += 8) {
            bool alike = sets[s]->fused == l2_simd_best()->fused;
            for (int way = 0; way < 3; way++) {
                float *o = way == 0 ? want : way == 1 ? got : best;
                memset(o, 0, sizeof want);
                for (size_t g = 0; g < group; g++)
                    m[g] = -INFINITY, l[g] = 0;
                (way == 2 ? l2_simd_best() : sets[s])
                    ->attend_block(q, group, dim, way == 0 ? &b->f32 : &b->kv, n, m, l, o);
                for (size_t i = 0; i < group * dim; i++)
                    o[i] /= l[i / dim];
            }
            if (b->kv.type == L2_KV_BF16)
                assert_memory_equal(got, want, sizeof want);
            if (alike)
                assert_memory_equal(got, best, sizeof best);
            for (size_t i = 0; i < group * dim; i++)
                assert_true(fabsf(got[i] - want[i]) < 2e-5f);
        }
}

static void test_attention_narrow(void **state)
{
    static const enum l2_kv_type types[] = {L2_KV_BF16, L2_KV_Q8};
    static const size_t dims[] = {2, 48, 64, 80, NARROW_DIM};
    (void)state;
    for (size_t t = 0; t < 2; t++)
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
            struct narrow b = narrow_new(types[t], dims[d]);
            check_stored(&b, dims[d]);
            for (size_t n = 1; n <= L2_KV_BLOCK; n += 21)
                check_narrow(&b, dims[d], n);
            free(b.data);
            free(b.floats);
        }
}

/* What cannot be kept in 8 bits is not kept as something else. */
static void test_q8_extremes(void **state)
{
    struct l2_kv_head h;
    float k[3] = {1, NAN, 2}, v[3] = {-INFINITY, 0, 1}, small[3] = {1e-31f, -1e-38f, 0},
          wide[3] = {3.4e38f, -3.4e38f, 1e30f}, q[3] = {1, 1, 1}, o[3] = {0}, m = -INFINITY, l = 0;
    void *data = malloc(l2_kv_head_bytes(L2_KV_Q8, 3));
    (void)state;
    assert_non_null(data);
    h = l2_kv_head_at(data, L2_KV_Q8, 3);
    l2_kv_head_put(&h, 3, 0, small, wide);
    assert_true(h.k_scale[0] == 0 && ((int8_t *)h.k)[0] == 0);
    assert_true(((int8_t *)h.v)[0] == 127 && ((int8_t *)h.v)[1] == -127 && ((int8_t *)h.v)[2] == 0);
    l2_kv_head_put(&h, 3, 1, k, v);
    assert_true(isnan(h.k_scale[1]) && isnan(h.v_scale[1]));
    l2_attend_block(q, 1, 3, &h, 1, &m, &l, o); /* what lies behind is without effect */
    assert_true(l == 1 && fabsf(o[0] / 3.4e38f - 1) < 1e-6f);
    l2_attend_block(q, 1, 3, &h, 2, &m, &l, o);
    assert_true(isnan(o[0]));
    free(data);
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
        cmocka_unit_test(test_attention_narrow),
        cmocka_unit_test(test_q8_extremes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
