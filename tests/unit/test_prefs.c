/* Unit tests of preference pairs: what is met again, safety, splits, weights, what table 6 counts.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/prefs.h"

static struct l2_err err;

/* The pair with these numbers as hashes. */
static struct l2_pref pref_of(uint32_t prompt, uint32_t chosen, uint32_t rejected)
{
    struct l2_pref p = {.rating = L2_RATING_NONE, .safe = {-1, -1}};
    memcpy(p.prompt, &prompt, sizeof prompt);
    memcpy(p.opening, &prompt, sizeof prompt);
    memcpy(p.answers[0], &chosen, sizeof chosen);
    memcpy(p.answers[1], &rejected, sizeof rejected);
    return p;
}

static void init(struct l2_prefs *p, struct l2_prefs_opts o)
{
    o.memory = 1 << 20;
    assert_int_equal(l2_prefs_init(p, &o, &err), L2_OK);
}

static bool judge(struct l2_prefs *p, struct l2_pref pref)
{
    bool contradicts;
    return l2_prefs_judge(p, &pref, &contradicts);
}

static void test_repetitions(void **state)
{
    struct l2_prefs p;
    bool contradicts;
    (void)state;
    for (int unique = 0; unique < 2; unique++) {
        init(&p, (struct l2_prefs_opts){.unique = unique});
        struct l2_pref ab = pref_of(1, 2, 3), ba = pref_of(1, 3, 2), other = pref_of(4, 2, 3);
        assert_true(l2_prefs_judge(&p, &ab, &contradicts) && !contradicts);
        assert_true(l2_prefs_judge(&p, &ab, &contradicts) == !unique && !contradicts);
        assert_true(l2_prefs_judge(&p, &ba, &contradicts) == !unique && contradicts);
        assert_true(l2_prefs_judge(&p, &other, &contradicts) && !contradicts);
        assert_int_equal(p.duplicates, 1);
        assert_int_equal(p.contradictions, 1);
        assert_int_equal(p.kept, unique ? 2 : 4);
        l2_prefs_release(&p);
    }
}

/* The right order of a pair is kept after the wrong one, which is left out and forgotten. */
static void test_unsafe_first(void **state)
{
    struct l2_prefs p;
    struct l2_pref wrong = pref_of(1, 2, 3), right = pref_of(1, 3, 2);
    bool contradicts;
    (void)state;
    init(&p, (struct l2_prefs_opts){.unique = true});
    wrong.safe[0] = right.safe[1] = 0;
    wrong.safe[1] = right.safe[0] = 1;
    assert_true(!l2_prefs_judge(&p, &wrong, &contradicts) && !contradicts);
    assert_true(l2_prefs_judge(&p, &right, &contradicts) && !contradicts);
    assert_false(judge(&p, right));
    assert_int_equal(p.unsafe, 1);
    assert_int_equal(p.duplicates, 1);
    assert_int_equal(p.contradictions, 0);
    l2_prefs_release(&p);
}

static void test_safety(void **state)
{
    static const struct {
        int safe[2];
        int bin; /* -1: dropped, -2: in none */
    } cases[] = {{{1, 0}, L2_PREF_CHOSEN_SAFE},
                 {{1, 1}, L2_PREF_BOTH_SAFE},
                 {{0, 0}, L2_PREF_BOTH_UNSAFE},
                 {{0, 1}, -1},
                 {{-1, 1}, -2},
                 {{0, -1}, -2}};
    (void)state;
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct l2_prefs p;
        struct l2_pref pref = pref_of(i, 1, 2);
        init(&p, (struct l2_prefs_opts){.seed = 0});
        memcpy(pref.safe, cases[i].safe, sizeof pref.safe);
        pref.rating = L2_RATING_SLIGHT;
        assert_int_equal(judge(&p, pref), cases[i].bin != -1);
        assert_int_equal(p.unsafe, cases[i].bin == -1);
        assert_int_equal(p.ratings[L2_RATING_SLIGHT], cases[i].bin != -1);
        for (int b = 0; b < L2_N_PREF_BINS; b++)
            assert_int_equal(p.bins[b], b == cases[i].bin);
        l2_prefs_release(&p);
    }
}

