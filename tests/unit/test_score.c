/* Unit tests of scoring and embedding: reference values, and what the results do not depend on. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample/embed.h"
#include "sample/score.h"
#include "scratch.h"
#include "tiny_model.h"
#include "util/num.h"

static struct l2_err err;

static void drive(struct l2_worker *w, struct l2_record **r, size_t n)
{
    size_t fed = 0, got = 0;
    while (got < n) {
        struct l2_record *out;
        while (fed < n && w->ops->wants(w))
            if (w->ops->add(w, r[fed++], &err) != L2_OK)
                fail_msg("add: %s", err.text);
        if (w->ops->busy(w) && w->ops->step(w, &err) != L2_OK)
            fail_msg("step: %s", err.text);
        while ((out = w->ops->take(w)))
            assert_ptr_equal(out, r[got++]); /* input order */
    }
    assert_false(w->ops->busy(w));
}

/* ---- reference values, from the shared data ---- */

static json_t *golden(const char *name)
{
    json_error_t e;
    const char *path = shared_path(name);
    if (!path)
        skip();
    json_t *j = json_load_file(path, 0, &e);
    assert_non_null(j);
    return j;
}

static struct l2_model *open_shared(const char *name)
{
    struct l2_model *m;
    const char *path = shared_path(name);
    assert_non_null(path);
    if (l2_model_open(&m, path, &err) != L2_OK)
        fail_msg("%s", err.text);
    return m;
}

static struct l2_engine *engine_of(const struct l2_model *m, const struct l2_backend *b,
                                   uint32_t n_layers)
{
    struct l2_engine *e;
    struct l2_engine_opts o = {.backend = b,
                               .max_rows = 13,
                               .max_outputs = 5,
                               .kv_bytes = l2_kv_block_bytes(&m->hp, L2_KV_F32) * 12,
                               .n_layers = n_layers,
                               .no_head = n_layers > 0};
    if (l2_engine_new(&e, m, &o, &err) != L2_OK)
        fail_msg("%s", err.text);
    return e;
}

/* Tokens [from, end) of a JSON array as a completion, after a prompt of the first from. */
static struct l2_record *record_of(const json_t *tokens, size_t from)
{
    struct l2_record *r = tiny_record(1, from);
    uint32_t v[256];
    size_t n = json_array_size(tokens);
    for (size_t i = 0; i < n; i++)
        v[i] = (uint32_t)json_integer_value(json_array_get(tokens, i));
    memcpy(r->prompt.v, v, from * sizeof *v);
    tiny_record_add(r, v + from, n - from);
    return r;
}

static const struct l2_backend *const backends[] = {&l2_backend_native, &l2_backend_blas};

static void test_rewards_golden(void **state)
{
    json_t *j = golden("golden/gqa64/train.json"), *reward = json_object_get(j, "reward");
    struct l2_model *m = open_shared("golden/gqa64/rm-f32");
    struct l2_score_opts so = {.kind = L2_SCORE_REWARD, .name = "r"};
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct l2_engine *e = engine_of(m, backends[b], 0);
        struct l2_record *r[8];
        struct l2_worker *w;
        for (size_t i = 0; i < 8; i++)
            r[i] = record_of(
                json_array_get(json_object_get(reward, i % 2 ? "rejected" : "chosen"), i / 2),
                1 + i % 3);
        assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
        drive(w, r, 8);
        for (size_t i = 0; i < 8; i++) {
            const char *key = i % 2 ? "score_rejected" : "score_chosen";
            double want = json_real_value(json_array_get(json_object_get(reward, key), i / 2));
            const double *got = l2_completion_score(&r[i]->completions[0], "r");
            assert_non_null(got);
            assert_true(fabs(*got - want) < 2e-4);
            tiny_record_free(r[i]);
        }
        w->ops->free(w);
        l2_engine_free(e);
    }
    l2_model_close(m);
    json_decref(j);
}

