/* Unit tests of the differentiable model: gradients against central differences of a reference in
 * double, options that must not change results, batches that are refused. */
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

#include "nn/net.h"
#include "ref_net.h"
#include "util/num.h"

#define MAX_ROWS 400

static const struct l2_hparams base_hp = {.head = L2_HEAD_VOCAB,
                                          .dim = 20,
                                          .hidden = 28,
                                          .n_layers = 2,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .head_dim = 6,
                                          .vocab_size = 37,
                                          .context = 512,
                                          .norm_eps = 1e-5f,
                                          .rope_theta = 10000};

/* Two trees: a prompt that two completions share, one of which forks again; and a sequence alone
 * that is longer than attention's blocks. */
static const struct l2_span spans[] = {
    {0, 7, L2_NO_PARENT}, {7, 5, 0}, {12, 140, L2_NO_PARENT}, {152, 70, 0}, {222, 3, 3}};
#define N_ROWS    225
#define N_SPANS   (sizeof spans / sizeof *spans)
#define N_TARGETS 9
static const struct l2_target targets[N_TARGETS] = {{0, 3},   {6, 36},  {6, 4},   {6, 4},  {11, 0},
                                                    {100, 9}, {151, 1}, {221, 2}, {224, 5}};
static const float coefficient[N_TARGETS] = {-0.5f, -0.25f, 0.3f,  -0.7f, -0.2f,
                                             -1,    -0.4f,  -0.6f, 0.9f};

static float noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1;
}

static struct l2_params *params_new(const struct l2_hparams *hp, uint32_t seed)
{
    struct l2_params *p;
    struct l2_err err = {0};
    assert_int_equal(l2_params_new(&p, hp, &err), L2_OK);
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &rows, &cols);
        for (size_t j = 0; j < (size_t)rows * cols; j++)
            p->values[p->offset[i] + j] =
                noise(&seed) * 0.4f + (rows == 1 && !l2_roles[role].decayed ? 1 : 0);
    }
    return p;
}

static const uint32_t *tokens(void)
{
    static uint32_t t[N_ROWS];
    uint32_t seed = 9;
    for (size_t i = 0; i < N_ROWS; i++)
        t[i] = (uint32_t)((noise(&seed) + 1) * 18);
    return t;
}

static struct l2_net_batch batch(void)
{
    return (struct l2_net_batch){tokens(), N_ROWS, spans, N_SPANS};
}

static struct l2_net *net_new(const struct l2_hparams *hp, const struct l2_net_opts *opts)
{
    struct l2_net *net;
    struct l2_err err = {0};
    assert_int_equal(l2_net_new(&net, hp, opts, &err), L2_OK);
    return net;
}

