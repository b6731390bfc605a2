/* Unit tests of generation: what a completion depends on, and what it does not depend on. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "generate_fixture.h"
#include "sample/score.h"
#include "util/philox.h"

static struct l2_err err;

/* Not on the batch, the outputs, the memory for keys and values, nor the threads. Three blocks are
 * one context. */
static void test_invariance(void **state)
{
    static const struct {
        uint32_t rows, outputs, blocks;
        int threads;
    } ways[] = {{1, 1, 0, 1},   {1, 1, 3, 1},   {7, 7, 3, 2},   {7, 2, 4, 1},
                {64, 64, 5, 1}, {64, 16, 0, 2}, {512, 1, 9, 1}, {3, 3, 3, 1}};
    struct l2_record *want[N_RECORDS], *got[N_RECORDS];
    struct l2_generate_opts o = generate_options(5, 30);
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        if (!plain)
            o.sampler = (struct l2_sampler_opts){0.8, 40, 0.95, 0.01, 1.2};
        else
            o.sampler = l2_sampler_neutral();
        generate_all(&o, 512, 512, 0, 1, want);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            generate_all(&o, ways[i].rows, ways[i].outputs, ways[i].blocks, ways[i].threads, got);
            generate_same(want, got, N_RECORDS);
            generate_free(got, N_RECORDS);
        }
        generate_free(want, N_RECORDS);
    }
}

/* Each completion again by itself, one token after the other in a sequence of its own that shares
 * nothing. */
static void test_against_plain_decoding(void **state)
{
    struct l2_record *got[N_RECORDS];
    struct l2_generate_opts o = generate_options(3, 40);
    struct l2_engine *e = tiny_engine(&generate_tiny, 1, 1, 0, NULL);
    struct l2_sampler *s;
    size_t ended[4] = {0};
    (void)state;
    assert_int_equal(l2_sampler_new(&s, &o.sampler, 96, &err), L2_OK);
    generate_all(&o, 33, 33, 0, 2, got);
    for (size_t i = 0; i < N_RECORDS; i++) {
        const struct l2_record *r = got[i];
        uint8_t hash[32];
        l2_id_hash(&r->id, hash);
        assert_int_equal(r->n_completions, 3);
        for (uint32_t k = 0; k < 3; k++) {
            const struct l2_completion *c = &r->completions[k];
            struct l2_kv_seq seq = {0};
            const float *logits = NULL;
            size_t room = 150 - r->prompt.n, n;
            assert_int_equal(l2_kv_seq_reserve(l2_engine_kv(e), &seq, 150, &err), L2_OK);
            for (size_t p = 0; p < r->prompt.n; p++) {
                struct l2_row row = {r->prompt.v[p], &seq, true};
                assert_int_equal(l2_engine_forward(e, &row, 1, L2_OUT_HEAD, &logits, &err), L2_OK);
            }
            for (n = 0; n < room && n < 40; n++) {
                struct l2_draw d;
                double u = l2_philox_uniform(l2_philox_key_for(42, hash), k, n);
                assert_int_equal(l2_sampler_draw(s, logits, NULL, 0, u, &d, &err), L2_OK);
                assert_true(n < c->tokens.n);
                assert_int_equal(d.id, c->tokens.v[n]);
                assert_true(d.logprob == c->series[L2_LOGPROBS].v[n]);
                if (d.id == 2)
                    break;
                struct l2_row row = {d.id, &seq, true};
                if (n + 1 < room)
                    assert_int_equal(l2_engine_forward(e, &row, 1, L2_OUT_HEAD, &logits, &err),
                                     L2_OK);
            }
            assert_int_equal(c->tokens.n, n < room && n < 40 ? n + 1 : n);
            assert_int_equal(c->finish, n < room && n < 40 ? L2_FINISH_EOS : L2_FINISH_LENGTH);
            assert_int_equal(c->series[L2_LOGPROBS].n, c->tokens.n);
            assert_null(c->series[L2_SAMPLED_LOGPROBS].v); /* the model's own distribution */
            assert_int_equal(c->gen.k, k);
            assert_true(c->gen.present && c->gen.seed == 42 && c->gen.temperature == 1);
            assert_string_equal(c->gen.model.s, "tiny");
            ended[c->finish]++;
            l2_kv_seq_release(l2_engine_kv(e), &seq);
        }
    }
    assert_true(ended[L2_FINISH_EOS] > 0 && ended[L2_FINISH_LENGTH] > 0);
    generate_free(got, N_RECORDS);
    l2_sampler_free(s);
    l2_engine_free(e);
}

