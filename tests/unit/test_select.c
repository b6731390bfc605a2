/* Unit tests of rejection sampling: selection, the combined reward, pooling. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/gather.h"
#include "rlhf/overall.h"
#include "rlhf/select.h"
#include "stream/fields.h"

static struct l2_err err;

static void fill_u32s(struct l2_record *r, struct l2_u32s *out, const uint32_t *v, size_t n)
{
    out->v = l2_arena_alloc(&r->arena, n, sizeof *v, &err);
    assert_non_null(out->v);
    memcpy(out->v, v, n * sizeof *v);
    out->n = n;
}

/* Appends a completion of one token; name NULL: without a score. k < 0: without gen. */
static struct l2_completion *put(struct l2_record *r, int k, uint32_t token, const char *name,
                                 double score)
{
    struct l2_completion *c = l2_record_add_completion(r, &err);
    assert_non_null(c);
    fill_u32s(r, &c->tokens, &token, 1);
    if (k >= 0) {
        c->gen.present = c->gen.has_k = true;
        c->gen.k = (uint64_t)k;
    }
    if (name)
        assert_int_equal(l2_record_set_score(r, c, name, score, &err), L2_OK);
    return c;
}

static struct l2_record *new_record(int64_t id, uint32_t prompt)
{
    struct l2_record *r = malloc(sizeof *r);
    assert_non_null(r);
    l2_record_init(r);
    r->id.number = id;
    fill_u32s(r, &r->prompt, &prompt, 1);
    return r;
}

/* What to choose by; freed at the end of the program's tests. */
static struct l2_expr *by(const char *text)
{
    static struct l2_expr *parsed[8];
    static char texts[8][32];
    for (size_t i = 0; i < 8; i++) {
        if (!parsed[i]) {
            assert_int_equal(l2_expr_parse(&parsed[i], text, &err), L2_OK);
            strcpy(texts[i], text);
        }
        if (strcmp(texts[i], text) == 0)
            return parsed[i];
    }
    fail();
    return NULL;
}

static void free_record(struct l2_record *r)
{
    l2_record_release(r);
    free(r);
}

/* Five completions; equal scores at k 1 and 4, and at k 0 and 3; the places are not the k. */
static struct l2_record *five(void)
{
    struct l2_record *r = new_record(1, 7);
    put(r, 4, 14, "r", 2.0);
    put(r, 0, 10, "r", -1.0);
    put(r, 3, 13, "r", -1.0);
    put(r, 1, 11, "r", 2.0);
    put(r, 2, 12, "r", 0.5);
    return r;
}

static enum l2_select_result run(struct l2_record *r, const struct l2_select_opts *o,
                                 struct l2_select_counts *counts)
{
    enum l2_select_result result;
    assert_int_equal(l2_select(r, o, counts, &result, &err), L2_OK);
    return result;
}

static void expect_tokens(const struct l2_record *r, const uint32_t *tokens, size_t n)
{
    assert_int_equal(r->n_completions, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r->completions[i].tokens.v[0], tokens[i]);
}

static void test_best_and_worst(void **state)
{
    static const uint32_t best[] = {11, 14, 12, 10, 13}, worst[] = {10, 13, 12, 11, 14};
    (void)state;
    for (size_t n = 1; n < 8; n++) {
        for (int w = 0; w < 2; w++) {
            struct l2_record *r = five();
            struct l2_select_counts counts = {0};
            struct l2_select_opts o = {
                .kind = w ? L2_SELECT_WORST : L2_SELECT_BEST, .n = n, .by = by("r"), .scale = 1};
            r->has_margin = true;
            assert_int_equal(run(r, &o, &counts), L2_SELECTED);
            expect_tokens(r, w ? worst : best, n < 5 ? n : 5);
            assert_false(r->has_margin);
            assert_int_equal(counts.completions_in, 5);
            assert_int_equal(counts.completions_out, n < 5 ? n : 5);
            assert_true(counts.sum_before == 2.5);
            if (n == 2)
                assert_true(counts.sum_after == (w ? -2 : 4));
            free_record(r);
        }
    }
}

static void test_margin_stays_with_its_pair(void **state)
{
    struct l2_select_opts o = {.kind = L2_SELECT_BEST, .n = 2, .by = by("r"), .scale = 1};
    struct l2_select_counts counts = {0};
    struct l2_record *r = new_record(1, 7);
    (void)state;
    put(r, -1, 1, "r", 3);
    put(r, -1, 2, "r", 2);
    put(r, -1, 3, "r", 1);
    r->has_margin = true;
    r->margin = 0.25f;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_true(r->has_margin && r->margin == 0.25f);
    o.n = 1;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_false(r->has_margin);
    free_record(r);
}