/* One forward and backward pass of the test's loss; value (N_TARGETS). */
static struct l2_params *gradients(const struct l2_params *p, const struct l2_net_opts *opts,
                                   float *value)
{
    struct l2_err err = {0};
    struct l2_net *net = net_new(&p->hp, opts);
    struct l2_net_batch b = batch();
    struct l2_params *grads;
    assert_int_equal(l2_params_new(&grads, &p->hp, &err), L2_OK);
    assert_int_equal(l2_net_forward(net, p, &b, &err), L2_OK);
    if (p->hp.head == L2_HEAD_VOCAB) {
        assert_int_equal(
            l2_net_vocab_head(net, targets, N_TARGETS, coefficient, grads, value, NULL, &err),
            L2_OK);
    } else {
        for (uint32_t t = 0; t < N_TARGETS; t++) {
            float all[4], d[4] = {0};
            d[t % p->hp.n_labels] = coefficient[t];
            l2_net_label_head(net, &targets[t].row, 1, all);
            value[t] = all[t % p->hp.n_labels];
            l2_net_label_head_bwd(net, &targets[t].row, 1, d, grads);
        }
    }
    l2_net_backward(net, grads);
    l2_net_free(net);
    return grads;
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Moves tensor i along a random direction, and along the gradient itself. */
static void check_tensor(const struct l2_params *p, const struct l2_params *grads, double *values,
                         const struct ref_loss *loss, size_t i)
{
    size_t first = p->offset[i], n = p->offset[i + 1] - first;
    double size = norm_of(grads->values + first, n);
    uint32_t seed = (uint32_t)i + 77;
    float *step = malloc(n * sizeof *step);
    assert_non_null(step);
    assert_true(size > 0);
    for (int along = 0; along < 2; along++) {
        double want, got = 0, length, side[2];
        for (size_t j = 0; j < n; j++)
            step[j] = along ? grads->values[first + j] : noise(&seed);
        length = norm_of(step, n);
        for (int s = 0; s < 2; s++) {
            for (size_t j = 0; j < n; j++)
                values[first + j] =
                    (double)p->values[first + j] + (s ? 1e-5 : -1e-5) * (double)step[j] / length;
            side[s] = ref_loss(p, values, loss, NULL);
        }
        want = (side[1] - side[0]) / 2e-5;
        for (size_t j = 0; j < n; j++) {
            got += (double)grads->values[first + j] * (double)step[j] / length;
            values[first + j] = (double)p->values[first + j];
        }
        if (fabs(got - want) > 1e-5 * size)
            fail_msg("tensor %zu: derivative %.9g, want %.9g, norm %.9g", i, got, want, size);
    }
    free(step);
}

static void check_gradients(const struct l2_hparams *hp)
{
    struct l2_params *p = params_new(hp, 5);
    struct l2_net_opts opts = {.max_rows = MAX_ROWS};
    struct l2_net_batch b = batch();
    struct ref_loss loss = {&b, targets, coefficient, N_TARGETS};
    float value[N_TARGETS];
    double want[N_TARGETS];
    struct l2_params *grads = gradients(p, &opts, value);
    size_t n = p->offset[p->n_tensors];
    double *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = (double)p->values[i];
    (void)ref_loss(p, values, &loss, want);
    for (size_t t = 0; t < N_TARGETS; t++)
        assert_true(fabs((double)value[t] - want[t]) <= 1e-5 * (1 + fabs(want[t])));
    for (size_t i = 0; i < p->n_tensors; i++)
        check_tensor(p, grads, values, &loss, i);
    free(values);
    l2_params_free(grads);
    l2_params_free(p);
}

static void test_central_differences(void **state)
{
    struct l2_hparams hp = base_hp;
    (void)state;
    check_gradients(&hp);
    hp.tied = true;
    hp.n_kv_heads = 4;
    check_gradients(&hp);
}

static void test_biases_and_labels(void **state)
{
    struct l2_hparams hp = base_hp;
    (void)state;
    hp.attention_bias = hp.mlp_bias = true;
    hp.head = L2_HEAD_LABELS;
    hp.n_labels = 2;
    check_gradients(&hp);
}

struct lora_test {
    struct l2_params *p;
    struct l2_lora *lora;
    double *values; /* of a model with the adapters merged */
    struct ref_loss loss;
};

/* The loss with adapters, where value number moved of theirs is moved by step. */
static double lora_loss(const struct lora_test *t, size_t moved, double step)
{
    const struct l2_lora *l = t->lora;
    for (size_t i = 0; i < t->p->offset[t->p->n_tensors]; i++)
        t->values[i] = (double)t->p->values[i];
    for (size_t i = 0; i < t->p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        float *a, *b;
        l2_tensor_at(&t->p->hp, i, &role, &layer);
        l2_role_shape(&t->p->hp, role, &rows, &cols);
        if (!l2_lora_at(l, role, layer, &a, &b))
            continue;
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < (size_t)l->opts.rank * cols; k++) {
                const float *bp = b + r * l->opts.rank + k / cols, *ap = a + k;
                double bv = (double)*bp + ((size_t)(bp - l->values) == moved ? step : 0);
                double av = (double)*ap + ((size_t)(ap - l->values) == moved ? step : 0);
                t->values[t->p->offset[i] + r * cols + k % cols] +=
                    (double)l->opts.alpha / l->opts.rank * av * bv;
            }
    }
    return ref_loss(t->p, t->values, &t->loss, NULL);
}

