/* Unit tests of stop rules: incremental searches against searches of the whole text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample/stop.h"
#include "util/utf8.h"

static struct l2_stop *make(const char *pattern)
{
    struct l2_stop *s;
    struct l2_err err;
    int rc = l2_stop_new(&s, pattern, &err);
    if (rc != L2_OK)
        fail_msg("%s: %s", pattern, err.text);
    return s;
}

/* Feeds text in pieces of whole characters, of step characters each, and compares every answer with
 * that of a fresh state. */
static void compare(const char *pattern, const char *text, size_t step)
{
    struct l2_stop *s = make(pattern);
    struct l2_stop_state state = {0};
    struct l2_err err;
    bool found = false, whole_found;
    size_t n = 0, begin, whole_begin, len = strlen(text);
    while (n < len && !found) {
        struct l2_stop_state fresh = {0};
        for (size_t i = 0; i < step && n < len; i++)
            n += l2_utf8_length(text + n, len - n);
        assert_int_equal(l2_stop_search(s, &state, text, n, &found, &begin, &err), L2_OK);
        assert_int_equal(l2_stop_search(s, &fresh, text, n, &whole_found, &whole_begin, &err),
                         L2_OK);
        if (found != whole_found || begin != whole_begin)
            fail_msg("/%s/ on \"%.*s\": want %d at %zu, got %d at %zu", pattern, (int)n, text,
                     whole_found, whole_begin, found, begin);
    }
    l2_stop_free(s);
}

static void test_same_as_whole(void **state)
{
    static const char *const patterns[] = {
        "ab",      "\\n\\n",  "a+b",        "(?<=x)ab",      "(?<=xa)b|xb$", "a.*?b.*?c",
        "^a",      "(?m)^ba", "\\bab\\b",   "é+x",           "foo\\Kab",     "a(?!b)",
        "(?i)AB",  "b\\z",    "x\\R",       "(a|ab)(c|bcd)", "\\Gab",        "(*COMMIT)ab",
        "[^a]{3}", "(?=ab)a", "U\\+2581|▁", "(?s)a.b",       "(a)\\1b",      "x(?<!ax)b",
        "(?>a+)b",
    };
    static const char *const texts[] = {
        "xxabyy",          "aaab",   "x\n\nab\n\nb", "xab",  "foofooab",         "ééx éé▁x",
        "abab cab ab\nba", "aXbYcZ", "a\nb",         "bbbb", "acabcd ababcd",    "AB ab",
        "xaxbaxb",         "a aab",  "\n\n",         "b",    "aaaaaaaaaaaaaaab", "U+2581",
    };
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            for (size_t step = 1; step < 4; step++)
                compare(patterns[p], texts[t], step);
}

/* All texts of eight letters of a small alphabet. */
static void test_exhaustive(void **state)
{
    static const char *const patterns[] = {"abca", "a+bc|ca", "(?<=b)c+a", "(ab|b)c(?!a)",
                                           "b.{2}b"};
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        for (unsigned i = 0; i < 6561; i += p + 1) {
            char text[9] = {0};
            unsigned v = i;
            for (size_t j = 0; j < 8; j++, v /= 3)
                text[j] = (char)('a' + v % 3);
            compare(patterns[p], text, 1 + i % 2);
        }
    }
}

static void test_where(void **state)
{
    struct l2_stop *s = make("\\n+Human:");
    struct l2_stop_state st = {0};
    struct l2_err err;
    bool found;
    size_t begin;
    const char *text = "Yes.\n\nHuman: no";
    (void)state;
    assert_int_equal(l2_stop_search(s, &st, text, 5, &found, &begin, &err), L2_OK);
    assert_false(found);
    assert_int_equal(st.from, 4); /* a match could begin with the newline */
    assert_int_equal(l2_stop_search(s, &st, text, strlen(text), &found, &begin, &err), L2_OK);
    assert_true(found);
    assert_int_equal(begin, 4);
    l2_stop_free(s);
}

static void test_bad_patterns(void **state)
{
    static const struct {
        const char *pattern, *message;
    } bad[] = {
        {"a(b", "offset 3"}, {"x*", "empty"}, {"", "empty"}, {"$", "empty"}, {"a\\Cb", "offset"}};
    struct l2_stop *s;
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(l2_stop_new(&s, bad[i].pattern, &err), L2_ARGUMENT);
        assert_null(s);
        assert_non_null(strstr(err.text, bad[i].message));
    }
}

/* Catastrophic backtracking ends in an error, not in a wait for ever. */
static void test_limit(void **state)
{
    struct l2_stop *s = make("(*LIMIT_MATCH=1000)(a+)+$b");
    struct l2_stop_state st = {0};
    struct l2_err err;
    bool found;
    size_t begin;
    (void)state;
    assert_int_equal(
        l2_stop_search(s, &st, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax", 35, &found, &begin, &err),
        L2_LIMIT);
    l2_stop_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_whole), cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_where),         cmocka_unit_test(test_bad_patterns),
        cmocka_unit_test(test_limit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
