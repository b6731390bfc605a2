/* Tests of the cleaning layer: words, hashes, tables, near duplicates, evaluation samples. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clean/charclass.h"
#include "clean/cleaner.h"
#include "clean/contam.h"
#include "clean/near.h"
#include "clean/scrub.h"
#include "clean/seen.h"
#include "util/philox.h"

static void test_words(void **state)
{
    static const char text[] = "It's \xc3\x84on 12a\xe4\xb8\xad\xe6\x96\x87!\n";
    static const char *const want[] = {"It",           "s",           "\xc3\x84on", "12a",
                                       "\xe4\xb8\xad", "\xe6\x96\x87"};
    struct l2_words w, folded;
    size_t n = 0;
    (void)state;
    l2_words_init(&w, text, strlen(text));
    while (l2_words_next(&w)) {
        assert_true(n < 6);
        assert_int_equal(w.len, strlen(want[n]));
        assert_memory_equal(text + w.begin, want[n], w.len);
        n++;
    }
    assert_int_equal(n, 6);
    l2_words_init(&w, "\xc3\x84on", 5);
    l2_words_init(&folded, "\xc3\xa4ON", 5);
    assert_true(l2_words_next(&w) && l2_words_next(&folded));
    assert_int_equal(w.hash, folded.hash);
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(l2_char_class('a'), L2_CHAR_LETTER);
    assert_int_equal(l2_char_class('\n'), L2_CHAR_BLANK);
    assert_int_equal(l2_char_class(0x1b), L2_CHAR_CONTROL);
    assert_int_equal(l2_char_class(0x200b), L2_CHAR_CONTROL);
    assert_int_equal(l2_char_class(0x416), L2_CHAR_LETTER);
    assert_int_equal(l2_char_class(0x3042), L2_CHAR_IDEOGRAPH);
    assert_int_equal(l2_char_class(0x2014), L2_CHAR_SYMBOL);
    assert_int_equal(l2_char_class(0x1f600), L2_CHAR_SYMBOL);
    assert_int_equal(l2_char_class(0x661), L2_CHAR_DIGIT);
    assert_int_equal(l2_char_class(0x10ffff), L2_CHAR_SYMBOL);
    assert_int_equal(l2_char_fold('Z'), 'z');
    assert_int_equal(l2_char_fold(0x416), 0x436);
    assert_int_equal(l2_char_fold(0xd7), 0xd7);
}

/* Every hash depends on the last n values and their order, and on nothing before. */
static void test_rolling(void **state)
{
    struct l2_rolling a, b;
    uint64_t x = 0, y = 0;
    (void)state;
    l2_rolling_init(&a, 3);
    l2_rolling_init(&b, 3);
    assert_false(l2_rolling_add(&a, 9, &x));
    assert_false(l2_rolling_add(&a, 1, &x));
    assert_true(l2_rolling_add(&a, 2, &x));
    assert_true(l2_rolling_add(&a, 3, &x));
    assert_false(l2_rolling_add(&b, 1, &y));
    assert_false(l2_rolling_add(&b, 2, &y));
    assert_int_not_equal(l2_rolling_short(&a), l2_rolling_short(&b));
    assert_true(l2_rolling_add(&b, 3, &y));
    assert_int_equal(x, y);
    l2_rolling_init(&b, 3);
    (void)l2_rolling_add(&b, 2, &y);
    (void)l2_rolling_add(&b, 1, &y);
    assert_true(l2_rolling_add(&b, 3, &y));
    assert_int_not_equal(x, y);
}

static void test_hash(void **state)
{
    uint8_t bytes[40] = {0};
    uint64_t seen[400];
    size_t n = 0;
    (void)state;
    for (size_t len = 0; len <= sizeof bytes; len++) /* runs of zeros, and one bit in them */
        for (size_t at = 0; at <= len && n < 400; at += 5) {
            if (at < len)
                bytes[at] = 1;
            seen[n] = l2_text_hash(bytes, len, 0);
            bytes[at < len ? at : 0] = 0;
            for (size_t i = 0; i < n; i++)
                assert_int_not_equal(seen[i], seen[n]);
            n++;
            if (at == len)
                break;
        }
    assert_int_not_equal(l2_text_hash("a", 1, 0), l2_text_hash("a", 1, 1));
}