/* Each value of a projection's adapters by itself; the weights stay as they are. */
static void test_lora(void **state)
{
    const struct l2_lora_opts lora_opts = {3, 6, L2_LORA_ALL & ~L2_LORA_BIT(L2_T_K)};
    struct l2_net_opts opts = {.max_rows = MAX_ROWS, .lora_rank = 3, .recompute = true};
    struct l2_net_batch b = batch();
    struct l2_err err = {0};
    float value[N_TARGETS], merged[N_TARGETS];
    struct lora_test t = {.p = params_new(&base_hp, 6),
                          .loss = {&b, targets, coefficient, N_TARGETS}};
    struct l2_lora *grads, *large;
    struct l2_net *net = net_new(&base_hp, &opts);
    uint32_t seed = 4;
    (void)state;
    assert_int_equal(l2_lora_new(&t.lora, &base_hp, &lora_opts, &err), L2_OK);
    assert_int_equal(l2_lora_new(&grads, &base_hp, &lora_opts, &err), L2_OK);
    l2_lora_init(t.lora, 11);
    for (size_t i = 0; i < t.lora->n; i++)
        t.lora->values[i] += 0.1f * noise(&seed);
    assert_int_equal(l2_net_set_lora(net, t.lora, grads, &err), L2_OK);
    assert_int_equal(l2_net_forward(net, t.p, &b, &err), L2_OK);
    assert_int_equal(
        l2_net_vocab_head(net, targets, N_TARGETS, coefficient, NULL, value, NULL, &err), L2_OK);
    l2_net_backward(net, NULL);

    t.values = malloc(t.p->offset[t.p->n_tensors] * sizeof *t.values);
    assert_non_null(t.values);
    for (int role = L2_T_Q; role <= L2_T_DOWN; role++) {
        float *a, *from, *unused;
        if (!l2_lora_at(t.lora, (enum l2_role)role, 1, &a, &from))
            continue;
        (void)l2_lora_at(grads, (enum l2_role)role, 1, &a, &unused);
        size_t at[] = {(size_t)(a - grads->values) + 4, (size_t)(from - t.lora->values) + 7};
        for (int i = 0; i < 2; i++) {
            double up = lora_loss(&t, at[i], 1e-5), down = lora_loss(&t, at[i], -1e-5);
            double want = (up - down) / 2e-5, got = (double)grads->values[at[i]];
            assert_true(fabs(got - want) < 2e-5 * (0.1 + fabs(want)));
        }
    }

    assert_int_equal(l2_net_set_lora(net, NULL, NULL, &err), L2_OK);
    l2_lora_merge(t.p, t.lora, NULL);
    assert_int_equal(l2_net_forward(net, t.p, &b, &err), L2_OK);
    assert_int_equal(l2_net_vocab_head(net, targets, N_TARGETS, NULL, NULL, merged, NULL, &err),
                     L2_OK);
    for (size_t i = 0; i < N_TARGETS; i++)
        assert_true(fabsf(value[i] - merged[i]) < 2e-5f);

    assert_int_equal(l2_lora_new(&large, &base_hp, &(struct l2_lora_opts){4, 1, L2_LORA_ALL}, &err),
                     L2_OK);
    assert_int_equal(l2_net_set_lora(net, large, NULL, &err), L2_ARGUMENT);
    l2_lora_free(large);
    assert_int_equal(
        l2_lora_new(&large, &base_hp, &(struct l2_lora_opts){13, 1, L2_LORA_ALL}, &err),
        L2_ARGUMENT);
    assert_int_equal(
        l2_lora_new(&large, &base_hp, &(struct l2_lora_opts){1, 1, L2_LORA_BIT(L2_T_EMBED)}, &err),
        L2_ARGUMENT);
    assert_null(large);
    free(t.values);
    l2_lora_free(t.lora);
    l2_lora_free(grads);
    l2_net_free(net);
    l2_params_free(t.p);
}