static void test_pairs(void **state)
{
    static const uint32_t want[] = {11, 10};
    struct l2_select_opts o = {.kind = L2_SELECT_PAIRS, .by = by("r"), .scale = 1};
    struct l2_select_counts counts = {0};
    struct l2_record *r = five();
    (void)state;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    expect_tokens(r, want, 2);
    assert_false(r->has_margin);
    free_record(r);

    r = five();
    o.keep_margin = true;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_true(r->has_margin && r->margin == 3);
    free_record(r);

    r = new_record(1, 7);
    put(r, 0, 1, "r", 2);
    assert_int_equal(run(r, &o, &counts), L2_SELECT_SINGLE);
    put(r, 1, 1, "r", 3); /* the same tokens again */
    assert_int_equal(run(r, &o, &counts), L2_SELECT_SINGLE);
    put(r, 2, 2, "r", 3);
    put(r, 3, 3, "r", 3);
    r->completions[0].scores[0].value = 3;
    assert_int_equal(run(r, &o, &counts), L2_SELECT_TIED);
    assert_int_equal(r->n_completions, 4); /* left as it was */
    assert_int_equal(counts.results[L2_SELECT_SINGLE], 2);
    assert_int_equal(counts.results[L2_SELECT_TIED], 1);
    free_record(r);
}

static void test_duplicates(void **state)
{
    static const uint32_t want[] = {5, 6};
    struct l2_select_opts o = {.kind = L2_SELECT_BEST, .n = 9, .by = by("r"), .scale = 1};
    struct l2_select_counts counts = {0};
    struct l2_record *r = new_record(1, 7);
    struct l2_completion *c;
    (void)state;
    put(r, 3, 5, "r", 1);
    put(r, 2, 6, "r", 0);
    put(r, 1, 5, "r", 1);
    put(r, 0, 5, "r", 0.5);
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    expect_tokens(r, want, 2);
    assert_int_equal(r->completions[0].gen.k, 1);
    assert_int_equal(counts.duplicates, 2);
    c = put(r, 9, 5, "r", 1); /* cut inside a token: another text */
    assert_int_equal(l2_record_str(r, "x", 1, &c->text, &err), L2_OK);
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_int_equal(r->n_completions, 3);
    free_record(r);
}

static void test_unscored_and_minimum(void **state)
{
    static const uint32_t want[] = {3};
    struct l2_select_opts o = {.kind = L2_SELECT_BEST, .n = 2, .by = by("r"), .scale = 1};
    struct l2_select_counts counts = {0};
    struct l2_record *r = new_record(1, 7);
    (void)state;
    assert_int_equal(run(r, &o, &counts), L2_SELECT_UNSCORED);
    put(r, 0, 1, NULL, 0);
    put(r, 1, 2, "other", 5);
    assert_int_equal(run(r, &o, &counts), L2_SELECT_UNSCORED);
    put(r, 2, 3, "r", -4);
    o.has_min_score = true;
    o.min_score = -3.5;
    assert_int_equal(run(r, &o, &counts), L2_SELECT_BELOW);
    assert_int_equal(counts.below, 1);
    o.min_score = -4;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    expect_tokens(r, want, 1);
    assert_int_equal(counts.results[L2_SELECT_UNSCORED], 2);
    assert_int_equal(counts.unscored, 6);
    free_record(r);
}

/* golden/gqa64/ppo.json, "piecewise_reward", of an implementation of the paper that is not this
 * one: there the test is made on probabilities and the logit taken of the result. */
static void test_combined(void **state)
{
    static const double safety[] = {0.03, 0.14, 0.15, 0.5, 0.9};
    static const double helpful[] = {0.9, 0.2, 0.6, 0.4, 0.8};
    static const bool tagged[] = {false, false, false, true, false};
    static const double logit[] = {-3.4760986898352733, -1.8152899666382492, 0.4054651081081642,
                                   0.0, 1.3862943611198908};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        double s = log(safety[i] / (1 - safety[i])), h = log(helpful[i] / (1 - helpful[i]));
        assert_true(fabs(l2_combined_reward(s, h, tagged[i]) - logit[i]) < 1e-14);
    }
    assert_true(l2_combined_reward(L2_SAFETY_THRESHOLD, 5, false) == 5);
    assert_true(l2_combined_reward(nextafter(L2_SAFETY_THRESHOLD, -9), 5, false) < 0);
    /* where a sigmoid in single precision is 1 for both, the raw scores still tell them apart */
    assert_true(l2_combined_reward(40, 30, false) < l2_combined_reward(40, 31, false));
}