static void test_logprobs_golden(void **state)
{
    json_t *j = golden("golden/gqa64/forward.json");
    const json_t *want = json_object_get(j, "next_token_logprob");
    struct l2_model *m = open_shared("golden/gqa64/hf-f32");
    struct l2_score_opts so = {.kind = L2_SCORE_LOGPROB, .name = "lp", .per_token = true};
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct l2_engine *e = engine_of(m, backends[b], 0);
        for (int unit = L2_LOGPROB_SUM; unit <= L2_LOGPROB_MEAN; unit++) {
            struct l2_record *r[3];
            struct l2_worker *w;
            so.unit = (enum l2_logprob_unit)unit;
            for (size_t i = 0; i < 3; i++)
                r[i] = record_of(json_object_get(j, "tokens"), 1 + 20 * i);
            assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
            drive(w, r, 3);
            for (size_t i = 0; i < 3; i++) {
                const struct l2_completion *c = &r[i]->completions[0];
                size_t n = 47 - 20 * i;
                double sum = 0;
                assert_int_equal(c->series[L2_LOGPROBS].n, n);
                for (size_t k = 0; k < n; k++) {
                    double lp = json_real_value(json_array_get(want, 20 * i + k));
                    sum += lp;
                    assert_true(fabs(c->series[L2_LOGPROBS].v[k] - lp) < 2e-4);
                }
                if (unit == L2_LOGPROB_MEAN)
                    sum /= (double)n;
                assert_true(fabs(*l2_completion_score(c, "lp") - sum) < 2e-4 * 7);
                tiny_record_free(r[i]);
            }
            w->ops->free(w);
        }
        l2_engine_free(e);
    }
    l2_model_close(m);
    json_decref(j);
}

/* The hidden states in forward.safetensors: (48, 64). */
static float *golden_hidden(void)
{
    size_t n;
    json_error_t e;
    const char *path = shared_path("golden/gqa64/forward.safetensors");
    assert_non_null(path);
    char *data = scratch_read(path, &n);
    float *out = malloc(48 * 64 * sizeof *out);
    size_t head = (size_t)l2_get_u64le(data);
    json_t *j = json_loadb(data + 8, head, 0, &e);
    json_t *at = json_object_get(json_object_get(j, "hidden"), "data_offsets");
    assert_non_null(out);
    l2_get_f32le_array(out, data + 8 + head + json_integer_value(json_array_get(at, 0)), 48 * 64);
    json_decref(j);
    free(data);
    return out;
}

static void test_embeddings_golden(void **state)
{
    json_t *j = golden("golden/gqa64/forward.json");
    const json_t *tokens = json_object_get(j, "tokens");
    struct l2_model *m = open_shared("golden/gqa64/hf-f32");
    float *hidden = golden_hidden();
    struct l2_engine *e = engine_of(m, &l2_backend_native, 0);
    (void)state;
    for (int pooling = L2_POOL_LAST; pooling <= L2_POOL_NONE; pooling++) {
        for (int normalize = 0; normalize < 2; normalize++) {
            struct l2_embed_opts eo = {.pooling = (enum l2_pooling)pooling, .normalize = normalize};
            struct l2_record *r[2] = {record_of(tokens, 9), record_of(tokens, 48)};
            struct l2_worker *w;
            r[1]->n_completions = 0; /* all of it is prompt */
            assert_int_equal(l2_embedder_new(&w, e, &eo, &err), L2_OK);
            drive(w, r, 2);
            for (int way = 0; way < 2; way++) {
                const struct l2_f32s *got =
                    way ? &r[1]->embedding : &r[0]->completions[0].embedding;
                size_t rows = way ? r[1]->embedding_rows : r[0]->completions[0].embedding_rows;
                size_t n = pooling == L2_POOL_NONE ? 48 : 1;
                assert_int_equal(rows, pooling == L2_POOL_NONE ? 48 : 0);
                assert_int_equal(got->n, n * 64);
                for (size_t p = 0; p < n; p++) {
                    double want[64] = {0}, square = 0;
                    for (size_t i = 0; i < 64; i++) {
                        if (pooling != L2_POOL_MEAN)
                            want[i] = hidden[(n == 1 ? 47 : p) * 64 + i];
                        else
                            for (size_t q = 0; q < 48; q++)
                                want[i] += hidden[q * 64 + i] / 48;
                        square += want[i] * want[i];
                    }
                    for (size_t i = 0; i < 64; i++)
                        assert_true(fabs(got->v[p * 64 + i] -
                                         want[i] / (normalize ? sqrt(square) : 1)) < 2e-4);
                }
            }
            w->ops->free(w);
            tiny_record_free(r[0]);
            tiny_record_free(r[1]);
        }
    }
    free(hidden);
    l2_engine_free(e);
    l2_model_close(m);
    json_decref(j);
}

/* ---- what results do not depend on ---- */

#define N_GROUPS 9

