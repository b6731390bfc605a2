/* Unit tests of training data with answers: what is predicted, what pairs share, what is too long.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data_fixture.h"

/* Reads everything as one batch. */
static struct l2_data *one_batch(int fd, const struct l2_data_opts *o, struct l2_data_batch *b)
{
    struct l2_data *d = data_open_one(fd, o);
    assert_int_equal(l2_data_next(d, b, &data_err), L2_OK);
    data_check_batch(o, b);
    return d;
}

static void check_targets(const struct l2_data_batch *b, const struct l2_target *want, size_t n)
{
    assert_int_equal(b->n_targets, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(b->targets[i].row, want[i].row);
        assert_int_equal(b->targets[i].token, want[i].token);
    }
}

static struct l2_data_opts answer_opts(void)
{
    struct l2_data_opts o = data_text_opts();
    o.kind = L2_DATA_ANSWERS;
    o.keep_order = true;
    o.context = 32;
    return o;
}

/* Two answers share their prompt's rows; only answers are predicted, spans of the prompt on
 * request. */
static void test_answers(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = answer_opts();
    struct l2_data_batch b;
    static const uint32_t tokens[] = {1, 10, 11, 12, 20, 21, 30};
    static const struct l2_target plain[] = {{3, 20}, {3, 30}, {4, 21}, {5, 22}, {6, 31}},
                                  turns[] = {{0, 10}, {1, 11}, {3, 20}, {3, 30},
                                             {4, 21}, {5, 22}, {6, 31}},
                                  ended[] = {{3, 20},  {3, 30}, {4, 21}, {5, 22},
                                             {6, EOS}, {7, 31}, {8, EOS}};
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 0, 10, 3);
    s.rec.spans = data_ids(&s, 1, 2, false);
    s.rec.spans.v[1] = 3;
    (void)data_put_answer(&s, 20, 3);
    (void)data_put_answer(&s, 30, 2);
    data_put(&s, false);
    int fd = stream_finish(&s);
    struct l2_data *d = one_batch(fd, &o, &b);
    assert_int_equal(b.net.n_rows, 7);
    assert_memory_equal(b.net.tokens, tokens, sizeof tokens);
    assert_int_equal(b.net.n_spans, 3);
    assert_true(b.net.spans[1].parent == 0 && b.net.spans[2].parent == 0);
    check_targets(&b, plain, 5);
    l2_data_free(d);
    o.earlier_turns = true;
    d = one_batch(fd, &o, &b);
    check_targets(&b, turns, 7);
    l2_data_free(d);
    o.earlier_turns = false;
    o.eos = EOS;
    o.add_eos = true;
    d = one_batch(fd, &o, &b);
    check_targets(&b, ended, 7);
    l2_data_free(d);
    close(fd);
}

/* Spans inside an answer are all that is predicted of it. */
static void test_answer_spans(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = answer_opts();
    struct l2_data_batch b;
    static const struct l2_target want[] = {{1, 20}, {4, 23}, {5, 24}};
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 0, 10, 1);
    struct l2_completion *c = data_put_answer(&s, 20, 5);
    c->spans = data_ids(&s, 0, 4, false);
    c->spans.v[1] = 1; /* [0, 1) and [3, 5) */
    c->spans.v[2] = 3;
    c->spans.v[3] = 5;
    data_put(&s, false);
    data_put_prompt(&s, 1, 10, 1); /* nothing to predict */
    c = data_put_answer(&s, 20, 5);
    c->spans = data_ids(&s, 0, 0, false);
    data_put(&s, false);
    data_put_prompt(&s, 2, 10, 1); /* no completion */
    data_put(&s, false);
    int fd = stream_finish(&s);
    struct l2_data *d = one_batch(fd, &o, &b);
    struct l2_data_counts counts;
    check_targets(&b, want, 3);
    assert_int_equal(l2_data_next(d, &b, &data_err), L2_END);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.dropped_empty, 2);
    assert_int_equal(counts.examples, 1);
    l2_data_free(d);
    close(fd);
}