/* K completions are the first of more, and those of two runs, the second of which goes on where the
 * first ended. */
static void test_k(void **state)
{
    struct l2_record *few[N_RECORDS], *many[N_RECORDS], *again[N_RECORDS];
    struct l2_generate_opts o = generate_options(4, 12), rest = generate_options(7, 12);
    struct l2_engine *e = tiny_engine(&generate_tiny, 20, 20, 0, NULL);
    struct l2_worker *w;
    (void)state;
    generate_all(&o, 40, 40, 0, 1, few);
    o.n_completions = 11;
    generate_all(&o, 40, 40, 0, 1, many);
    for (size_t i = 0; i < N_RECORDS; i++)
        for (size_t c = 0; c < 4; c++)
            generate_same_completion(&few[i]->completions[c], &many[i]->completions[c]);
    assert_int_equal(l2_generator_new(&w, e, &rest, &err), L2_OK);
    generate_drive(w, few, N_RECORDS, again);
    generate_same(many, again, N_RECORDS);
    w->ops->free(w);
    generate_free(again, N_RECORDS);
    generate_free(many, N_RECORDS);
    l2_engine_free(e);
}

/* Where numbering goes on: after the largest k, whatever the order; without gen after the number of
 * completions; and never round the end. */
static void test_first_k(void **state)
{
    static const uint32_t token[] = {9};
    struct l2_generate_opts o = generate_options(2, 3);
    struct l2_engine *e = tiny_engine(&generate_tiny, 20, 20, 0, NULL);
    struct l2_record *in[2], *out[2], *r;
    struct l2_worker *w;
    (void)state;
    for (int i = 0; i < 2; i++) {
        in[i] = tiny_record(i, 4);
        tiny_record_add(in[i], token, 1);
        tiny_record_add(in[i], token, 1);
    }
    in[0]->completions[0].gen.has_k = in[0]->completions[1].gen.has_k = true;
    in[0]->completions[0].gen.k = 7;
    in[0]->completions[1].gen.k = 3;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    generate_drive(w, in, 2, out);
    assert_int_equal(out[0]->n_completions, 4);
    assert_int_equal(out[0]->completions[2].gen.k, 8);
    assert_int_equal(out[0]->completions[3].gen.k, 9);
    assert_int_equal(out[1]->completions[2].gen.k, 2);
    generate_free(out, 2);
    r = tiny_record(0, 4);
    tiny_record_add(r, token, 1);
    r->completions[0].gen.has_k = true;
    r->completions[0].gen.k = UINT64_MAX - 1;
    assert_int_equal(w->ops->add(w, r, &err), L2_LIMIT);
    assert_non_null(strstr(err.text, "record 0"));
    tiny_record_free(r);
    w->ops->free(w);
    l2_engine_free(e);
}

/* The log-probabilities are those that scoring the same tokens gives, to the last bit. */
static void test_logprobs_are_scores(void **state)
{
    struct l2_record *got[N_RECORDS], *scored[N_RECORDS];
    float *logprobs[N_RECORDS * 3];
    struct l2_generate_opts o = generate_options(3, 25);
    struct l2_score_opts so = {.kind = L2_SCORE_LOGPROB, .name = "lp", .per_token = true};
    struct l2_engine *e = tiny_engine(&generate_tiny, 50, 20, 3, NULL);
    struct l2_worker *w;
    (void)state;
    o.sampler.temperature = 1.3;
    o.sampler.top_k = 30;
    generate_all(&o, 40, 40, 0, 1, got);
    for (size_t i = 0; i < N_RECORDS * 3; i++) {
        struct l2_completion *c = &got[i / 3]->completions[i % 3];
        assert_int_equal(c->series[L2_SAMPLED_LOGPROBS].n, c->tokens.n);
        logprobs[i] = c->series[L2_LOGPROBS].v;
        c->series[L2_LOGPROBS].v = NULL;
    }
    assert_int_equal(l2_scorer_new(&w, e, &so, &err), L2_OK);
    generate_drive(w, got, N_RECORDS, scored);
    for (size_t i = 0; i < N_RECORDS * 3; i++) {
        const struct l2_completion *c = &scored[i / 3]->completions[i % 3];
        double sum = 0;
        for (size_t j = 0; j < c->tokens.n; j++)
            sum += logprobs[i][j];
        assert_int_equal(c->series[L2_LOGPROBS].n, c->tokens.n);
        assert_memory_equal(c->series[L2_LOGPROBS].v, logprobs[i], c->tokens.n * sizeof(float));
        assert_true(fabs(sum - *l2_completion_score(c, "lp")) < 1e-9);
    }
    w->ops->free(w);
    generate_free(scored, N_RECORDS);
    l2_engine_free(e);
}