/* Parameters frozen in bf16 give what the same values give in f32, in half the memory. */
static void test_frozen(void **state)
{
    struct l2_net_opts opts = {.max_rows = MAX_ROWS, .lora_rank = 2};
    struct l2_lora_opts lora_opts = {2, 1, L2_LORA_ATTENTION};
    struct l2_params *p = params_new(&base_hp, 6), *frozen;
    struct l2_net_batch b = batch();
    struct l2_lora *lora, *grads[2];
    struct l2_net *net = net_new(&base_hp, &opts);
    struct l2_err err = {0};
    float value[2][N_TARGETS], rows[2][3 * 20];
    size_t n = p->offset[p->n_tensors];
    (void)state;
    assert_int_equal(l2_params_new_frozen(&frozen, &base_hp, &err), L2_OK);
    assert_int_equal(l2_lora_new(&lora, &base_hp, &lora_opts, &err), L2_OK);
    l2_lora_init(lora, 3);
    lora->values[lora->n - 2] = 0.5f;
    for (size_t i = 0; i < n; i++)
        p->values[i] = l2_f32_from_bf16(l2_bf16_from_f32(p->values[i]));
    for (size_t i = 0; i < p->n_tensors; i++) {
        size_t size = p->offset[i + 1] - p->offset[i];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&base_hp, i, &role, &layer);
        float *at = l2_params_at(frozen, role, layer);
        assert_true((at == NULL) == l2_roles[role].decayed);
        if (at)
            memcpy(at, p->values + p->offset[i], size * sizeof *at);
        for (size_t j = 0; !at && j < size; j++)
            frozen->frozen[frozen->offset[i] + j] = l2_bf16_from_f32(p->values[p->offset[i] + j]);
    }
    assert_int_equal(l2_net_forward(net, frozen, &b, &err), L2_ARGUMENT);
    l2_net_free(net);
    opts.frozen = true;
    net = net_new(&base_hp, &opts);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(l2_lora_new(&grads[i], &base_hp, &lora_opts, &err), L2_OK);
        assert_int_equal(l2_net_set_lora(net, lora, grads[i], &err), L2_OK);
        assert_int_equal(l2_net_forward(net, i ? frozen : p, &b, &err), L2_OK);
        assert_int_equal(
            l2_net_vocab_head(net, targets, N_TARGETS, coefficient, NULL, value[i], NULL, &err),
            L2_OK);
        l2_net_backward(net, NULL);
        struct l2_lora_merged merged = {i ? frozen : p, lora};
        assert_int_equal(l2_lora_merged_rows(&merged, L2_T_V, 1, 4, 3, rows[i], &err), L2_OK);
    }
    assert_memory_equal(value[0], value[1], sizeof value[0]);
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    for (size_t i = 0; i < lora->n; i++)
        assert_true(fabsf(grads[0]->values[i] - grads[1]->values[i]) <=
                    1e-5f * (1 + fabsf(grads[0]->values[i])));
    l2_lora_merge(p, lora, NULL);
    assert_memory_equal(rows[0], l2_params_at(p, L2_T_V, 1) + (size_t)4 * 20, sizeof rows[0]);
    l2_lora_free(lora);
    l2_lora_free(grads[0]);
    l2_lora_free(grads[1]);
    l2_net_free(net);
    l2_params_free(frozen);
    l2_params_free(p);
}

/* Memory saved and threads added change no bit. */
static void test_equal_bits(void **state)
{
    struct l2_params *p = params_new(&base_hp, 6);
    struct l2_net_opts opts = {.max_rows = MAX_ROWS};
    struct l2_err err = {0};
    float value[N_TARGETS], other[N_TARGETS];
    size_t bytes = p->offset[p->n_tensors] * sizeof *p->values;
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        opts = (struct l2_net_opts){.max_rows = MAX_ROWS, .products = bf16 ? L2_BF16 : L2_F32};
        struct l2_params *grads = gradients(p, &opts, value);
        for (int threads = 1; threads <= 3; threads += 2) {
            assert_int_equal(l2_pool_new(&opts.pool, threads, &err), L2_OK);
            opts.recompute = threads == 3;
            struct l2_params *again = gradients(p, &opts, other);
            assert_memory_equal(value, other, sizeof value);
            assert_memory_equal(grads->values, again->values, bytes);
            l2_params_free(again);
            l2_pool_free(opts.pool);
        }
        l2_params_free(grads);
    }
    l2_params_free(p);
}