static void test_overlong_answers(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = answer_opts();
    struct l2_data_batch b;
    struct l2_data_counts counts;
    struct l2_data *d;
    struct l2_data_input in = {.name = "in"};
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 5, 10, 9);    /* 10 with BOS */
    (void)data_put_answer(&s, 50, 4); /* fits: 13 rows */
    (void)data_put_answer(&s, 60, 9); /* 18 rows */
    data_put(&s, false);
    int fd = in.fd = stream_finish(&s);
    o.context = 16;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &data_err), L2_LIMIT);
    assert_non_null(strstr(data_err.text, "record 5"));
    assert_string_equal(data_err.file, "in");
    assert_true(data_err.offset > 0);
    o.overlong = L2_DATA_OVERLONG_DROP;
    d = one_batch(fd, &o, &b);
    l2_data_get_counts(d, &counts);
    assert_true(counts.dropped_overlong == 1 && counts.examples == 1 && b.n_targets == 4);
    l2_data_free(d);
    o.overlong = L2_DATA_OVERLONG_RIGHT;
    d = one_batch(fd, &o, &b);
    l2_data_get_counts(d, &counts);
    assert_true(counts.truncated == 1 && counts.examples == 2 && b.n_targets == 4 + 7);
    l2_data_free(d);
    o.overlong = L2_DATA_OVERLONG_LEFT;
    o.bos = BOS;
    d = one_batch(fd, &o, &b);
    l2_data_get_counts(d, &counts);
    assert_true(counts.truncated == 1 && b.n_targets == 4 + 9);
    assert_int_equal(b.net.n_rows, 13 + 16);
    assert_int_equal(b.net.tokens[13], BOS); /* stays; two ids behind it do not */
    assert_int_equal(b.net.tokens[14], 12);
    l2_data_free(d);
    close(fd);
}

/* Every answer once, whatever the sizes, packed to the context; and positions inside of records. */
static void test_answers_coverage(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = answer_opts();
    struct l2_data_input in = {.name = "in"};
    struct l2_data_batch b;
    uint32_t next = 1000, *predicted = calloc(100000, sizeof *predicted);
    int rc;
    (void)state;
    assert_non_null(predicted);
    stream_begin(&s);
    for (uint32_t i = 0; i < 80; i++) {
        data_put_prompt(&s, i, 10, i % 7);
        for (uint32_t k = 0; k < i % 6; k++) {
            size_t n = 1 + (i * 5 + k * 3) % 20;
            (void)data_put_answer(&s, next, n);
            next += (uint32_t)n;
        }
        data_put(&s, i % 9 == 8);
    }
    in.fd = stream_finish(&s);
    o.keep_order = false;
    o.sequences = 2;
    struct l2_data *d = data_open_one(in.fd, &o);
    while ((rc = l2_data_next(d, &b, &data_err)) == L2_OK) {
        data_check_batch(&o, &b);
        for (size_t i = 0; i < b.n_targets; i++)
            predicted[b.targets[i].token]++;
    }
    assert_int_equal(rc, L2_END);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(predicted[i], i >= 1000 && i < next);
    l2_data_free(d);
    o.memory = 1500;
    o.epochs = 2;
    data_check_resume(&o, &in, 1);
    free(predicted);
    close(in.fd);
}

/* ---- pairs ---- */

