/* Unit tests of training steps: losses against their formulas, gradients against differences,
 * optimiser, schedules, what is refused and planned, and energy. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern/ops.h"
#include "kern/simd.h"
#include "scratch.h"
#include "train_fixture.h"
#include "util/num.h"
#include "util/rapl.h"

/* ---- losses ---- */

static double softplus(double x)
{
    return log(1 + exp(x));
}

struct reward {
    struct l2_params *p;
    struct l2_trainer_opts o;
    struct l2_data_opts d;
    int fd;
};

/* The loss of one batch by its formula, from scores that a net gives. */
static double formula(const struct reward *w, double rated[L2_N_RATINGS],
                      double right[L2_N_RATINGS])
{
    struct l2_data *d = train_data(w->fd, &w->d);
    struct l2_net_opts no = {.max_rows = w->o.max_rows, .inference = true};
    struct l2_data_batch b;
    struct l2_net *net;
    double sum = 0;
    size_t n = 0;
    assert_int_equal(l2_net_new(&net, &w->p->hp, &no, &err), L2_OK);
    memset(rated, 0, L2_N_RATINGS * sizeof *rated);
    memset(right, 0, L2_N_RATINGS * sizeof *right);
    for (uint32_t i = 0; i < w->o.micro; i++) {
        assert_int_equal(l2_data_next(d, &b, &err), L2_OK);
        assert_int_equal(l2_net_forward(net, w->p, &b.net, &err), L2_OK);
        for (size_t k = 0; k < b.n_pairs; k++, n++) {
            const struct l2_data_pair *pair = &b.pairs[k];
            float r[2];
            l2_net_label_head(net, pair->rows, 2, r);
            double x = (double)r[0] - r[1] - pair->margin, both = (double)r[0] + r[1];
            assert_true(pair->margin == l2_margins_large[pair->rating]);
            sum += softplus(-x) + w->o.centre * both * both;
            for (int a = 0; a < 2; a++)
                if (pair->safe[a] >= 0)
                    sum += w->o.safety * softplus(pair->safe[a] ? -(double)r[a] : (double)r[a]);
            rated[pair->rating]++;
            right[pair->rating] += r[0] > r[1];
        }
    }
    l2_net_free(net);
    l2_data_free(d);
    return sum / (double)n;
}

static double mean_loss(const struct reward *w, struct l2_losses *losses)
{
    struct l2_data *d = train_data(w->fd, &w->d);
    struct l2_trainer *t = train_new(w->p, &w->o);
    assert_int_equal(l2_trainer_evaluate(t, d, w->o.micro, losses, &err), L2_OK);
    l2_trainer_free(t);
    l2_data_free(d);
    return losses->loss / (double)losses->n;
}

/* Margins by rating, the safety labels' loss and the centring term, alone and together; accuracies
 * by rating. */
static void test_pair_losses(void **state)
{
    static const double centres[] = {0, 0.01, 0, 0.02}, safeties[] = {0, 0, 0.5, 0.3};
    struct l2_hparams hp = train_reward_hp();
    struct reward w = {.p = train_params(&hp, false),
                       .o = train_opts(L2_DATA_PAIRS),
                       .d = train_data_opts(L2_DATA_PAIRS),
                       .fd = train_pairs(24)};
    double seen[4];
    (void)state;
    w.o.micro = 12; /* all of them */
    for (size_t i = 0; i < 4; i++) {
        struct l2_losses losses;
        double rated[L2_N_RATINGS], right[L2_N_RATINGS];
        w.o.centre = centres[i];
        w.o.safety = safeties[i];
        seen[i] = formula(&w, rated, right);
        assert_true(fabs(mean_loss(&w, &losses) / seen[i] - 1) < 1e-6);
        assert_true(i == 0 || fabs(seen[i] - seen[0]) > 1e-4);
        for (size_t k = 0; k < L2_N_RATINGS; k++) {
            assert_true(rated[k] > 0 && losses.n_rated[k] == (uint64_t)rated[k]);
            assert_true(losses.right_rated[k] == right[k]);
        }
    }
    l2_params_free(w.p);
    close(w.fd);
}