/* A prompt computed once gives what each of its continuations gives alone. */
static void test_shared_prompt(void **state)
{
    static const struct l2_span apart[] = {{0, 12, L2_NO_PARENT}, {12, 17, L2_NO_PARENT}};
    static const struct l2_span shared[] = {{0, 7, L2_NO_PARENT}, {7, 5, 0}, {12, 10, 0}};
    static const struct l2_target at_apart[] = {{6, 3}, {11, 8}, {18, 5}, {28, 9}};
    static const struct l2_target at_shared[] = {{6, 3}, {6, 5}, {11, 8}, {21, 9}};
    static const float c_apart[] = {-1, -2, -3, -4}, c_shared[] = {-1, -3, -2, -4};
    uint32_t two[29];
    struct l2_net_opts opts = {.max_rows = 29};
    struct l2_err err = {0};
    struct l2_params *p = params_new(&base_hp, 8), *g[2];
    struct l2_net *net = net_new(&base_hp, &opts);
    float value[2][4];
    (void)state;
    memcpy(two, tokens(), 12 * sizeof *two);
    memcpy(two + 12, two, 7 * sizeof *two);
    memcpy(two + 19, tokens() + 12, 10 * sizeof *two);
    for (int i = 0; i < 2; i++) {
        struct l2_net_batch b = {i ? tokens() : two, i ? 22 : 29, i ? shared : apart, i ? 3 : 2};
        assert_int_equal(l2_params_new(&g[i], &base_hp, &err), L2_OK);
        assert_int_equal(l2_net_forward(net, p, &b, &err), L2_OK);
        assert_int_equal(l2_net_vocab_head(net, i ? at_shared : at_apart, 4, i ? c_shared : c_apart,
                                           g[i], value[i], NULL, &err),
                         L2_OK);
        l2_net_backward(net, g[i]);
    }
    assert_true(fabsf(value[0][2] - value[1][1]) < 1e-5f);
    assert_true(fabsf(value[0][3] - value[1][3]) < 1e-5f);
    for (size_t i = 0; i < p->n_tensors; i++) {
        size_t first = p->offset[i], n = p->offset[i + 1] - first;
        double size = norm_of(g[0]->values + first, n);
        for (size_t j = first; j < first + n; j++)
            g[1]->values[j] -= g[0]->values[j];
        assert_true(norm_of(g[1]->values + first, n) <= 1e-5 * size);
    }
    l2_net_free(net);
    l2_params_free(g[0]);
    l2_params_free(g[1]);
    l2_params_free(p);
}

/* Without a backward pass: the same values in less memory; entropy by its definition. */
static void test_inference(void **state)
{
    struct l2_params *p = params_new(&base_hp, 6);
    struct l2_net_opts train = {.max_rows = MAX_ROWS},
                       infer = {.max_rows = MAX_ROWS, .inference = true};
    struct l2_net *net = net_new(&base_hp, &infer);
    struct l2_net_batch b = batch();
    struct l2_target every[37];
    struct l2_err err = {0};
    float value[N_TARGETS], other[N_TARGETS], all[37], entropy[37];
    double want = 0, total = 0;
    (void)state;
    assert_true(l2_net_bytes(&base_hp, &infer) < l2_net_bytes(&base_hp, &train));
    l2_params_free(gradients(p, &train, value));
    assert_int_equal(l2_net_forward(net, p, &b, &err), L2_OK);
    assert_int_equal(l2_net_vocab_head(net, targets, N_TARGETS, NULL, NULL, other, NULL, &err),
                     L2_OK);
    assert_memory_equal(value, other, sizeof value);
    for (uint32_t i = 0; i < 37; i++)
        every[i] = (struct l2_target){50, i};
    assert_int_equal(l2_net_vocab_head(net, every, 37, NULL, NULL, all, entropy, &err), L2_OK);
    for (int i = 0; i < 37; i++) {
        total += exp((double)all[i]);
        want -= exp((double)all[i]) * (double)all[i];
    }
    assert_true(fabs(total - 1) < 1e-5 && fabs((double)entropy[36] - want) < 1e-5);
    l2_net_free(net);
    l2_params_free(p);
}

