/* Unit tests of the forward pass: the goldens of an independent implementation in double. */
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
#include <jansson.h>

#include "engine_fixture.h"
#include "kern/ops.h"
#include "model/safetensors.h"
#include "util/num.h"

static char *golden_path(char *out, size_t size, const char *name)
{
    const char *shared = getenv("L2_SHARED");
    if (!shared || !*shared)
        skip();
    snprintf(out, size, "%s/golden/gqa64/%s", shared, name);
    return out;
}

static struct l2_model *golden_model(const char *name)
{
    char path[4096];
    struct l2_model *m;
    struct l2_err err;
    if (l2_model_open(&m, golden_path(path, sizeof path, name), &err) != L2_OK)
        fail_msg("%s: %s", err.file, err.text);
    return m;
}

static json_t *golden_json(const char *name)
{
    char path[4096];
    json_t *j = json_load_file(golden_path(path, sizeof path, name), 0, NULL);
    assert_non_null(j);
    return j;
}

static size_t tokens_of(const json_t *array, uint32_t *out, size_t max)
{
    size_t n = json_array_size(array);
    assert_true(n > 0 && n <= max);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    return n;
}

/* The tensor name of forward.safetensors, converted, n values. */
static float *golden_tensor(const char *name, size_t n)
{
    char path[4096];
    struct l2_map map;
    struct l2_st_file st;
    struct l2_err err;
    float *out = malloc(n * sizeof *out);
    assert_non_null(out);
    golden_path(path, sizeof path, "forward.safetensors");
    assert_int_equal(l2_map_open(&map, path, &err), L2_OK);
    assert_int_equal(l2_st_read(&st, &map, &err), L2_OK);
    size_t i = 0;
    while (i < st.n && strcmp(st.entries[i].name, name) != 0)
        i++;
    assert_true(i < st.n && st.entries[i].end - st.entries[i].begin == n * sizeof *out);
    l2_get_f32le_array(out, map.data + st.entries[i].begin, n);
    l2_st_release(&st);
    l2_map_release(&map);
    return out;
}

static double worst_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

static void check_logprobs(const float *logits, size_t vocab, const uint32_t *tokens, size_t n,
                           const json_t *forward_json)
{
    const json_t *want = json_object_get(forward_json, "next_token_logprob");
    double nll = 0;
    assert_int_equal(json_array_size(want), n - 1);
    for (size_t i = 0; i + 1 < n; i++) {
        const float *row = logits + i * vocab;
        float max;
        double lse;
        assert_true(l2_logsumexp(row, vocab, &max, &lse));
        double logprob = row[tokens[i + 1]] - lse;
        assert_true(fabs(logprob - json_number_value(json_array_get(want, i))) < TOLERANCE);
        nll -= logprob / (double)(n - 1);
    }
    assert_true(fabs(nll - json_number_value(json_object_get(forward_json, "nll_mean"))) <
                TOLERANCE);
}

static void check_greedy(struct l2_engine *e, const json_t *forward_json)
{
    uint32_t tokens[64], want[64];
    size_t vocab = l2_engine_hparams(e)->vocab_size;
    size_t n = tokens_of(json_object_get(forward_json, "greedy_prompt"), tokens, 64);
    size_t n_want = tokens_of(json_object_get(forward_json, "greedy_40"), want, 64);
    struct l2_kv_seq seq = {0};
    float logits[8 * 320];
    assert_true(n == 8 && vocab == 320);
    for (size_t i = 0; i < n_want; i++) {
        engine_feed(e, &seq, tokens, n, L2_OUT_HEAD, logits);
        const float *last = logits + (n - 1) * vocab;
        uint32_t best = 0;
        for (uint32_t t = 1; t < vocab; t++)
            best = last[t] > last[best] ? t : best;
        assert_int_equal(best, want[i]);
        tokens[0] = best;
        n = 1;
    }
    l2_kv_seq_release(l2_engine_kv(e), &seq);
}