/* Groups of 0 to 6 completions, some empty, some equal, some that fill the context. */
static void make_groups(struct l2_record **r)
{
    static const size_t prompts[N_GROUPS] = {1, 64, 65, 3, 100, 63, 128, 7, 149};
    static const size_t lengths[7] = {80, 0, 1, 22, 80, 64, 1};
    uint32_t v[150];
    for (size_t i = 0; i < N_GROUPS; i++) {
        r[i] = tiny_record((int64_t)i, prompts[i]);
        for (size_t c = 0; c < i % 7; c++) {
            size_t n =
                lengths[(i + c) % 7] < 150 - prompts[i] ? lengths[(i + c) % 7] : 150 - prompts[i];
            for (size_t k = 0; k < n; k++)
                v[k] = (uint32_t)(6 + (k * 7 + i + c % 3) % 90);
            tiny_record_add(r[i], v, n);
        }
        if (i > 0 && i != 3) /* prompts begin alike */
            memcpy(r[i]->prompt.v, r[0]->prompt.v, sizeof *v);
        for (size_t k = 1; k < prompts[i] && k < 70 && i != 3; k++)
            r[i]->prompt.v[k] = (uint32_t)(6 + k);
    }
}

enum what { REWARD, LOGPROB, EMBED_LAST, EMBED_MEAN, EMBED_NONE, N_WHAT };

/* The tokens that were run. alone: every record from its start. */
static uint64_t run_groups_on(const struct tiny_model *t, enum what what, uint32_t rows,
                              uint32_t outputs, uint32_t blocks, int threads, bool alone,
                              struct l2_record **r)
{
    uint64_t tokens, generated;
    struct l2_pool *pool;
    struct l2_engine *e;
    struct l2_worker *w;
    assert_int_equal(l2_pool_new(&pool, threads, &err), L2_OK);
    e = (alone ? tiny_engine_alone : tiny_engine)(t, rows, outputs, blocks, pool);
    if (what <= LOGPROB) {
        struct l2_score_opts so = {.kind = what == REWARD ? L2_SCORE_REWARD : L2_SCORE_LOGPROB,
                                   .name = "s",
                                   .per_token = true};
        assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    } else {
        struct l2_embed_opts eo = {.pooling = (enum l2_pooling)(what - EMBED_LAST)};
        assert_int_equal(l2_embedder_new(&w, e, &eo, &err), L2_OK);
    }
    make_groups(r);
    drive(w, r, N_GROUPS);
    assert_int_equal(w->ops->faults(w)->records, 0);
    assert_int_equal(l2_kv_pool_free_blocks(l2_engine_kv(e)), l2_kv_pool_blocks(l2_engine_kv(e)));
    w->ops->counts(w, &tokens, &generated);
    w->ops->free(w);
    l2_engine_free(e);
    l2_pool_free(pool);
    return tokens;
}

static void run_groups(const struct tiny_model *t, enum what what, uint32_t rows, uint32_t outputs,
                       uint32_t blocks, int threads, struct l2_record **r)
{
    (void)run_groups_on(t, what, rows, outputs, blocks, threads, false, r);
}

static void assert_same_f32s(const struct l2_f32s *a, const struct l2_f32s *b)
{
    assert_int_equal(a->n, b->n);
    if (a->n)
        assert_memory_equal(a->v, b->v, a->n * sizeof *a->v);
}

static void assert_same(enum what what, struct l2_record **a, struct l2_record **b)
{
    for (size_t i = 0; i < N_GROUPS; i++) {
        assert_same_f32s(&a[i]->embedding, &b[i]->embedding);
        for (size_t c = 0; c < a[i]->n_completions; c++) {
            const struct l2_completion *x = &a[i]->completions[c], *y = &b[i]->completions[c];
            assert_same_f32s(&x->series[L2_LOGPROBS], &y->series[L2_LOGPROBS]);
            assert_same_f32s(&x->embedding, &y->embedding);
            if (what <= LOGPROB)
                assert_true(*l2_completion_score(x, "s") == *l2_completion_score(y, "s"));
            else
                assert_non_null(x->embedding.v);
        }
    }
}

/* Not on the batch, the outputs, the memory for keys and values (three blocks are one context), nor
 * the threads. */
