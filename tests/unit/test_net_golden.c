/* Unit tests of the differentiable model against goldens: losses and gradients of pretraining, SFT
 * and reward models. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/safetensors.h"
#include "nn/net.h"
#include "scratch.h"
#include "util/num.h"

#define MAX_ROWS 400

/* Compares with a file of gradients: 1e-5 of each tensor's norm. */
static void same_gradients(const struct l2_params *grads, const char *name)
{
    struct l2_map map;
    struct l2_st_file file;
    struct l2_err err = {0};
    const char *path = shared_path(name);
    assert_non_null(path);
    assert_int_equal(l2_map_open(&map, path, &err), L2_OK);
    assert_int_equal(l2_st_read(&file, &map, &err), L2_OK);
    assert_int_equal(file.n, grads->n_tensors);
    for (size_t i = 0; i < grads->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer;
        char want[128];
        size_t e = 0;
        double sum = 0, size = 0;
        l2_tensor_at(&grads->hp, i, &role, &layer);
        l2_tensor_name(role, layer, want, sizeof want);
        while (e < file.n && strcmp(file.entries[e].name, want) != 0)
            e++;
        assert_true(e < file.n);
        for (size_t j = 0; j < (file.entries[e].end - file.entries[e].begin) / 4; j++) {
            double v = (double)l2_get_f32le(map.data + file.entries[e].begin + 4 * j);
            double d = (double)grads->values[grads->offset[i] + j] - v;
            sum += d * d;
            size += v * v;
        }
        if (!(sum <= 1e-10 * size))
            fail_msg("%s of %s: off by %.3g of its norm", want, name, sqrt(sum / size));
    }
    l2_st_release(&file);
    l2_map_release(&map);
}

struct golden {
    json_t *train;
    struct l2_params *p, *grads;
    struct l2_net *net;
    uint32_t tokens[MAX_ROWS];
    struct l2_span spans[16];
    struct l2_net_batch batch;
};

static void golden_open(struct golden *g, const char *model)
{
    struct l2_net_opts opts = {.max_rows = MAX_ROWS};
    struct l2_model *m;
    struct l2_err err = {0};
    memset(g, 0, sizeof *g);
    if (!shared_path("golden/gqa64/train.json"))
        skip();
    g->train = json_load_file(shared_path("golden/gqa64/train.json"), 0, NULL);
    assert_non_null(g->train);
    assert_int_equal(l2_model_open(&m, shared_path(model), &err), L2_OK);
    assert_int_equal(l2_params_new(&g->p, &m->hp, &err), L2_OK);
    assert_int_equal(l2_params_new(&g->grads, &m->hp, &err), L2_OK);
    l2_params_load(g->p, m, NULL);
    assert_int_equal(l2_net_new(&g->net, &m->hp, &opts, &err), L2_OK);
    l2_model_close(m);
    g->batch = (struct l2_net_batch){g->tokens, 0, g->spans, 0};
}

static void golden_close(struct golden *g)
{
    json_decref(g->train);
    l2_net_free(g->net);
    l2_params_free(g->p);
    l2_params_free(g->grads);
}

static void golden_add(struct golden *g, const json_t *ids, size_t n)
{
    g->spans[g->batch.n_spans++] =
        (struct l2_span){(uint32_t)g->batch.n_rows, (uint32_t)n, L2_NO_PARENT};
    for (size_t i = 0; i < n; i++)
        g->tokens[g->batch.n_rows++] = (uint32_t)json_integer_value(json_array_get(ids, i));
}

static void golden_lm(const char *what, const char *file, bool answers)
{
    struct golden g;
    struct l2_target want[MAX_ROWS];
    float c[MAX_ROWS], logprob[MAX_ROWS];
    size_t n = 0;
    double loss = 0;
    struct l2_err err = {0};
    golden_open(&g, "golden/gqa64/hf-f32");
    for (size_t b = 0; b < 3; b++) {
        json_t *ids = json_array_get(json_object_get(g.train, "tokens"), b);
        size_t first = g.batch.n_rows, length, answer;
        length = (size_t)json_integer_value(json_array_get(json_object_get(g.train, "lengths"), b));
        answer =
            (size_t)json_integer_value(json_array_get(json_object_get(g.train, "answer_start"), b));
        golden_add(&g, ids, length);
        for (size_t t = answers ? answer : 1; t < length; t++)
            want[n++] = (struct l2_target){(uint32_t)(first + t - 1), g.tokens[first + t]};
    }
    for (size_t i = 0; i < n; i++)
        c[i] = -1.0f / (float)n;
    assert_int_equal(l2_net_forward(g.net, g.p, &g.batch, &err), L2_OK);
    assert_int_equal(l2_net_vocab_head(g.net, want, n, c, g.grads, logprob, NULL, &err), L2_OK);
    l2_net_backward(g.net, g.grads);
    for (size_t i = 0; i < n; i++)
        loss -= (double)logprob[i] / (double)n;
    json_t *golden = json_object_get(json_object_get(g.train, what), "loss");
    assert_true(fabs(loss - json_number_value(golden)) < 1e-5);
    same_gradients(g.grads, file);
    golden_close(&g);
}

static void test_golden_pretrain(void **state)
{
    (void)state;
    golden_lm("pretrain", "golden/gqa64/grad_pretrain.safetensors", false);
}

static void test_golden_sft(void **state)
{
    (void)state;
    golden_lm("sft", "golden/gqa64/grad_sft.safetensors", true);
}

static void test_golden_reward(void **state)
{
    struct golden g;
    uint32_t last[8];
    float score[8], d[8];
    double loss = 0;
    struct l2_err err = {0};
    (void)state;
    golden_open(&g, "golden/gqa64/rm-f32");
    json_t *reward = json_object_get(g.train, "reward");
    for (size_t i = 0; i < 8; i++) {
        json_t *ids = json_array_get(json_object_get(reward, i < 4 ? "chosen" : "rejected"), i % 4);
        golden_add(&g, ids, json_array_size(ids));
        last[i] = (uint32_t)g.batch.n_rows - 1;
    }
    assert_int_equal(l2_net_forward(g.net, g.p, &g.batch, &err), L2_OK);
    l2_net_label_head(g.net, last, 8, score);
    for (size_t i = 0; i < 4; i++) {
        double margin = json_number_value(json_array_get(json_object_get(reward, "margin"), i));
        double z = (double)score[i] - (double)score[i + 4] - margin;
        loss += log(1 + exp(-z)) / 4;
        d[i] = (float)(-1 / (1 + exp(z)) / 4);
        d[i + 4] = -d[i];
    }
    assert_true(fabs(loss - json_number_value(json_object_get(reward, "loss"))) < 1e-5);
    l2_net_label_head_bwd(g.net, last, 8, d, g.grads);
    l2_net_backward(g.net, g.grads);
    same_gradients(g.grads, "golden/gqa64/grad_reward.safetensors");
    golden_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_pretrain),
        cmocka_unit_test(test_golden_sft),
        cmocka_unit_test(test_golden_reward),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