static void set_meta(struct l2_record *r, const char *cbor, size_t n)
{
    uint8_t *copy = l2_arena_alloc(&r->arena, n, 1, &err);
    assert_non_null(copy);
    memcpy(copy, cbor, n);
    r->has_meta = true;
    r->meta = (struct l2_fields){copy, n, 1};
}

static void put_two(struct l2_record *r, int k, uint32_t token, double safe, double helpful)
{
    struct l2_completion *c = put(r, k, token, "safe", safe);
    assert_int_equal(l2_record_set_score(r, c, "help", helpful, &err), L2_OK);
}

static void test_combined_selection(void **state)
{
    static const uint32_t untagged[] = {2, 3, 1}, tagged[] = {3, 2, 1};
    struct l2_select_opts o = {.kind = L2_SELECT_BEST,
                               .n = 9,
                               .by = by("llama2(safe, help)"),
                               .scale = 1,
                               .safety_tag = "risky",
                               .as = "combined"};
    struct l2_select_counts counts = {0};
    enum l2_select_result result;
    (void)state;
    for (int tag = -1; tag < 2; tag++) {
        struct l2_record *r = new_record(1, 7);
        put_two(r, 0, 1, -2, 9);
        put_two(r, 1, 2, 1, 3);
        put_two(r, 2, 3, 4, 2);
        put(r, 3, 4, "help", 99);
        if (tag >= 0)
            set_meta(r, tag ? "\x65risky\xf5" : "\x65risky\xf4", 7);
        assert_int_equal(run(r, &o, &counts), L2_SELECTED);
        expect_tokens(r, tag == 1 ? tagged : untagged, 3);
        assert_true(*l2_completion_score(&r->completions[0], "combined") == (tag == 1 ? 4 : 3));
        assert_true(*l2_completion_score(&r->completions[2], "combined") == -2);
        assert_true(*l2_completion_score(&r->completions[0], "safe") == (tag == 1 ? 4 : 1));
        free_record(r);
    }
    /* a safe score alone is enough below the threshold and on tagged prompts */
    struct l2_record *r = new_record(1, 7);
    put(r, 0, 1, "safe", -5);
    put(r, 1, 2, "safe", 5);
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_int_equal(r->n_completions, 1);
    set_meta(r, "\x65risky\x01", 7);
    assert_int_equal(l2_select(r, &o, &counts, &result, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "risky"));
    free_record(r);
}

static void test_many(void **state)
{
    struct l2_select_opts o = {.kind = L2_SELECT_BEST, .n = 1000, .by = by("r"), .scale = 1};
    struct l2_select_counts counts = {0};
    struct l2_record *r = new_record(1, 7);
    (void)state;
    for (int k = 0; k < 5000; k++)
        put(r, k, (uint32_t)(k % 700), "r", (double)((k % 700 * 37) % 701));
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_int_equal(r->n_completions, 700);
    assert_int_equal(counts.duplicates, 4300);
    for (size_t i = 1; i < 700; i++) {
        assert_true(r->completions[i - 1].scores[0].value > r->completions[i].scores[0].value);
        assert_true(r->completions[i].gen.k < 700);
    }
    free_record(r);
}

static void test_random(void **state)
{
    struct l2_select_opts o = {
        .kind = L2_SELECT_BEST, .n = 2, .by = by("r"), .scale = 1, .random = true};
    struct l2_select_counts counts = {0};
    unsigned seen[5][5] = {{0}};
    (void)state;
    for (o.seed = 0; o.seed < 2000; o.seed++) {
        struct l2_record *r = five();
        uint32_t a, b;
        o.has_min_score = o.seed % 2 == 1; /* three reach it, of which two are chosen as before */
        o.min_score = 0;
        assert_int_equal(run(r, &o, &counts), L2_SELECTED);
        assert_int_equal(r->n_completions, 2);
        a = r->completions[0].tokens.v[0] - 10;
        b = r->completions[1].tokens.v[0] - 10;
        assert_int_not_equal(a, b);
        seen[a][b]++;
        free_record(r);
    }
    for (size_t a = 0; a < 5; a++) /* 100 each are expected, with a deviation of 9.7 */
        for (size_t b = 0; b < 5; b++)
            if (a != b)
                assert_in_range(seen[a][b], 55, 145);
    assert_int_equal(counts.below, 0);
    o.kind = L2_SELECT_PAIRS;
    for (o.seed = 0; o.seed < 200; o.seed++) {
        struct l2_record *r = five();
        o.has_min_score = false;
        assert_int_equal(run(r, &o, &counts), L2_SELECTED);
        assert_true(*l2_completion_score(&r->completions[0], "r") >
                    *l2_completion_score(&r->completions[1], "r"));
        free_record(r);
    }
}

