/* Unit tests of a whole model with quantised weights and narrowed activations: how far its
 * distributions are from those of exact products, on text of the model's own kind; and equal bits
 * whatever the batch. */
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

#include "nn/engine.h"

#define LENGTH 200

static const char *const names[] = {"own type", "BF16", "Q8_0", "Q8_K", "Q4_K", "Q6_K"};

static struct l2_engine *engine_of(const struct l2_model *m, enum l2_pack_type type, bool narrow)
{
    struct l2_engine *e;
    struct l2_err err;
    const struct l2_engine_opts opts = {.backend = &l2_backend_native,
                                        .max_rows = LENGTH,
                                        .max_outputs = LENGTH,
                                        .kv_bytes = (uint64_t)64 << 20,
                                        .pack = {.type = type, .narrow = narrow}};
    if (l2_engine_new(&e, m, &opts, &err) != L2_OK)
        fail_msg("%s", err.text);
    return e;
}

/* Logits (n, vocab_size) after each of the n tokens, step rows a pass. Owned by the caller. */
static float *logits_of(const struct l2_model *m, enum l2_pack_type type, bool narrow,
                        const uint32_t *tokens, size_t n, size_t step)
{
    struct l2_engine *e = engine_of(m, type, narrow);
    struct l2_kv_seq seq = {0};
    struct l2_row rows[LENGTH];
    struct l2_err err;
    size_t width = m->hp.vocab_size;
    float *out = malloc(n * width * sizeof *out);
    const float *values;
    assert_non_null(out);
    assert_int_equal(l2_kv_seq_reserve(l2_engine_kv(e), &seq, (uint32_t)n, &err), L2_OK);
    for (size_t i = 0; i < n; i += step) {
        size_t count = n - i < step ? n - i : step;
        for (size_t j = 0; j < count; j++)
            rows[j] = (struct l2_row){.token = tokens[i + j], .seq = &seq, .wants_output = true};
        assert_int_equal(l2_engine_forward(e, rows, count, L2_OUT_HEAD, &values, &err), L2_OK);
        memcpy(out + i * width, values, count * width * sizeof *out);
    }
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);
    return out;
}

static double log_sum(const float *x, size_t n)
{
    double max = x[0], sum = 0;
    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

/* Mean of KL(p || q) over n rows of logits. */
static double divergence(const float *p, const float *q, size_t n, size_t width)
{
    double total = 0;
    for (size_t i = 0; i < n; i++, p += width, q += width) {
        double zp = log_sum(p, width), zq = log_sum(q, width);
        for (size_t j = 0; j < width; j++)
            total += exp(p[j] - zp) * ((p[j] - zp) - (q[j] - zq));
    }
    return total / (double)n;
}

/* The model's own greedy text from BOS: probable text, as what it was trained on. */
static void greedy(const struct l2_model *m, uint32_t tokens[LENGTH])
{
    struct l2_engine *e = engine_of(m, L2_PACK_AS_IS, false);
    struct l2_kv_seq seq = {0};
    struct l2_err err;
    const float *values;
    assert_int_equal(l2_kv_seq_reserve(l2_engine_kv(e), &seq, LENGTH, &err), L2_OK);
    tokens[0] = 1;
    for (size_t i = 0; i + 1 < LENGTH; i++) {
        struct l2_row row = {.token = tokens[i], .seq = &seq, .wants_output = true};
        assert_int_equal(l2_engine_forward(e, &row, 1, L2_OUT_HEAD, &values, &err), L2_OK);
        tokens[i + 1] = 0;
        for (uint32_t j = 1; j < m->hp.vocab_size; j++)
            if (values[j] > values[tokens[i + 1]])
                tokens[i + 1] = j;
    }
    l2_kv_seq_release(l2_engine_kv(e), &seq);
    l2_engine_free(e);
}

static struct l2_model *shared_model(const char *path)
{
    const char *shared = getenv("L2_SHARED");
    char name[1024];
    struct l2_model *m;
    struct l2_err err;
    if (!shared || !*shared)
        skip();
    snprintf(name, sizeof name, "%s/%s", shared, path);
    if (l2_model_open(&m, name, &err) != L2_OK)
        fail_msg("%s", err.text);
    return m;
}

/* Of the weights' type alone, and with narrowed activations too. The rows are not long enough for
 * the other types. */
static void test_divergence(void **state)
{
    static const struct {
        enum l2_pack_type type;
        double weights, both; /* nats a token at most */
    } cases[] = {{L2_PACK_BF16, 1e-4, 2e-4}, {L2_PACK_Q8_0, 6e-4, 1e-3}};
    (void)state;
    struct l2_model *m = shared_model("data/stories260K/hf");
    size_t width = m->hp.vocab_size;
    uint32_t tokens[LENGTH];
    greedy(m, tokens);
    float *exact = logits_of(m, L2_PACK_AS_IS, false, tokens, LENGTH, LENGTH);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *f32 = logits_of(m, cases[i].type, false, tokens, LENGTH, LENGTH);
        float *narrow = logits_of(m, cases[i].type, true, tokens, LENGTH, LENGTH);
        double a = divergence(exact, f32, LENGTH, width);
        double b = divergence(exact, narrow, LENGTH, width);
        print_message("# %s: KL to F32: weights %.2g, and activations %.2g; of activations alone "
                      "%.2g nats a token\n",
                      names[cases[i].type], a, b, divergence(f32, narrow, LENGTH, width));
        assert_true(a > 0 && a < cases[i].weights);
        assert_true(b > 0 && b < cases[i].both);
        free(f32);
        free(narrow);
    }
    free(exact);
    l2_model_close(m);
}

/* Of narrowed activations alone, with the weights of files of all kinds (random ones, whose
 * distributions are wide). */
static void test_files(void **state)
{
    static const char *const files[] = {"Q4_K", "Q4_K_M", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "BF16"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "golden/gguf/q-%s.gguf", files[i]);
        struct l2_model *m = shared_model(path);
        uint32_t tokens[LENGTH];
        size_t n = m->hp.context < LENGTH ? m->hp.context : LENGTH;
        for (size_t j = 0; j < n; j++)
            tokens[j] = (uint32_t)(1 + j * 37 % (m->hp.vocab_size - 1));
        float *f32 = logits_of(m, L2_PACK_AS_IS, false, tokens, n, n);
        float *narrow = logits_of(m, L2_PACK_AS_IS, true, tokens, n, n);
        double kl = divergence(f32, narrow, n, m->hp.vocab_size);
        print_message("# %s: KL of narrow activations %.2g nats a token\n", files[i], kl);
        assert_true(kl > 0 && kl < 5e-3);
        free(f32);
        free(narrow);
        l2_model_close(m);
    }
}

static void test_equal_bits(void **state)
{
    static const size_t steps[] = {1, 7, 64, 130};
    (void)state;
    struct l2_model *m = shared_model("data/stories260K/hf");
    uint32_t tokens[LENGTH];
    greedy(m, tokens);
    for (int t = L2_PACK_BF16; t < L2_N_PACK_TYPES; t++)
        for (int narrow = 0; narrow < 2; narrow++) {
            float *whole = logits_of(m, (enum l2_pack_type)t, narrow, tokens, LENGTH, LENGTH);
            for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
                float *some = logits_of(m, (enum l2_pack_type)t, narrow, tokens, LENGTH, steps[s]);
                assert_memory_equal(some, whole, LENGTH * m->hp.vocab_size * sizeof *some);
                free(some);
            }
            free(whole);
        }
    l2_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_divergence),
                                       cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_equal_bits)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("quantised", tests, NULL, NULL);
}