static void test_seen(void **state)
{
    struct l2_seen s;
    struct l2_err err;
    (void)state;
    assert_int_equal(l2_seen_init(&s, 2048, &err), L2_OK);
    assert_int_equal(l2_seen_room(&s), 224);
    for (uint64_t i = 0; i < 224; i++) /* 0 and 1 are one hash */
        assert_int_equal(l2_seen_add(&s, i * 256), false);
    assert_int_equal(s.missed, 0);
    for (uint64_t i = 0; i < 224; i++)
        assert_int_equal(l2_seen_add(&s, i * 256), true);
    assert_false(l2_seen_add(&s, 7));
    assert_false(l2_seen_add(&s, 7));
    assert_int_equal(s.missed, 2);
    l2_seen_release(&s);
}

/* ---- near duplicates ---- */

static struct l2_near *new_near(uint64_t bytes)
{
    struct l2_near_settings s = {
        .ngram = 3, .bands = 16, .rows = 4, .similarity = 0.7, .bytes = bytes};
    struct l2_near *near;
    struct l2_err err;
    assert_int_equal(l2_near_new(&near, &s, &err), L2_OK);
    return near;
}

static int64_t add(struct l2_near *near, const char *text)
{
    int64_t like;
    double similarity;
    l2_near_add(near, text, strlen(text), &like, &similarity);
    return like;
}

static void test_near(void **state)
{
    struct l2_near *near = new_near(1 << 20);
    (void)state;
    assert_int_equal(add(near, ""), -1);
    assert_int_equal(add(near, " ,.- "), -1);
    assert_int_equal(l2_near_size(near), 0);
    assert_int_equal(add(near, "one two"), -1);
    assert_int_equal(add(near, "three four five six seven eight nine ten eleven twelve"), -1);
    assert_int_equal(add(near, "One, two!"), 0);
    assert_int_equal(add(near, "two one"), -1);
    assert_int_equal(add(near, "Three four FIVE six seven eight nine ten eleven twelve."), 1);
    assert_int_equal(add(near, "a b c d e f g h i j k l m n o p"), -1);
    assert_int_equal(l2_near_size(near), 4);
    l2_near_free(near);
}

/* The estimate, over many texts, is the similarity: 20 of 25 shingles in common each. */
static void test_near_estimate(void **state)
{
    struct l2_near_settings s = {
        .ngram = 1, .bands = 64, .rows = 1, .similarity = 0.1, .bytes = 4 << 20};
    struct l2_near *near;
    struct l2_err err;
    double sum = 0;
    int n = 200;
    (void)state;
    for (int i = 0; i < n; i++) {
        char a[2000], b[2000];
        int64_t like;
        double similarity;
        size_t na = 0, nb = 0;
        for (int w = 0; w < 20; w++) {
            na += (size_t)snprintf(a + na, sizeof a - na, "s%dx%d ", i, w);
            nb += (size_t)snprintf(b + nb, sizeof b - nb, "s%dx%d ", i, w);
        }
        for (int w = 0; w < 5; w++)
            nb += (size_t)snprintf(b + nb, sizeof b - nb, "b%dx%d ", i, w);
        assert_int_equal(l2_near_new(&near, &s, &err), L2_OK);
        l2_near_add(near, a, na, &like, &similarity);
        l2_near_add(near, b, nb, &like, &similarity);
        assert_int_equal(like, 0);
        sum += similarity;
        l2_near_free(near);
        s.seed++;
    }
    assert_true(sum / n > 0.77 &&
                sum / n < 0.83); /* deviation of one about 0.08, of the mean 0.006 */
}

static void test_near_full(void **state)
{
    struct l2_near *near = new_near(1);
    uint64_t room = l2_near_room(near);
    (void)state;
    for (uint64_t i = 0; i < room + 5; i++) {
        char text[64];
        snprintf(text, sizeof text, "w%d v%d u%d", (int)i, (int)i, (int)i);
        assert_int_equal(add(near, text), -1);
    }
    assert_int_equal(l2_near_size(near), room);
    assert_int_equal(l2_near_missed(near), 5);
    assert_int_equal(add(near, "w3 v3 u3"), 3);
    l2_near_free(near);
}