static void test_pairs(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = data_text_opts();
    struct l2_data_batch b;
    struct l2_data_counts counts;
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 0, 10, 2);
    struct l2_completion *c = data_put_answer(&s, 20, 4);
    c->tokens.v[3] = 99; /* 20 21 22 99 against 20 21 22 23 24 */
    (void)data_put_answer(&s, 20, 5);
    data_rate(&s, "slightly_better");
    data_put(&s, false);
    data_put_prompt(&s, 1, 10, 1);
    (void)data_put_answer(&s, 20, 2); /* begins the other */
    (void)data_put_answer(&s, 20, 3);
    s.rec.has_margin = true;
    s.rec.margin = 0.5f;
    data_rate(&s, "significantly better");
    data_put(&s, false);
    data_put_prompt(&s, 2, 10, 1); /* equal */
    (void)data_put_answer(&s, 20, 2);
    (void)data_put_answer(&s, 20, 2);
    data_put(&s, false);
    data_put_prompt(&s, 3, 10, 1); /* one */
    (void)data_put_answer(&s, 20, 2);
    data_put(&s, false);
    data_put_prompt(&s, 4, 10, 1); /* empty */
    (void)data_put_answer(&s, 20, 2);
    (void)data_put_answer(&s, 20, 0);
    data_put(&s, false);
    int fd = stream_finish(&s);
    o.kind = L2_DATA_PAIRS;
    o.keep_order = true;
    memcpy(o.margins, l2_margins_large, sizeof o.margins);
    struct l2_data *d = one_batch(fd, &o, &b);
    static const uint32_t tokens[] = {1, 10, 11, 20, 21, 22, 99, 23, 24, 1, 10, 20, 21, 21, 22};
    assert_int_equal(b.net.n_rows, sizeof tokens / sizeof *tokens);
    assert_memory_equal(b.net.tokens, tokens, sizeof tokens);
    assert_int_equal(b.n_pairs, 2);
    assert_true(b.pairs[0].rows[0] == 6 && b.pairs[0].rows[1] == 8);
    assert_true(b.pairs[1].rows[0] == 12 && b.pairs[1].rows[1] == 14);
    assert_true(b.pairs[0].rating == L2_RATING_SLIGHT && b.pairs[0].margin == 1);
    assert_true(b.pairs[1].rating == L2_RATING_SIGNIFICANT && b.pairs[1].margin == 3);
    assert_true(b.pairs[0].safe[0] == -1 && b.pairs[0].safe[1] == -1);
    assert_int_equal(l2_data_next(d, &b, &data_err), L2_END);
    l2_data_get_counts(d, &counts);
    assert_true(counts.dropped_equal == 1 && counts.dropped_no_pair == 1 &&
                counts.dropped_empty == 1 && counts.examples == 2);
    l2_data_free(d);
    o.use_margin = true;
    d = one_batch(fd, &o, &b);
    assert_true(b.pairs[0].margin == 1 && b.pairs[1].margin == 0.5f);
    l2_data_free(d);
    close(fd);
}

static void test_pairs_overlong(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = data_text_opts();
    struct l2_data_batch b;
    struct l2_data_counts counts;
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 0, 10, 11);
    (void)data_put_answer(&s, 50, 6);
    (void)data_put_answer(&s, 70, 2);
    data_put(&s, false);
    data_put_prompt(&s, 1, 10, 3); /* answers that only differ beyond the context */
    (void)data_put_answer(&s, 50, 30);
    (void)data_put_answer(&s, 50, 31);
    data_put(&s, false);
    int fd = stream_finish(&s);
    o.kind = L2_DATA_PAIRS;
    o.keep_order = true;
    o.bos = BOS;
    o.overlong = L2_DATA_OVERLONG_LEFT;
    struct l2_data *d = one_batch(fd, &o, &b);
    assert_int_equal(b.n_pairs, 1);
    assert_int_equal(b.net.spans[0].n, 10);
    assert_int_equal(b.net.tokens[0], BOS);
    assert_int_equal(b.net.tokens[1], 12);
    assert_int_equal(b.net.n_rows, 18);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.truncated, 1);
    assert_int_equal(l2_data_next(d, &b, &data_err), L2_END);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.dropped_equal, 1);
    l2_data_free(d);
    o.epochs = 0; /* would never end where nothing can be used */
    o.overlong = L2_DATA_OVERLONG_DROP;
    o.context = 8;
    d = data_open_one(fd, &o);
    assert_int_equal(l2_data_next(d, &b, &data_err), L2_ARGUMENT);
    assert_non_null(strstr(data_err.text, "overlong"));
    l2_data_free(d);
    close(fd);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_spans),
        cmocka_unit_test(test_overlong_answers),
        cmocka_unit_test(test_answers_coverage),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_pairs_overlong),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