/* Differences of the loss along weights of the head, an embedding and a matrix. */
static void test_pair_gradients(void **state)
{
    static const struct {
        enum l2_role role;
        size_t at;
    } places[] = {{L2_T_SCORE, 3}, {L2_T_SCORE, 11}, {L2_T_EMBED, 24}, {L2_T_DOWN, 70}};
    struct l2_hparams hp = train_reward_hp();
    struct reward w = {.p = train_params(&hp, false),
                       .o = train_opts(L2_DATA_PAIRS),
                       .d = train_data_opts(L2_DATA_PAIRS),
                       .fd = train_pairs(24)};
    struct l2_step step;
    struct l2_losses losses;
    (void)state;
    w.o.centre = 0.05;
    w.o.safety = 0.4;
    struct l2_data *d = train_data(w.fd, &w.d);
    struct l2_trainer *t = train_new(w.p, &w.o);
    assert_int_equal(l2_trainer_gradients(t, d, &step, &err), L2_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        float *at = l2_params_at(w.p, places[i].role, 0) + places[i].at, was = *at;
        double got = l2_params_at(l2_trainer_grads(t), places[i].role, 0)[places[i].at];
        *at = was + 4e-3f;
        double up = mean_loss(&w, &losses);
        *at = was - 4e-3f;
        double down = mean_loss(&w, &losses);
        *at = was;
        double want = (up - down) / 8e-3;
        assert_true(fabs(got - want) < 2e-3 * (fabs(want) + 0.05));
    }
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(w.p);
    close(w.fd);
}

/* ---- the optimiser ---- */

/* AdamW of one value in double, as its paper has it. */
static void test_adamw(void **state)
{
    const struct l2_adamw_opts o = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1};
    float p[3] = {1, -2, 0.5f}, g[3], m[3] = {0}, v[3] = {0};
    double wp[3] = {1, -2, 0.5}, wm[3] = {0}, wv[3] = {0};
    struct l2_adamw_array a = {.p.f32 = p, .m.f32 = m, .v.f32 = v, .g = g, .n = 3, .decayed = true};
    (void)state;
    for (uint64_t step = 1; step <= 20; step++) {
        for (size_t i = 0; i < 3; i++) {
            double x = sin((double)(step * 3 + i)), scaled = 0.5 * x;
            g[i] = (float)x;
            wm[i] = 0.9 * wm[i] + 0.1 * scaled;
            wv[i] = 0.95 * wv[i] + 0.05 * scaled * scaled;
            double mean = wm[i] / (1 - pow(0.9, (double)step));
            double square = wv[i] / (1 - pow(0.95, (double)step));
            wp[i] -= 0.01 * 0.1 * wp[i];
            wp[i] -= 0.01 * mean / (sqrt(square) + 1e-5);
        }
        l2_adamw_array_step(&o, step, &a, 0.5, 0.01, NULL);
        for (size_t i = 0; i < 3; i++) {
            assert_true(fabs(p[i] - wp[i]) < 1e-6);
            assert_true(g[i] == 0);
        }
    }
}

/* All sets of kernels give the same bits, tails included. */
static void test_adamw_sets(void **state)
{
    const struct l2_adamw_rates r = {0.9f, 0.95f, 1e-5f, 0.01f, 0.5f, 2, 3, 0.999f};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    (void)state;
    for (size_t n = 1; n < 50; n++) {
        float first[4][50], row[4][50];
        for (size_t s = 0; s < n_sets; s++) {
            uint32_t seed = (uint32_t)n;
            for (size_t i = 0; i < 200; i++)
                row[i / 50][i % 50] = i < 150 ? train_noise(&seed) : fabsf(train_noise(&seed));
            sets[s]->adamw(row[0], row[1], row[2], row[3], n, &r);
            if (s == 0)
                memcpy(first, row, sizeof row);
            assert_memory_equal(first, row, sizeof row);
        }
    }
}

/* Steps far below the precision of bf16 add up in the mean, whatever the pool; and the same call
 * rounds the same way. */
static void test_random_rounding(void **state)
{
    enum { N = 40000 };
    struct l2_adamw_opts o = l2_adamw_defaults;
    uint16_t *p = malloc(N * sizeof *p), *again = malloc(N * sizeof *again);
    float *g = malloc(N * sizeof *g), *m = calloc(N, sizeof *m), *v = calloc(N, sizeof *v);
    struct l2_pool *pool;
    double sum = 0;
    (void)state;
    assert_true(p && again && g && m && v);
    assert_int_equal(l2_pool_new(&pool, 3, &err), L2_OK);
    o.weight_decay = 0;
    for (int round = 0; round < 2; round++) {
        struct l2_adamw_array a = {.p.bf16 = round ? again : p,
                                   .m.f32 = m,
                                   .v.f32 = v,
                                   .g = g,
                                   .n = N,
                                   .number = 12345678901};
        memset(m, 0, N * sizeof *m);
        memset(v, 0, N * sizeof *v);
        for (size_t i = 0; i < N; i++)
            a.p.bf16[i] = l2_bf16_from_f32(1);
        for (uint64_t step = 1; step <= 10; step++) {
            for (size_t i = 0; i < N; i++)
                g[i] = 1;
            l2_adamw_array_step(&o, step, &a, 1, 1e-4, round ? pool : NULL);
        }
    }
    assert_memory_equal(p, again, N * sizeof *p);
    for (size_t i = 0; i < N; i++) {
        sum += l2_f32_from_bf16(p[i]);
        assert_true(l2_f32_from_bf16(p[i]) <= 1 && l2_f32_from_bf16(p[i]) > 0.94f);
    }
    assert_true(fabs(sum / N - 0.999) < 1e-4); /* the precision there is 4e-3 */
    l2_pool_free(pool);
    free(p);
    free(again);
    free(g);
    free(m);
    free(v);
}