/* What was given three times of four is drawn so, and twice never. */
static void test_random_duplicates(void **state)
{
    struct l2_select_opts o = {
        .kind = L2_SELECT_BEST, .n = 1, .by = by("r"), .scale = 1, .random = true};
    struct l2_select_counts counts = {0};
    unsigned often = 0;
    (void)state;
    for (o.seed = 0; o.seed < 2000; o.seed++) {
        struct l2_record *r = new_record(1, 7);
        o.n = 1 + o.seed % 2;
        put(r, 0, 10, "r", 1.0);
        put(r, 1, 11, "r", 2.0);
        put(r, 2, 10, "r", 1.0);
        put(r, 3, 10, "r", 1.0);
        assert_int_equal(run(r, &o, &counts), L2_SELECTED);
        assert_int_equal(r->n_completions, o.n);
        often += r->completions[0].tokens.v[0] == 10;
        free_record(r);
    }
    assert_in_range(often, 1400, 1600); /* 1500 are expected, with a deviation of 19 */
}

static void test_overall(void **state)
{
    struct l2_select_opts o = {.kind = L2_SELECT_BEST, .n = SIZE_MAX, .by = by("r"), .scale = 1};
    enum l2_select_result result;
    size_t total[3] = {0, 0, 0};
    (void)state;
    for (o.seed = 0; o.seed < 300; o.seed++) {
        struct l2_overall *all;
        o.random = o.seed > 0;
        assert_int_equal(l2_overall_new(&all, &err), L2_OK);
        for (int64_t i = 0; i < 3; i++) { /* -1 -1 0.5 2 2; nothing; the same again */
            struct l2_record *r = i == 1 ? new_record(1, 7) : five();
            struct l2_verdict *verdicts;
            assert_int_equal(l2_judge(r, &o, &verdicts, &result, &err), L2_OK);
            assert_int_equal(l2_overall_add(all, &o, verdicts, r->n_completions, &err), L2_OK);
            free_record(r);
        }
        l2_overall_pick(all, &o, 5);
        assert_int_equal(l2_overall_count(all, 1), 0);
        if (!o.random) { /* 2 2 2 2, and of the two 0.5 the first one's */
            assert_int_equal(l2_overall_count(all, 0), 3);
            assert_int_equal(l2_overall_count(all, 2), 2);
        } else {
            for (size_t i = 0; i < 3; i++)
                total[i] += l2_overall_count(all, i);
        }
        l2_overall_free(all);
    }
    assert_int_equal(total[0] + total[2], 299 * 5);
    assert_in_range(total[0], 675, 820); /* 747.5 are expected, with a deviation of 14 */
}

static void test_judge_scale(void **state)
{
    struct l2_select_opts o = {
        .kind = L2_SELECT_BEST, .n = 1, .by = by("r"), .shift = 0.5, .scale = 2, .as = "white"};
    struct l2_select_counts counts = {0};
    struct l2_record *r = five();
    enum l2_select_result result;
    (void)state;
    assert_int_equal(run(r, &o, &counts), L2_SELECTED);
    assert_true(*l2_completion_score(&r->completions[0], "white") == 3);
    assert_true(*l2_completion_score(&r->completions[0], "r") == 2);
    free_record(r);
    r = five();
    o.by = by("1 / (r - 2)");
    assert_int_equal(l2_select(r, &o, &counts, &result, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "record 1: completion 0: want a finite value"));
    free_record(r);
    r = five();
    o.by = by("r");
    o.n = 0;
    assert_int_equal(run(r, &o, &counts), L2_SELECT_OUTRANKED);
    assert_int_equal(r->n_completions, 5);
    free_record(r);
}