/* The parts are complementary, all pairs of a prompt go together, and the share is about right. */
static void test_split(void **state)
{
    struct l2_prefs first, rest, other;
    uint32_t n = 0, differs = 0;
    (void)state;
    init(&first, (struct l2_prefs_opts){.has_split = true, .split = 0.3, .seed = 5});
    init(&rest, (struct l2_prefs_opts){.has_split = true, .split = 0.3, .seed = 5, .rest = true});
    init(&other, (struct l2_prefs_opts){.has_split = true, .split = 0.3, .seed = 6});
    for (uint32_t i = 0; i < 4000; i++) {
        bool in = judge(&first, pref_of(i, 1, 2));
        assert_int_equal(judge(&first, pref_of(i, 3, 4)), in);
        assert_int_equal(judge(&rest, pref_of(i, 1, 2)), !in);
        differs += judge(&other, pref_of(i, 1, 2)) != in;
        n += in;
    }
    assert_in_range(n, 1200 - 116, 1200 + 116); /* four deviations */
    assert_true(differs > 1000);
    assert_int_equal(first.other_part, 2 * (4000 - n));
    l2_prefs_release(&first);
    l2_prefs_release(&rest);
    l2_prefs_release(&other);
}

static void test_copies(void **state)
{
    struct l2_prefs p;
    uint32_t sum = 0;
    (void)state;
    init(&p, (struct l2_prefs_opts){.seed = 1});
    for (uint32_t i = 0; i < 4000; i++) {
        struct l2_pref pref = pref_of(i, 1, 2);
        assert_int_equal(l2_prefs_copies(&p, &pref, 0), 0);
        assert_int_equal(l2_prefs_copies(&p, &pref, 1), 1);
        assert_int_equal(l2_prefs_copies(&p, &pref, 3), 3);
        uint32_t n = l2_prefs_copies(&p, &pref, 2.25);
        assert_in_range(n, 2, 3);
        assert_int_equal(l2_prefs_copies(&p, &pref, 2.25), n);
        sum += n;
    }
    assert_in_range(sum, 9000 - 110, 9000 + 110);
    l2_prefs_release(&p);
}

static uint32_t prompt_ids[] = {1, 10, 11, 20, 21, 22, 12, 13}, chosen_ids[] = {30, 31},
                rejected_ids[] = {40, 41, 42, 43}, span[] = {3, 6};

/* Two turns, of which the first one's answer has three ids. */
static void fill(struct l2_record *r)
{
    for (int i = 0; i < 2; i++) {
        struct l2_completion *c = l2_record_add_completion(r, &err);
        assert_non_null(c);
        c->tokens = i == 0 ? (struct l2_u32s){chosen_ids, 2} : (struct l2_u32s){rejected_ids, 4};
    }
    r->prompt = (struct l2_u32s){prompt_ids, 8};
    r->spans = (struct l2_u32s){span, 2};
}

static void test_records(void **state)
{
    struct l2_record r;
    struct l2_pref a, b;
    struct l2_pref_stats s = {0};
    (void)state;
    l2_record_init(&r);
    fill(&r);
    assert_int_equal(l2_pref_of_record(&a, &r, &err), L2_OK);
    assert_true(a.rating == L2_RATING_NONE && a.safe[0] == -1 && a.safe[1] == -1);
    l2_pref_stats_record(&s, &r);
    assert_int_equal(s.comparisons, 1);
    assert_int_equal(s.turns, 2);
    assert_int_equal(s.prompts, 2);
    assert_int_equal(s.prompt_tokens, 5);
    assert_int_equal(s.responses, 3);
    assert_int_equal(s.response_tokens, 3 + 2 + 4);
    assert_true(s.example_tokens == 8 + 3);
    prompt_ids[7]++;
    assert_int_equal(l2_pref_of_record(&b, &r, &err), L2_OK);
    assert_memory_not_equal(a.prompt, b.prompt, L2_SHA256_SIZE);
    assert_memory_equal(a.opening, b.opening, L2_SHA256_SIZE);
    assert_memory_equal(a.answers, b.answers, sizeof a.answers);
    r.prompt.n = 3; /* the first turn alone */
    r.spans.n = 0;
    assert_int_equal(l2_pref_of_record(&b, &r, &err), L2_OK);
    assert_memory_equal(a.opening, b.opening, L2_SHA256_SIZE);
    assert_memory_equal(b.prompt, b.opening, L2_SHA256_SIZE);
    r.completions[1].tokens = r.completions[0].tokens;
    assert_int_equal(l2_pref_of_record(&b, &r, &err), L2_FORMAT);
    assert_string_equal(err.text, "chosen and rejected are equal");
    r.completions[1].tokens.v = NULL;
    assert_int_equal(l2_pref_of_record(&b, &r, &err), L2_FORMAT);
    r.n_completions = 1;
    assert_int_equal(l2_pref_of_record(&b, &r, &err), L2_FORMAT);
    assert_string_equal(err.text, "want two answers, got 1");
    l2_record_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repetitions), cmocka_unit_test(test_unsafe_first),
        cmocka_unit_test(test_safety),      cmocka_unit_test(test_split),
        cmocka_unit_test(test_copies),      cmocka_unit_test(test_records),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