static void test_schedules(void **state)
{
    struct l2_schedule s = {
        .kind = L2_SCHEDULE_COSINE, .peak = 2, .least = 0.1, .warmup = 10, .total = 110};
    (void)state;
    assert_true(l2_schedule_at(&s, 1) == 0.2 && l2_schedule_at(&s, 10) == 2);
    assert_true(fabs(l2_schedule_at(&s, 60) - 1.1) < 1e-12); /* half way */
    assert_true(fabs(l2_schedule_at(&s, 110) - 0.2) < 1e-12 && l2_schedule_at(&s, 1000) == 0.2);
    for (uint64_t i = 11; i < 111; i++)
        assert_true(l2_schedule_at(&s, i) < l2_schedule_at(&s, i - 1));
    s.kind = L2_SCHEDULE_LINEAR;
    assert_true(fabs(l2_schedule_at(&s, 35) - 1.55) < 1e-12);
    s.kind = L2_SCHEDULE_CONSTANT;
    assert_true(l2_schedule_at(&s, 109) == 2 && l2_schedule_at(&s, 5) == 1);
}

/* ---- what can be trained ---- */

/* The loss falls over steps on the same few examples. */
static void check_learns(enum l2_data_kind kind, const struct l2_trainer_opts *o, bool half)
{
    struct l2_hparams hp = kind == L2_DATA_PAIRS ? train_reward_hp() : train_hp;
    struct l2_data_opts dopts = train_data_opts(kind);
    int fd = kind == L2_DATA_PAIRS ? train_pairs(16) : train_texts(16);
    struct l2_params *p = train_params(&hp, half);
    struct l2_data *d = train_data(fd, &dopts);
    struct l2_trainer *t = train_new(p, o);
    struct l2_step step;
    double first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(l2_trainer_step(t, d, &step, &err), L2_OK);
        last = step.sums.loss / (double)step.sums.n;
        first = i == 0 ? last : first;
    }
    assert_true(last < 0.7 * first);
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(p);
    close(fd);
}

static void test_kinds_of_training(void **state)
{
    struct l2_trainer_opts text = train_opts(L2_DATA_TEXT), pair = train_opts(L2_DATA_PAIRS);
    (void)state;
    check_learns(L2_DATA_TEXT, &text, false);
    text.moments = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, false);
    text.weights = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, true);
    text.products = L2_BF16;
    text.recompute = true;
    check_learns(L2_DATA_TEXT, &text, true);
    check_learns(L2_DATA_PAIRS, &pair, false);
    text = train_opts(L2_DATA_TEXT);
    text.lora = (struct l2_lora_opts){.rank = 8, .alpha = 16, .roles = L2_LORA_ALL};
    text.schedule.peak = 0.03;
    check_learns(L2_DATA_TEXT, &text, false);
    text.weights = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, true);
    pair.lora = (struct l2_lora_opts){.rank = 2, .alpha = 4, .roles = L2_LORA_ATTENTION};
    check_learns(L2_DATA_PAIRS, &pair, false);
    pair.weights = pair.moments = L2_BF16;
    check_learns(L2_DATA_PAIRS, &pair, true);
}

/* With adapters nothing else changes, but for the label head. */
static void test_adapters_alone(void **state)
{
    struct l2_hparams hp = train_reward_hp();
    struct l2_trainer_opts o = train_opts(L2_DATA_PAIRS);
    struct l2_data_opts dopts = train_data_opts(L2_DATA_PAIRS);
    struct l2_params *p = train_params(&hp, false), *was = train_params(&hp, false);
    int fd = train_pairs(9);
    struct l2_step step;
    (void)state;
    o.lora = (struct l2_lora_opts){.rank = 2, .alpha = 4, .roles = L2_LORA_ALL};
    struct l2_data *d = train_data(fd, &dopts);
    struct l2_trainer *t = train_new(p, &o);
    for (int i = 0; i < 3; i++)
        assert_int_equal(l2_trainer_step(t, d, &step, &err), L2_OK);
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&hp, i, &role, &layer);
        l2_role_shape(&hp, role, &rows, &cols);
        bool same = memcmp(l2_params_at(p, role, layer), l2_params_at(was, role, layer),
                           (size_t)rows * cols * sizeof(float)) == 0;
        assert_int_equal(same, role != L2_T_SCORE);
    }
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(p);
    l2_params_free(was);
    close(fd);
}

