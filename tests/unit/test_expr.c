/* Unit tests of expressions over scores: precedence, names, lazy branches, wrong texts. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/expr.h"

static struct l2_err err;
static struct l2_record rec;
static struct l2_completion *completion;

static int setup(void **state)
{
    static uint32_t tokens[] = {1, 2, 3};
    static float logprobs[] = {-0.5f, -1.5f, -1};
    (void)state;
    l2_record_init(&rec);
    completion = l2_record_add_completion(&rec, &err);
    assert_non_null(completion);
    completion->tokens = (struct l2_u32s){tokens, 3};
    completion->series[L2_LOGPROBS] = (struct l2_f32s){logprobs, 3};
    assert_int_equal(l2_record_set_score(&rec, completion, "r", 2, &err), L2_OK);
    assert_int_equal(l2_record_set_score(&rec, completion, "s_1.x", -4, &err), L2_OK);
    assert_int_equal(l2_record_set_score(&rec, completion, "a-b \"c\"", 7, &err), L2_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    l2_record_release(&rec);
    return 0;
}

/* The value, or NaN with *missing set. */
static double value_of(const char *text, bool tagged, const char **missing)
{
    static char name[64];
    struct l2_expr *e;
    double value;
    if (l2_expr_parse(&e, text, &err) != L2_OK)
        fail_msg("%s: %s", text, err.text);
    if (l2_expr_value(e, completion, tagged, &value, missing)) {
        l2_expr_free(e);
        return value;
    }
    snprintf(name, sizeof name, "%s", *missing);
    *missing = name;
    l2_expr_free(e);
    return NAN;
}

static void test_values(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"r", 2},
        {" s_1.x ", -4},
        {"\"a-b \"\"c\"\"\"", 7},
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"8 - 4 - 2", 2},
        {"16 / 4 / 2", 2},
        {"1 - -2", 3},
        {"- - 2", 2},
        {"-r * 3", -6},
        {".5e1 + 1e-1 * 10", 6},
        {"1 < 2", 1},
        {"2 <= 1", 0},
        {"r >= 2 && r <= 2", 1},
        {"r == 2", 1},
        {"r != 2", 0},
        {"!r + !0", 1},
        {"1 < 2 == 1", 1},
        {"0 || 0 && 1", 0},
        {"1 || 0 && 0", 1},
        {"3 || 0", 1},
        {"1 ? 2 : 3", 2},
        {"0 ? 2 : 0 ? 3 : 4", 4},
        {"1 ? 0 ? 5 : 6 : 7", 6},
        {"r > 1 ? r + 1 : 9", 3},
        {"min(3)", 3},
        {"min(3, r, 9)", 2},
        {"max(-1, s_1.x, 0.5)", 0.5},
        {"abs(s_1.x)", 4},
        {"exp(0) + log(1)", 1},
        {"sigmoid(0)", 0.5},
        {"logit(0.5)", 0},
        {"length", 3},
        {"logprob", -3},
        {"logprob / length", -1},
        {"tagged", 0},
        {"llama2(s_1.x, r)", -4},
        {"llama2(3, r)", 2},
        {"llama2(-1.7346010553881064, r)", 2},
        {"llama2(logit(0.1), r) < -2", 1},
    };
    const char *missing;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double v = value_of(cases[i].text, false, &missing);
        if (!(fabs(v - cases[i].value) <= 1e-15 * fabs(cases[i].value)))
            fail_msg("%s: want %g, got %g", cases[i].text, cases[i].value, v);
    }
    assert_true(value_of("tagged ? 1 : 2", true, &missing) == 1);
    assert_true(value_of("llama2(3, r)", true, &missing) == 3);
    assert_true(fabs(value_of("logit(sigmoid(1.25))", false, &missing) - 1.25) < 1e-14);
    assert_true(value_of("sigmoid(-745) > 0 && sigmoid(800) == 1", false, &missing) == 1);
    assert_true(isinf(value_of("1 / 0", false, &missing)));
    assert_true(isnan(value_of("logit(2)", false, &missing)));
}

static void test_missing(void **state)
{
    const char *missing = NULL;
    (void)state;
    assert_true(isnan(value_of("r + nope", false, &missing)));
    assert_string_equal(missing, "nope");
    assert_true(isnan(value_of("x + y", false, &missing)));
    assert_string_equal(missing, "x");
    assert_true(value_of("1 ? r : nope", false, &missing) == 2);
    assert_true(value_of("1 || nope", false, &missing) == 1);
    assert_true(value_of("0 && nope", false, &missing) == 0);
    assert_true(value_of("llama2(-9, nope)", false, &missing) == -9);
    assert_true(isnan(value_of("llama2(9, nope)", false, &missing)));
    assert_true(value_of("llama2(9, nope)", true, &missing) == 9);
    /* quoted, it is a score and nothing else */
    assert_true(isnan(value_of("\"length\"", false, &missing)));
    assert_string_equal(missing, "length");
    completion->series[L2_LOGPROBS].v = NULL;
    assert_true(isnan(value_of("logprob", false, &missing)));
    assert_int_equal(l2_record_set_score(&rec, completion, "length", 42, &err), L2_OK);
    assert_true(value_of("length", false, &missing) == 42);
}

static void test_wrong_texts(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "want a number, the name of a score or a parenthesis at the end"},
        {"r +", "at the end"},
        {"r r", "byte 2: want an operator or the end, got 'r'"},
        {"(r", "want a closing parenthesis at the end"},
        {"r)", "byte 1: want an operator"},
        {"1 ? 2", "want ':' and what holds otherwise"},
        {"sin(1)", "one of the functions min, max"},
        {"logit(1, 2)", "byte 7: want a closing parenthesis, got ', 2)'"},
        {"llama2(1)", "a comma and a second argument"},
        {"min()", "byte 4: want a number"},
        {"1..2", "byte 0: want a number, got '1..2'"},
        {"1e", "want a number"},
        {"1e999", "want a number"},
        {"\"r", "a double quote after the name"},
        {"\"\"", "want the name of a score"},
        {"r = 2", "byte 2: want an operator"},
        {"r & 1", "byte 2: want an operator"},
        {"a:b", "byte 1: want an operator"},
        {"\xc3\xa4", "byte 0: want a number"},
    };
    struct l2_expr *e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (l2_expr_parse(&e, cases[i].text, &err) != L2_ARGUMENT)
            fail_msg("%s: taken", cases[i].text);
        assert_null(e);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: want '%s', got '%s'", cases[i].text, cases[i].says, err.text);
    }
}

/* However deep a text nests, the stack holds. */
static void test_depth(void **state)
{
    static const char *const units[] = {"(", "-", "!", "1?", "min(", "1+", "1?1:", "1||"};
    static char text[200000];
    struct l2_expr *e;
    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i]), at = 0;
        while (at + n < sizeof text - 2) {
            memcpy(text + at, units[i], n);
            at += n;
        }
        text[at] = '1';
        text[at + 1] = '\0';
        assert_int_equal(l2_expr_parse(&e, text, &err), L2_ARGUMENT);
    }
}

static void test_llama2(void **state)
{
    struct l2_expr *e;
    double value;
    const char *missing;
    (void)state;
    assert_int_equal(l2_expr_llama2(&e, "a-b \"c\"", "r", &err), L2_OK);
    assert_true(l2_expr_value(e, completion, false, &value, &missing));
    assert_true(value == 2);
    assert_true(l2_expr_value(e, completion, true, &value, &missing));
    assert_true(value == 7);
    l2_expr_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test(test_wrong_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test_setup_teardown(test_llama2, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