/* ---- evaluation samples ---- */

/* What the rule says, straight from its words: every pair of places is tried. */
static size_t contaminated(const uint64_t *sample, size_t ns, const uint64_t *text, size_t nt,
                           size_t span, size_t skip, bool *found)
{
    size_t n = 0;
    memset(found, 0, ns * sizeof *found);
    for (size_t i = 0; i < ns; i++)
        for (size_t j = 0; j < nt; j++) {
            size_t end = 0, differ = 0;
            for (size_t k = 0; i + k < ns && j + k < nt; k++) {
                bool equal = sample[i + k] == text[j + k];
                differ += !equal;
                if ((!equal && k < span) || differ > skip)
                    break;
                if (equal && k + 1 >= span)
                    end = k + 1;
            }
            for (size_t k = 0; k < end; k++)
                found[i + k] = found[i + k] || sample[i + k] == text[j + k];
        }
    for (size_t i = 0; i < ns; i++)
        n += found[i];
    return n;
}

/* Few different tokens, so that spans are everywhere; a part of the sample is put into the text. */
static void test_contam(void **state)
{
    struct l2_contam_settings s = {.span = 4, .skip = 2};
    struct l2_philox_key key = {{1, 2}};
    uint64_t draw = 0, total = 0;
    (void)state;
    for (int round = 0; round < 300; round++) {
        uint64_t sample[40], text[60], number;
        struct l2_contam *c;
        struct l2_contam_set set;
        struct l2_err err;
        bool found[40];
        double share;
        size_t which;
        for (size_t i = 0; i < 40; i++)
            sample[i] = (uint64_t)(l2_philox_uniform(key, 0, draw++) * 4);
        for (size_t i = 0; i < 60; i++)
            text[i] = l2_philox_uniform(key, 1, draw++) < 0.8
                          ? sample[i % 40]
                          : (uint64_t)(l2_philox_uniform(key, 2, draw++) * 4);
        assert_int_equal(l2_contam_new(&c, &s, &err), L2_OK);
        assert_int_equal(l2_contam_add_set(c, "set", &err), L2_OK);
        assert_int_equal(l2_contam_add_sample(c, sample, 40, &err), L2_OK);
        assert_int_equal(l2_contam_index(c, &err), L2_OK);
        assert_int_equal(l2_contam_check(c, text, 60, &share, &which, &number, &err), L2_OK);
        size_t want = contaminated(sample, 40, text, 60, 4, 2, found);
        l2_contam_set(c, 0, &set);
        assert_int_equal(set.contaminated_tokens, want);
        assert_true(share * 40 > (double)want - 0.5 && share * 40 < (double)want + 0.5);
        assert_int_equal(set.clean, want < 8);
        assert_int_equal(set.dirty, want >= 32);
        total += want;
        l2_contam_free(c);
    }
    assert_true(total > 300 && total < 300 * 40); /* neither nothing nor everything */
}

static void test_contam_sets(void **state)
{
    struct l2_contam_settings s = {.span = 3, .skip = 0};
    static const uint64_t a[] = {1, 2, 3, 4}, b[] = {5, 6, 7}, c3[] = {8, 9};
    static const uint64_t text[] = {0, 5, 6, 7, 0, 8, 9};
    struct l2_contam *c;
    struct l2_contam_set set;
    struct l2_err err;
    double share;
    size_t which;
    uint64_t sample;
    (void)state;
    assert_int_equal(l2_contam_new(&c, &s, &err), L2_OK);
    assert_int_equal(l2_contam_add_set(c, "first", &err), L2_OK);
    assert_int_equal(l2_contam_add_sample(c, a, 4, &err), L2_OK);
    assert_int_equal(l2_contam_add_set(c, "second", &err), L2_OK);
    assert_int_equal(l2_contam_add_sample(c, c3, 2, &err), L2_OK);
    assert_int_equal(l2_contam_add_sample(c, b, 3, &err), L2_OK);
    assert_int_equal(l2_contam_index(c, &err), L2_OK);
    assert_int_equal(l2_contam_check(c, text, 7, &share, &which, &sample, &err), L2_OK);
    assert_true(share == 1);
    assert_int_equal(which, 1);
    assert_int_equal(sample, 1);
    assert_int_equal(l2_contam_check(c, text, 2, &share, &which, &sample, &err), L2_OK);
    assert_true(share == 0);
    l2_contam_set(c, 0, &set);
    assert_int_equal(set.touched, 0);
    l2_contam_set(c, 1, &set);
    assert_string_equal(set.name, "second");
    assert_int_equal(set.samples, 2);
    assert_int_equal(set.touched, 1);
    assert_int_equal(set.short_samples, 1);
    assert_int_equal(set.dirty, 1);
    l2_contam_free(c);
}