static void test_refused(void **state)
{
    struct l2_hparams hp = train_reward_hp();
    struct l2_params *text = train_params(&train_hp, false), *pair = train_params(&hp, false),
                     *half = train_params(&train_hp, true);
    struct l2_trainer_opts o = train_opts(L2_DATA_TEXT);
    struct l2_trainer *t;
    (void)state;
    assert_int_equal(l2_trainer_new(&t, pair, &o, &err), L2_ARGUMENT);
    assert_int_equal(l2_trainer_new(&t, half, &o, &err), L2_ARGUMENT);
    o.lora = (struct l2_lora_opts){.rank = 1000, .alpha = 1, .roles = L2_LORA_ALL};
    assert_int_equal(l2_trainer_new(&t, text, &o, &err), L2_ARGUMENT);
    o = train_opts(L2_DATA_PAIRS);
    assert_int_equal(l2_trainer_new(&t, text, &o, &err), L2_ARGUMENT);
    l2_params_free(text);
    l2_params_free(pair);
    l2_params_free(half);
}

/* The plan is what is allocated; a 7b model with adapters takes less than 24 GB, in full more. */
static void test_plan(void **state)
{
    struct l2_hparams hp = {.dim = 4096,
                            .hidden = 11008,
                            .n_layers = 32,
                            .n_heads = 32,
                            .n_kv_heads = 32,
                            .head_dim = 128,
                            .vocab_size = 32000,
                            .context = 4096,
                            .norm_eps = 1e-5f,
                            .rope_theta = 10000};
    struct l2_trainer_opts o = {.kind = L2_DATA_ANSWERS, .max_rows = 4096, .recompute = true};
    struct l2_memory_plan all = l2_trainer_plan(&hp, &o);
    uint64_t n = l2_hparams_parameters(&hp);
    (void)state;
    assert_true(all.weights == 4 * n && all.gradients == 4 * n && all.moments == 8 * n);
    assert_true(all.all > 107000000000);
    o.moments = o.weights = L2_BF16;
    struct l2_memory_plan half = l2_trainer_plan(&hp, &o);
    assert_true(half.weights < 2.01 * (double)n && half.moments < 4.01 * (double)n);
    o.moments = L2_F32;
    o.lora = (struct l2_lora_opts){.rank = 16, .alpha = 32, .roles = L2_LORA_ALL};
    struct l2_memory_plan lora = l2_trainer_plan(&hp, &o);
    assert_true(lora.all < 24000000000 && lora.gradients == 0 && lora.moments == 0);
    assert_int_equal(lora.adapters, 4 * 4 * 39976960); /* parameters of rank 16, as PEFT counts */
}

/* ---- energy ---- */

/* Two packages, one of which begins again; a third that cannot be read. */
static void test_energy(void **state)
{
    char dir[SCRATCH_PATH];
    struct l2_rapl r;
    (void)state;
    scratch_make(dir);
    assert_false(l2_rapl_open(&r, dir));
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:0"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:2"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:3"), 0700), 0);
    scratch_write_str(dir, "intel-rapl:0/energy_uj", "1000000\n");
    scratch_write_str(dir, "intel-rapl:2/energy_uj", "9000000\n");
    scratch_write_str(dir, "intel-rapl:2/max_energy_range_uj", "10000000\n");
    scratch_write_str(dir, "intel-rapl:3/energy_uj", "?\n");
    assert_true(l2_rapl_open(&r, dir) && r.n == 2);
    scratch_write_str(dir, "intel-rapl:0/energy_uj", "3500000\n");
    scratch_write_str(dir, "intel-rapl:2/energy_uj", "500000\n");
    l2_rapl_update(&r);
    assert_true(fabs(r.joules - (2.5 + 1.5)) < 1e-9);
    l2_rapl_update(&r);
    assert_true(fabs(r.joules - 4) < 1e-9);
    scratch_remove(scratch_path(dir, "intel-rapl:0"));
    scratch_remove(scratch_path(dir, "intel-rapl:2"));
    scratch_remove(scratch_path(dir, "intel-rapl:3"));
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_losses),
        cmocka_unit_test(test_pair_gradients),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_adamw_sets),
        cmocka_unit_test(test_random_rounding),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_kinds_of_training),
        cmocka_unit_test(test_adapters_alone),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_energy),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