/* A record's completions differ from each other, and with the seed and the id. */
static void test_seeds(void **state)
{
    struct l2_record *a[N_RECORDS], *b[N_RECORDS], *in[2], *out[2];
    struct l2_generate_opts o = generate_options(2, 20);
    struct l2_engine *e = tiny_engine(&generate_tiny, 20, 20, 0, NULL);
    struct l2_worker *w;
    size_t same = 0;
    (void)state;
    generate_all(&o, 40, 40, 0, 1, a);
    o.seed = 43;
    generate_all(&o, 40, 40, 0, 1, b);
    for (size_t i = 0; i < N_RECORDS; i++) {
        const struct l2_completion *c = a[i]->completions, *d = b[i]->completions;
        same += c[0].tokens.n == c[1].tokens.n &&
                memcmp(c[0].tokens.v, c[1].tokens.v, 4 * c[0].tokens.n) == 0;
        same += c[0].tokens.n == d[0].tokens.n &&
                memcmp(c[0].tokens.v, d[0].tokens.v, 4 * c[0].tokens.n) == 0;
    }
    assert_true(same <= 2);
    generate_free(a, N_RECORDS);
    generate_free(b, N_RECORDS);
    in[0] = tiny_record(3, 6); /* one prompt, two ids */
    in[1] = tiny_record(3, 6);
    in[1]->id.number = 4;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    generate_drive(w, in, 2, out);
    assert_memory_not_equal(out[0]->completions[0].tokens.v, out[1]->completions[0].tokens.v, 12);
    generate_free(out, 2);
    w->ops->free(w);
    l2_engine_free(e);
}

static void test_greedy(void **state)
{
    struct l2_record *got[N_RECORDS];
    struct l2_generate_opts o = generate_options(2, 9);
    (void)state;
    o.sampler.temperature = 0;
    generate_all(&o, 40, 40, 0, 1, got);
    for (size_t i = 0; i < N_RECORDS; i++) {
        const struct l2_completion *c = got[i]->completions;
        assert_int_equal(c[0].tokens.n, c[1].tokens.n);
        assert_memory_equal(c[0].tokens.v, c[1].tokens.v, 4 * c[0].tokens.n);
        assert_int_equal(c[0].series[L2_SAMPLED_LOGPROBS].n, c[0].tokens.n);
        assert_true(c[0].series[L2_SAMPLED_LOGPROBS].v[0] == 0);
        assert_true(c[0].series[L2_LOGPROBS].v[0] < 0);
    }
    generate_free(got, N_RECORDS);
}

static void test_overlong(void **state)
{
    static uint32_t spans[] = {0, 10, 5, 60, 100, 140, 151, 160};
    struct l2_generate_opts o = generate_options(2, 20);
    struct l2_engine *e = tiny_engine(&generate_tiny, 64, 64, 0, NULL);
    struct l2_record *r, *out;
    struct l2_worker *w;
    (void)state;
    /* one token of room is room, and the completion ends with the context */
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    r = tiny_record(1, 149);
    generate_drive(w, &r, 1, &out);
    assert_int_equal(out->completions[1].tokens.n, 1);
    tiny_record_free(out);
    r = tiny_record(8, 150);
    assert_int_equal(w->ops->add(w, r, &err), L2_LIMIT);
    assert_string_equal(err.text,
                        "record 8: a prompt of 150 tokens leaves no room in a context of 150");
    tiny_record_free(r);
    w->ops->free(w);

    o.overlong = L2_OVERLONG_DROP;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    r = tiny_record(8, 150);
    generate_drive(w, &r, 1, &out);
    assert_int_equal(out->n_completions, 0);
    assert_int_equal(out->prompt.n, 150);
    assert_int_equal(w->ops->faults(w)->dropped, 1);
    assert_int_equal(w->ops->faults(w)->records, 0);
    tiny_record_free(out);
    w->ops->free(w);

    for (int left = 0; left < 2; left++) {
        uint32_t first = 1, second, last;
        o.overlong = left ? L2_OVERLONG_TRUNCATE_LEFT : L2_OVERLONG_TRUNCATE_RIGHT;
        assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
        r = tiny_record(8, 170);
        r->spans = (struct l2_u32s){spans, 8};
        second = r->prompt.v[left ? 41 : 1];
        last = r->prompt.v[left ? 169 : 129];
        generate_drive(w, &r, 1, &out);
        assert_int_equal(out->prompt.n, 130); /* room for 20 */
        assert_int_equal(out->prompt.v[0], first);
        assert_int_equal(out->prompt.v[1], second);
        assert_int_equal(out->prompt.v[129], last);
        if (left) { /* positions 1 to 40 are gone */
            static const uint32_t want[] = {0, 1, 1, 20, 60, 100, 111, 120};
            assert_int_equal(out->spans.n, 8);
            assert_memory_equal(out->spans.v, want, sizeof want);
        } else {
            static const uint32_t want[] = {0, 10, 5, 60, 100, 130};
            assert_int_equal(out->spans.n, 6);
            assert_memory_equal(out->spans.v, want, sizeof want);
        }
        assert_int_equal(out->n_completions, 2);
        assert_int_equal(w->ops->faults(w)->truncated, 1);
        tiny_record_free(out);
        w->ops->free(w);
    }
    l2_engine_free(e);
}