/* ---- changes ---- */

static void check_scrub(int (*scrub)(const char *, size_t, struct l2_buf *, uint64_t *,
                                     struct l2_err *),
                        const char *text, const char *want)
{
    struct l2_buf out = {0};
    struct l2_err err;
    uint64_t count;
    assert_int_equal(scrub(text, strlen(text), &out, &count, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&out, '\0', &err), L2_OK);
    assert_string_equal((char *)out.data, want);
    l2_buf_release(&out);
}

static void test_scrub(void **state)
{
    (void)state;
    check_scrub(l2_scrub_controls, "a\r\nb\rc\x7f\x01", "a\nb\nc");
    check_scrub(l2_scrub_controls, "N\bNA\bAM\bME\bE \xc3\xa4\b\xc3\xa4", "NAME \xc3\xa4");
    check_scrub(l2_scrub_controls, "\b\bx\n\by", "x\ny");
    check_scrub(l2_scrub_controls, "\x1b[31mred\x1b[0m\x1b", "red");
    check_scrub(l2_scrub_markup, "<p>a<br/>b</p>", "\na\nb\n");
    check_scrub(l2_scrub_markup, "1 < 2 && 3 > 2 <3 a<b", "1 < 2 && 3 > 2 <3 a<b");
    check_scrub(l2_scrub_markup, "&#65;&#x42;&eacute;&nope;&#xd800;&#99999999999;",
                "AB\xc3\xa9&nope;\xef\xbf\xbd\xef\xbf\xbd");
    check_scrub(l2_scrub_markup, "a<!-- x --><style>p{}</style>b<script>c",
                "ab"
                "c");
    check_scrub(l2_scrub_markup, "<!-- never ends", "<!-- never ends");
}

/* Rules keep the text where their pattern met its limits. */
static void test_limits(void **state)
{
    static const char yaml[] = "replace: [{name: r, pattern: '(a+)+$', with: x}]\n"
                               "lines: [{name: l, pattern: '(a+)+$'}]\n"
                               "documents: [{name: d, pattern: '(a+)+$'}]\n";
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    struct l2_rules rules;
    struct l2_cleaner *c;
    struct l2_cleaned out;
    struct l2_err err;
    (void)state;
    l2_rules_init(&rules);
    assert_int_equal(l2_rules_parse(&rules, yaml, strlen(yaml), "y", &err), L2_OK);
    struct l2_cleaner_settings s = {.rules = &rules, .memory = 1024};
    assert_int_equal(l2_cleaner_new(&c, &s, &err), L2_OK);
    assert_int_equal(l2_cleaner_clean(c, "id", text, strlen(text), &out, &err), L2_OK);
    assert_true(out.keep && !out.changed && out.text == text);
    assert_string_equal(out.gave_up, "r");
    assert_int_equal(out.gave_up_line, 1);
    assert_int_equal(l2_cleaner_n_gave_up(c), 3);
    l2_cleaner_free(c);
    l2_rules_release(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_classes),
        cmocka_unit_test(test_rolling),       cmocka_unit_test(test_hash),
        cmocka_unit_test(test_seen),          cmocka_unit_test(test_near),
        cmocka_unit_test(test_near_estimate), cmocka_unit_test(test_near_full),
        cmocka_unit_test(test_contam),        cmocka_unit_test(test_contam_sets),
        cmocka_unit_test(test_scrub),         cmocka_unit_test(test_limits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