static void test_invariance(void **state)
{
    static const struct {
        uint32_t rows, outputs, blocks;
        int threads;
    } ways[] = {{1, 1, 3, 1}, {7, 3, 3, 2}, {64, 64, 4, 1}, {500, 2, 6, 2}};
    (void)state;
    for (int what = 0; what < N_WHAT; what++) {
        struct l2_record *want[N_GROUPS], *got[N_GROUPS];
        struct tiny_model t;
        tiny_model_open(&t, what == REWARD ? L2_HEAD_LABELS : L2_HEAD_VOCAB, false);
        run_groups(&t, (enum what)what, 1000, 1000, 0, 1, want);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            run_groups(&t, (enum what)what, ways[i].rows, ways[i].outputs, ways[i].blocks,
                       ways[i].threads, got);
            assert_same((enum what)what, want, got);
            for (size_t k = 0; k < N_GROUPS; k++)
                tiny_record_free(got[k]);
        }
        for (size_t k = 0; k < N_GROUPS; k++)
            tiny_record_free(want[k]);
        tiny_model_close(&t);
    }
}

/* What prompts have in common is run once, but for what wants an output of every position. */
static void test_common_beginnings(void **state)
{
    (void)state;
    for (int what = 0; what < N_WHAT; what++) {
        struct l2_record *want[N_GROUPS], *got[N_GROUPS];
        struct tiny_model t;
        uint64_t alone, shared;
        tiny_model_open(&t, what == REWARD ? L2_HEAD_LABELS : L2_HEAD_VOCAB, false);
        alone = run_groups_on(&t, (enum what)what, 60, 60, 0, 1, true, want);
        shared = run_groups_on(&t, (enum what)what, 60, 60, 0, 1, false, got);
        assert_same((enum what)what, want, got);
        if (what == EMBED_MEAN || what == EMBED_NONE)
            assert_true(shared == alone);
        else
            assert_true(shared + 64 <= alone && shared > alone / 2);
        for (size_t k = 0; k < N_GROUPS; k++) {
            tiny_record_free(got[k]);
            tiny_record_free(want[k]);
        }
        tiny_model_close(&t);
    }
}

/* A completion in a group has the score that it has alone, and that all of it has as a prompt's
 * continuation cut elsewhere. */
static void test_groups_are_single_completions(void **state)
{
    struct tiny_model t;
    struct l2_record *group[N_GROUPS];
    (void)state;
    tiny_model_open(&t, L2_HEAD_LABELS, false);
    run_groups(&t, REWARD, 50, 50, 0, 1, group);
    for (size_t i = 0; i < N_GROUPS; i++) {
        for (size_t c = 0; c < group[i]->n_completions; c++) {
            struct l2_score_opts so = {.kind = L2_SCORE_REWARD, .name = "s"};
            struct l2_engine *e = tiny_engine(&t, 8, 8, 3, NULL);
            const struct l2_u32s *p = &group[i]->prompt, *a = &group[i]->completions[c].tokens;
            struct l2_record *alone = tiny_record(0, 1);
            struct l2_worker *w;
            uint32_t all[300];
            memcpy(all, p->v, p->n * sizeof *all);
            memcpy(all + p->n, a->v, a->n * sizeof *all);
            tiny_record_add(alone, all + 1, p->n + a->n - 1);
            assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
            drive(w, &alone, 1);
            assert_true(*l2_completion_score(&alone->completions[0], "s") ==
                        *l2_completion_score(&group[i]->completions[c], "s"));
            tiny_record_free(alone);
            w->ops->free(w);
            l2_engine_free(e);
        }
        tiny_record_free(group[i]);
    }
    tiny_model_close(&t);
}

/* Token 5 makes what comes after it NaN. */
static void test_not_finite(void **state)
{
    static const uint32_t good[] = {7, 8, 9}, bad[] = {7, 5, 9};
    (void)state;
    for (int kind = L2_SCORE_REWARD; kind <= L2_SCORE_LOGPROB; kind++) {
        struct tiny_model t;
        struct l2_score_opts so = {.kind = (enum l2_score_kind)kind, .name = "s"};
        struct l2_record *r[3];
        struct l2_engine *e;
        struct l2_worker *w;
        tiny_model_open(&t, kind == L2_SCORE_REWARD ? L2_HEAD_LABELS : L2_HEAD_VOCAB, true);
        e = tiny_engine(&t, 8, 8, 0, NULL);
        for (int64_t i = 0; i < 3; i++) {
            r[i] = tiny_record(i, 2);
            r[i]->prompt.v[1] = 6;
            tiny_record_add(r[i], good, 3);
            tiny_record_add(r[i], i == 1 ? bad : good, 3);
        }
        r[2]->prompt.v[1] = 5;
        assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
        drive(w, r, 3);
        assert_non_null(l2_completion_score(&r[0]->completions[1], "s"));
        assert_non_null(l2_completion_score(&r[1]->completions[0], "s"));
        assert_null(l2_completion_score(&r[1]->completions[1], "s"));
        assert_null(l2_completion_score(&r[2]->completions[0], "s"));
        assert_null(l2_completion_score(&r[2]->completions[1], "s"));
        assert_int_equal(w->ops->faults(w)->records, 2);
        assert_string_equal(w->ops->faults(w)->first_id, "1");
        assert_non_null(strstr(w->ops->faults(w)->first.text, "not finite"));
        for (size_t i = 0; i < 3; i++)
            tiny_record_free(r[i]);
        w->ops->free(w);
        l2_engine_free(e);
        tiny_model_close(&t);
    }
}

