/* Unit tests of how training text is cut into words: digits, kinds of characters, spaces. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/bpe_words.h"

/* The words of one text, in the order of first appearance, with | between them and _ for a space;
 * behind a word that is there more than once, its count. */
static void check(struct l2_bpe_words settings, const char *text, const char *want)
{
    struct l2_bpe_words w = settings;
    struct l2_err err;
    char got[512] = "";
    size_t n = 0;
    assert_int_equal(l2_bpe_words_add(&w, text, strlen(text), &err), L2_OK);
    assert_int_equal(w.n_bytes, strlen(text));
    for (size_t i = 0; i < w.n; i++) {
        const char *s = (const char *)w.text.data + w.v[i].text;
        n += (size_t)snprintf(got + n, sizeof got - n, "%s", i > 0 ? "|" : "");
        for (size_t at = 0; at < w.v[i].len; at++) {
            bool space = strncmp(s + at, "\u2581", 3) == 0;
            got[n++] = space ? '_' : s[at];
            at += space ? 2 : 0;
        }
        got[n] = '\0';
        if (w.v[i].count > 1)
            n += (size_t)snprintf(got + n, sizeof got - n, "*%u", (unsigned)w.v[i].count);
    }
    assert_string_equal(got, want);
    l2_bpe_words_release(&w);
}

static void test_kinds(void **state)
{
    const struct l2_bpe_words plain = {.dummy_prefix = false}, prefix = {.dummy_prefix = true},
                              digits = {.split_digits = true};
    (void)state;
    check(plain, "ab ab cd", "ab|_ab|_cd");
    check(prefix, "ab ab cd", "_ab*2|_cd");
    check(plain, "ab12,x", "ab|12|,|x");
    check(digits, "ab12 3,x", "ab|1|2|_|3|,|x");
    check(plain, "a  b", "a|_|_b");
    check(plain, "a\377b", "a|b");
    check(prefix, "\u00e4h \u2013 a", "_\u00e4h|_\u2013|_a");
}

static void test_across_spaces(void **state)
{
    const struct l2_bpe_words w = {.across_spaces = true, .dummy_prefix = true};
    (void)state;
    check(w, "of the end", "_of_the_end");
    check(w, "a (b) 12", "_a|_(|b|)|_12");
    check(w, "a  ", "_a__");
}

static void test_space_runs(void **state)
{
    const struct l2_bpe_words w = {.space_runs = true, .dummy_prefix = true};
    (void)state;
    check(w, "    if a", "____|_if|_a");
    check(w, "a   b  ", "_a|__*2|_b");
    check(w, "a b", "_a|_b");
}

static void test_collapse(void **state)
{
    const struct l2_bpe_words w = {.collapse_spaces = true, .dummy_prefix = true},
                              bare = {.collapse_spaces = true};
    (void)state;
    check(w, "  a   b  ", "_a|_b");
    check(bare, "  a   b  ", "a|_b");
    check(bare, "   ", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_across_spaces),
        cmocka_unit_test(test_space_runs),
        cmocka_unit_test(test_collapse),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