static void test_refused_records(void **state)
{
    struct l2_generate_opts o = generate_options(1, 3);
    struct l2_engine *e = tiny_engine(&generate_tiny, 4, 4, 0, NULL);
    struct l2_record *r;
    struct l2_worker *w;
    (void)state;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    r = tiny_record(6, 0);
    assert_int_equal(w->ops->add(w, r, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "record 6: the prompt is empty"));
    r->prompt.v = NULL;
    assert_int_equal(w->ops->add(w, r, &err), L2_FORMAT);
    tiny_record_free(r);
    r = tiny_record(6, 3);
    r->prompt.v[2] = 96;
    assert_int_equal(w->ops->add(w, r, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "below 96, got 96"));
    tiny_record_free(r);
    w->ops->free(w);
    l2_engine_free(e);
}

/* Token 5 makes every logit after it NaN: completions that draw it, or prompts that have it, are
 * left out; the others are what they are without the poison. */
static void test_not_finite(void **state)
{
    struct l2_record *want[N_RECORDS], *in[N_RECORDS + 1], *got[N_RECORDS + 1];
    struct l2_generate_opts o = generate_options(6, 40);
    struct tiny_model poisoned;
    struct l2_engine *e;
    struct l2_worker *w;
    size_t lost = 0, faulty = 0, kept = 0;
    (void)state;
    generate_all(&o, 40, 40, 0, 1, want);
    tiny_model_open(&poisoned, L2_HEAD_VOCAB, true);
    e = tiny_engine(&poisoned, 16, 16, 0, NULL);
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    in[0] = tiny_record(77, 3);
    in[0]->prompt.v[1] = 5;
    for (int64_t i = 0; i < N_RECORDS; i++)
        in[i + 1] = generate_record(i);
    generate_drive(w, in, N_RECORDS + 1, got);
    assert_int_equal(got[0]->n_completions, 0);
    for (size_t i = 0; i < N_RECORDS; i++) {
        const struct l2_completion *c = got[i + 1]->completions;
        size_t n = 0, before = lost;
        for (size_t k = 0; k < 6; k++) {
            const struct l2_completion *d = &want[i]->completions[k];
            bool poison = false;
            for (size_t j = 0; j + 1 < d->tokens.n; j++)
                poison = poison || d->tokens.v[j] == 5;
            if (poison) {
                lost++;
                continue;
            }
            assert_true(n < got[i + 1]->n_completions);
            generate_same_completion(&c[n++], d);
        }
        assert_int_equal(n, got[i + 1]->n_completions);
        kept += n;
        faulty += lost > before;
    }
    assert_true(lost > 0 && kept > 0);
    assert_int_equal(w->ops->faults(w)->records, faulty + 1);
    assert_string_equal(w->ops->faults(w)->first_id, "77");
    assert_non_null(strstr(w->ops->faults(w)->first.text, "not finite"));
    w->ops->free(w);
    l2_engine_free(e);
    tiny_model_close(&poisoned);
    generate_free(got, N_RECORDS + 1);
    generate_free(want, N_RECORDS);
}