/* bf16 has 8 bits: the gradient of a tensor points the same way within a few parts in a hundred. */
static void test_bf16(void **state)
{
    struct l2_params *p = params_new(&base_hp, 6);
    struct l2_net_opts opts = {.max_rows = MAX_ROWS};
    float value[N_TARGETS], rounded[N_TARGETS];
    struct l2_params *exact = gradients(p, &opts, value), *grads;
    (void)state;
    opts.products = L2_BF16;
    grads = gradients(p, &opts, rounded);
    assert_memory_not_equal(value, rounded, sizeof value);
    for (size_t t = 0; t < N_TARGETS; t++)
        assert_true(fabsf(value[t] - rounded[t]) < 0.15f);
    for (size_t i = 0; i < p->n_tensors; i++) {
        size_t first = p->offset[i], n = p->offset[i + 1] - first;
        double size = norm_of(exact->values + first, n);
        for (size_t j = first; j < first + n; j++)
            grads->values[j] -= exact->values[j];
        assert_true(norm_of(grads->values + first, n) < 0.1 * size);
    }
    l2_params_free(grads);
    l2_params_free(exact);
    l2_params_free(p);
}

static void test_refused(void **state)
{
    static const struct l2_span gap[] = {{0, 3, L2_NO_PARENT}, {4, 3, L2_NO_PARENT}};
    static const struct l2_span forward[] = {{0, 3, 1}, {3, 4, L2_NO_PARENT}};
    static const struct l2_span empty[] = {{0, 7, L2_NO_PARENT}, {7, 0, 0}};
    static const struct l2_span shorter[] = {{0, 6, L2_NO_PARENT}};
    static const struct l2_span whole[] = {{0, 7, L2_NO_PARENT}};
    static const uint32_t high[] = {1, 2, 3, 4, 5, 6, 37};
    const struct l2_net_batch bad[] = {{tokens(), 7, gap, 2},   {tokens(), 7, forward, 2},
                                       {tokens(), 7, empty, 2}, {tokens(), 7, shorter, 1},
                                       {high, 7, whole, 1},     {tokens(), 0, whole, 0},
                                       {tokens(), 9, spans, 2}};
    const struct l2_target bad_targets[][2] = {
        {{7, 1}, {7, 1}}, {{0, 37}, {1, 1}}, {{3, 1}, {2, 1}}};
    struct l2_net_batch good = {tokens(), 7, whole, 1};
    struct l2_net_opts opts = {.max_rows = 8}, none = {0};
    struct l2_hparams hp = base_hp;
    struct l2_params *p = params_new(&hp, 1);
    struct l2_err err = {0};
    struct l2_net *net;
    float logprob[2];
    (void)state;
    assert_int_equal(l2_net_new(&net, &hp, &none, &err), L2_ARGUMENT);
    assert_null(net);
    net = net_new(&hp, &opts);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(l2_net_forward(net, p, &bad[i], &err), L2_ARGUMENT);
    assert_int_equal(l2_net_forward(net, p, &good, &err), L2_OK);
    for (size_t i = 0; i < sizeof bad_targets / sizeof *bad_targets; i++)
        assert_int_equal(l2_net_vocab_head(net, bad_targets[i], 2, NULL, NULL, logprob, NULL, &err),
                         L2_ARGUMENT);
    l2_net_free(net);
    hp.context = 6;
    net = net_new(&hp, &opts);
    assert_int_equal(l2_net_forward(net, p, &good, &err), L2_ARGUMENT);
    l2_net_free(net);
    opts.max_rows = UINT32_MAX;
    hp.dim = hp.hidden = 1u << 30;
    hp.n_layers = 1000;
    assert_true(l2_net_bytes(&hp, &opts) == UINT64_MAX);
    l2_params_free(p);
}

/* Rows come out as they went in. */
static void test_params(void **state)
{
    struct l2_params *p = params_new(&base_hp, 3);
    struct l2_err err = {0};
    float rows[2 * 20];
    (void)state;
    assert_int_equal(l2_params_rows(p, L2_T_K, 1, 3, 2, rows, &err), L2_OK);
    assert_memory_equal(rows, l2_params_at(p, L2_T_K, 1) + (size_t)3 * 20, sizeof rows);
    assert_null(l2_params_at(p, L2_T_SCORE, 0));
    for (size_t i = 0; i <= p->n_tensors; i++)
        assert_int_equal(p->offset[i] % 16, 0);
    l2_params_free(p);
    l2_params_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_biases_and_labels),
        cmocka_unit_test(test_equal_bits),
        cmocka_unit_test(test_lora),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_shared_prompt),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