static uint32_t lcg(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* What is kept over plain answers, against a count by hand of many records. */
static void test_over_plain(void **state)
{
    (void)state;
    static const uint8_t name[] = {0x61, 'x'}, none[] = {0xf4}; /* "x", false */
    const struct l2_select_opts o = {
        .kind = L2_SELECT_BEST, .n = SIZE_MAX, .by = by("r"), .scale = 1, .over_plain = true};
    size_t met[L2_N_SELECT_RESULTS] = {0};
    uint32_t random = 1;
    for (int64_t id = 0; id < 3000; id++) {
        struct l2_record *r = new_record(id, 7);
        struct l2_select_counts counts = {0};
        double best = -1, plain = -1; /* scores are 0 to 3 */
        size_t better = 0, n = lcg(&random) % 6;
        double scores[6];
        bool unders[6];
        for (size_t i = 0; i < n; i++) {
            bool scored = lcg(&random) % 4 > 0, marked = lcg(&random) % 2 > 0;
            scores[i] = scored ? (double)(lcg(&random) % 4) : -1;
            unders[i] = lcg(&random) % 2 > 0;
            struct l2_completion *c =
                put(r, (int)i, (uint32_t)i + 1, scored ? "r" : NULL, scores[i]);
            if (unders[i] || marked)
                assert_int_equal(l2_fields_set(&c->gen.other, &r->arena, "preprompt",
                                               unders[i] ? name : none, unders[i] ? 2 : 1, &err),
                                 L2_OK);
            double *top = unders[i] ? &best : &plain;
            *top = scores[i] > *top ? scores[i] : *top;
        }
        for (size_t i = 0; i < n; i++)
            better += unders[i] && scores[i] > plain;
        enum l2_select_result want = best < 0 || plain < 0 ? L2_SELECT_UNSCORED
                                     : best > plain        ? L2_SELECTED
                                     : best == plain       ? L2_SELECT_TIED
                                                           : L2_SELECT_NO_GAIN;
        assert_int_equal(run(r, &o, &counts), want);
        met[want]++;
        if (want == L2_SELECTED) {
            assert_int_equal(r->n_completions, better);
            assert_true(*l2_completion_score(&r->completions[0], "r") == best);
        } else {
            assert_int_equal(r->n_completions, n);
        }
        free_record(r);
    }
    assert_true(met[L2_SELECT_UNSCORED] > 100 && met[L2_SELECTED] > 100 &&
                met[L2_SELECT_TIED] > 100 && met[L2_SELECT_NO_GAIN] > 100);
}

static void test_gather(void **state)
{
    struct l2_gather *g;
    struct l2_record *r, *texts[2];
    size_t seen = 0;
    (void)state;
    assert_int_equal(l2_gather_new(&g, true, &err), L2_OK);
    for (uint32_t round = 0; round < 3; round++) {
        for (int64_t id = 0; id < 300; id++) {
            r = new_record(id, id == 5 ? 100 + round : 7); /* id 5: another prompt each time */
            put(r, (int)round, round, NULL, 0);
            assert_int_equal(l2_gather_add(g, r, &err), L2_OK);
        }
    }
    for (size_t i = 0; i < 2; i++) { /* the text "5" is not the number 5 */
        texts[i] = new_record(0, 7);
        texts[i]->id = (struct l2_id){.is_text = true, .text = {"5", 1}};
        assert_int_equal(l2_gather_add(g, texts[i], &err), L2_OK);
    }
    for (;;) {
        assert_int_equal(l2_gather_next(g, &r, &err), L2_OK);
        if (!r)
            break;
        if (seen < 300)
            assert_int_equal(r->id.number, seen);
        assert_int_equal(r->n_completions, seen >= 302 ? 0 : r->id.number == 5 ? 1 : 3);
        for (size_t i = 0; i < r->n_completions && r->n_completions == 3; i++)
            assert_int_equal(r->completions[i].tokens.v[0], i);
        seen++;
    }
    assert_int_equal(seen, 303);
    l2_gather_rewind(g);
    assert_int_equal(l2_gather_next(g, &r, &err), L2_OK);
    assert_int_equal(r->n_completions, 3);
    l2_gather_free(g);
    assert_int_equal(l2_gather_new(&g, false, &err), L2_OK); /* without pooling */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(l2_gather_add(g, new_record(1, i / 2), &err), L2_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(l2_gather_next(g, &r, &err), L2_OK);
        assert_int_equal(r->prompt.v[0], i / 2);
    }
    assert_int_equal(l2_gather_next(g, &r, &err), L2_OK);
    assert_null(r);
    l2_gather_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_and_worst),
        cmocka_unit_test(test_margin_stays_with_its_pair),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_unscored_and_minimum),
        cmocka_unit_test(test_combined),
        cmocka_unit_test(test_combined_selection),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_duplicates),
        cmocka_unit_test(test_overall),
        cmocka_unit_test(test_judge_scale),
        cmocka_unit_test(test_over_plain),
        cmocka_unit_test(test_gather),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