/* Ids that the model has rows for and the stream's vocabulary does not. */
static void test_outside_vocabulary(void **state)
{
    struct l2_generate_opts o = generate_options(20, 5);
    struct l2_engine *e = tiny_engine(&generate_tiny, 8, 8, 0, NULL);
    struct l2_record *r = tiny_record(1, 4), *out;
    struct l2_worker *w;
    (void)state;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    l2_generator_set_vocab_size(w, 90);
    r->prompt.v[1] = r->prompt.v[2] = r->prompt.v[3] = 9;
    generate_drive(w, &r, 1, &out);
    assert_true(out->n_completions > 0 && out->n_completions < 20);
    for (size_t c = 0; c < out->n_completions; c++)
        for (size_t i = 0; i < out->completions[c].tokens.n; i++)
            assert_true(out->completions[c].tokens.v[i] < 90);
    assert_int_equal(w->ops->faults(w)->records, 1);
    tiny_record_free(out);
    w->ops->free(w);
    l2_engine_free(e);
}

/* Freed with work under way: nothing is lost (sanitizers see to that). */
static void test_free_midway(void **state)
{
    struct l2_generate_opts o = generate_options(3, 20);
    struct l2_engine *e = tiny_engine(&generate_tiny, 16, 16, 0, NULL);
    struct l2_worker *w;
    (void)state;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(w->ops->add(w, generate_record(i), &err), L2_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(w->ops->step(w, &err), L2_OK);
    w->ops->free(w);
    assert_int_equal(l2_kv_pool_free_blocks(l2_engine_kv(e)), l2_kv_pool_blocks(l2_engine_kv(e)));
    l2_engine_free(e);
}

/* Prompts that begin alike: the same first 0, 64, 80, 128 or all tokens, and then their own. */
static struct l2_record *alike(int64_t id)
{
    static const size_t common[] = {140, 64, 128, 0, 80, 140, 63};
    struct l2_record *r = tiny_record(id, 70 + (size_t)(id * 29) % 71),
                     *base = tiny_record(99, 140);
    size_t n = common[id % 7] < r->prompt.n ? common[id % 7] : r->prompt.n;
    memcpy(r->prompt.v, base->prompt.v, n * sizeof *r->prompt.v);
    tiny_record_free(base);
    return r;
}

/* The tokens that were run for them; out gets the records. */
static uint64_t run_alike(struct l2_engine *e, struct l2_record **out)
{
    struct l2_generate_opts o = generate_options(3, 20);
    struct l2_record *in[N_RECORDS];
    struct l2_worker *w;
    uint64_t tokens, generated;
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    for (int64_t i = 0; i < N_RECORDS; i++)
        in[i] = alike(i);
    generate_drive(w, in, N_RECORDS, out);
    w->ops->counts(w, &tokens, &generated);
    assert_int_equal(l2_kv_pool_free_blocks(l2_engine_kv(e)), l2_kv_pool_blocks(l2_engine_kv(e)));
    w->ops->free(w);
    return tokens;
}

/* Common beginnings are run once, which changes nothing: whatever the batch, with room for all and
 * where what is known has to be forgotten, and with what an earlier worker has left. */
static void test_common_beginnings(void **state)
{
    static const struct {
        uint32_t rows, outputs, blocks;
    } ways[] = {{512, 64, 0}, {1, 1, 3}, {50, 50, 0}, {200, 7, 7}, {64, 1, 4}};
    struct l2_record *want[N_RECORDS], *got[N_RECORDS];
    struct l2_engine *e = tiny_engine_alone(&generate_tiny, 512, 512, 0, NULL);
    uint64_t alone = run_alike(e, want);
    (void)state;
    assert_int_equal(l2_kv_prefix_find(l2_engine_kv(e), want[0]->prompt.v, 64), 0);
    l2_engine_free(e);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        uint64_t before = alone;
        e = tiny_engine(&generate_tiny, ways[i].rows, ways[i].outputs, ways[i].blocks, NULL);
        for (int again = 0; again < 2; again++) {
            uint64_t tokens = run_alike(e, got);
            assert_true(tokens <= before);
            if (ways[i].blocks == 0)
                assert_true(tokens + 64 <= before);
            generate_same(want, got, N_RECORDS);
            generate_free(got, N_RECORDS);
            before = ways[i].blocks == 0 ? tokens : alone;
        }
        l2_engine_free(e);
    }
    generate_free(want, N_RECORDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariance),
        cmocka_unit_test(test_against_plain_decoding),
        cmocka_unit_test(test_k),
        cmocka_unit_test(test_first_k),
        cmocka_unit_test(test_logprobs_are_scores),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_overlong),
        cmocka_unit_test(test_refused_records),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_outside_vocabulary),
        cmocka_unit_test(test_free_midway),
        cmocka_unit_test(test_common_beginnings),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, generate_set_up, generate_tear_down);
}