static double score_one(struct l2_worker *w, struct l2_record *r)
{
    drive(w, &r, 1);
    const double *s = l2_completion_score(&r->completions[0], "s");
    double v = s ? *s : NAN;
    tiny_record_free(r);
    return v;
}

/* A prompt of n tokens and a completion of m, the same for equal sums but for what was cut. */
static struct l2_record *long_record(size_t n, size_t m, size_t forget)
{
    uint32_t v[400];
    struct l2_record *r = tiny_record(3, n);
    for (size_t i = 1; i < n; i++)
        r->prompt.v[i] = (uint32_t)(6 + ((i + forget) * 31) % 90);
    for (size_t i = 0; i < m; i++)
        v[i] = (uint32_t)(6 + (i * 17) % 90);
    tiny_record_add(r, v, m);
    return r;
}

static void test_overlong(void **state)
{
    struct tiny_model t;
    struct l2_score_opts so = {.kind = L2_SCORE_REWARD, .name = "s"};
    struct l2_engine *e;
    struct l2_worker *w;
    struct l2_record *r;
    (void)state;
    tiny_model_open(&t, L2_HEAD_LABELS, false);
    e = tiny_engine(&t, 64, 64, 0, NULL);
    assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    assert_false(isnan(score_one(w, long_record(100, 50, 0))));
    r = long_record(100, 51, 0);
    assert_int_equal(w->ops->add(w, r, &err), L2_LIMIT);
    assert_non_null(strstr(err.text, "record 3"));
    assert_non_null(strstr(err.text, "150"));
    tiny_record_free(r);
    w->ops->free(w);

    so.overlong = L2_OVERLONG_DROP;
    assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    assert_true(isnan(score_one(w, long_record(100, 51, 0))));
    assert_int_equal(w->ops->faults(w)->dropped, 1);
    assert_int_equal(w->ops->faults(w)->records, 0);
    w->ops->free(w);

    so.overlong = L2_OVERLONG_TRUNCATE_LEFT;
    assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    assert_true(score_one(w, long_record(120, 60, 0)) == score_one(w, long_record(90, 60, 30)));
    assert_true(score_one(w, long_record(90, 60, 30)) != score_one(w, long_record(90, 60, 0)));
    assert_int_equal(w->ops->faults(w)->truncated, 1);
    w->ops->free(w);

    so.overlong = L2_OVERLONG_TRUNCATE_RIGHT;
    assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    assert_true(score_one(w, long_record(100, 60, 0)) == score_one(w, long_record(100, 50, 0)));
    assert_int_equal(w->ops->faults(w)->truncated, 1);
    w->ops->free(w);
    l2_engine_free(e);
    tiny_model_close(&t);
}

static void test_wrong_head(void **state)
{
    struct l2_score_opts so = {.kind = L2_SCORE_REWARD, .name = "s"};
    struct l2_worker *w;
    (void)state;
    for (int head = 0; head < 2; head++) {
        struct tiny_model t;
        struct l2_engine *e;
        tiny_model_open(&t, head ? L2_HEAD_LABELS : L2_HEAD_VOCAB, false);
        e = tiny_engine(&t, 8, 8, 0, NULL);
        so.kind = head ? L2_SCORE_LOGPROB : L2_SCORE_REWARD;
        assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_ARGUMENT);
        assert_null(w);
        l2_engine_free(e);
        tiny_model_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewards_golden),
        cmocka_unit_test(test_logprobs_golden),
        cmocka_unit_test(test_embeddings_golden),
        cmocka_unit_test(test_invariance),
        cmocka_unit_test(test_common_beginnings),
        cmocka_unit_test(test_groups_are_single_completions),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_wrong_head),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