static void check_forward(const char *model, const char *logits_name, bool all)
{
    json_t *j = golden_json("forward.json");
    uint32_t tokens[64];
    size_t n = tokens_of(json_object_get(j, "tokens"), tokens, 64);
    struct l2_model *m = golden_model(model);
    size_t vocab = m->hp.vocab_size, dim = m->hp.dim;
    float *want = golden_tensor(logits_name, n * vocab), *hidden = golden_tensor("hidden", n * dim);
    float *got = malloc(n * vocab * sizeof *got);
    assert_non_null(got);
    for (size_t b = 0; b < 2; b++) {
        struct l2_engine *e = engine_of(m, engine_opts_of(backends[b], NULL));
        struct l2_kv_seq seq = {0};
        engine_feed(e, &seq, tokens, n, L2_OUT_HEAD, got);
        double worst = worst_difference(got, want, n * vocab);
        print_message("# %s %s: logits within %.1e\n", backends[b]->name, model, worst);
        assert_true(worst < TOLERANCE);
        if (all) {
            check_logprobs(got, vocab, tokens, n, j);
            check_greedy(e, j);
            l2_kv_seq_truncate(l2_engine_kv(e), &seq, 0);
            engine_feed(e, &seq, tokens, n, L2_OUT_HIDDEN, got);
            assert_true(worst_difference(got, hidden, n * dim) < TOLERANCE);
        }
        l2_kv_seq_release(l2_engine_kv(e), &seq);
        l2_engine_free(e);
    }
    free(got);
    free(want);
    free(hidden);
    l2_model_close(m);
    json_decref(j);
}

static void test_golden_f32(void **state)
{
    (void)state;
    check_forward("hf-f32", "logits", true);
}

static void test_golden_bf16(void **state)
{
    (void)state;
    check_forward("hf-bf16-sharded", "logits_bf16_weights", false);
}

/* Scores of all sequences of one side in one batch, read at the last token. */
static void check_scores(struct l2_engine *e, const json_t *reward, const char *side,
                         const char *scores_name)
{
    const json_t *lists = json_object_get(reward, side);
    const json_t *scores = json_object_get(reward, scores_name);
    size_t n_seqs = json_array_size(lists), n = 0;
    struct l2_kv_seq seqs[8] = {0};
    struct l2_row rows[MAX_ROWS];
    const float *values;
    assert_true(n_seqs > 0 && n_seqs <= 8 && json_array_size(scores) == n_seqs);
    for (size_t s = 0; s < n_seqs; s++) {
        uint32_t tokens[64];
        size_t len = tokens_of(json_array_get(lists, s), tokens, 64);
        engine_reserve(e, &seqs[s], (uint32_t)len);
        for (size_t i = 0; i < len; i++)
            rows[n++] = (struct l2_row){tokens[i], &seqs[s], i + 1 == len};
    }
    engine_forward(e, rows, n, L2_OUT_HEAD, &values);
    for (size_t s = 0; s < n_seqs; s++) {
        assert_true(fabs(values[s] - json_number_value(json_array_get(scores, s))) < TOLERANCE);
        l2_kv_seq_release(l2_engine_kv(e), &seqs[s]);
    }
}

static void test_golden_reward(void **state)
{
    json_t *j = golden_json("train.json");
    const json_t *reward = json_object_get(j, "reward");
    struct l2_model *m = golden_model("rm-f32");
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct l2_engine *e = engine_of(m, engine_opts_of(backends[b], NULL));
        check_scores(e, reward, "chosen", "score_chosen");
        check_scores(e, reward, "rejected", "score_rejected");
        l2_engine_free(e);
    }
    l2_model_close(m);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_f32),
        cmocka_unit_test(test_golden_bf16),
        cmocka_unit_test(test_golden_reward),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine golden", tests, NULL, NULL);
}
