/* Unit tests of training data: every id once a pass, orders that depend on the seed, positions that
 * can be saved at any batch, what is left out and counted, and damaged input. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data_fixture.h"

/* Adds how often each id is read and predicted. */
static void count_ids(struct l2_data *d, const struct l2_data_opts *o, uint32_t *read,
                      uint32_t *predicted)
{
    struct l2_data_batch b;
    int rc;
    while ((rc = l2_data_next(d, &b, &data_err)) == L2_OK) {
        data_check_batch(o, &b);
        for (size_t i = 0; i < b.net.n_rows; i++)
            read[b.net.tokens[i]]++;
        for (size_t i = 0; i < b.n_targets; i++)
            predicted[b.targets[i].token]++;
    }
    assert_int_equal(rc, L2_END);
}

/* Every id is read once a pass and predicted once a pass, but for the very first and last. */
static void test_coverage(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 500, &total);
    (void)state;
    for (int shuffled = 0; shuffled < 2; shuffled++)
        for (uint64_t epochs = 1; epochs <= 3; epochs++) {
            struct l2_data_opts o = data_text_opts();
            struct l2_data_counts counts;
            o.keep_order = !shuffled;
            o.epochs = epochs;
            o.memory = 3000; /* several groups */
            uint32_t *read = calloc(o.vocab_size, sizeof *read);
            uint32_t *predicted = calloc(o.vocab_size, sizeof *predicted);
            assert_true(read && predicted);
            struct l2_data *d = data_open_one(fd, &o);
            count_ids(d, &o, read, predicted);
            uint64_t n_read = 0, n_predicted = 0;
            for (uint32_t i = 0; i < o.vocab_size; i++) {
                n_read += read[i];
                n_predicted += predicted[i];
                if (i == BOS)
                    assert_int_equal(predicted[i], 500 * epochs - 1);
                else if (i >= 100 && i < 100 + total - 500)
                    assert_true(predicted[i] == epochs && read[i] >= epochs - 1);
                else
                    assert_int_equal(predicted[i], 0);
            }
            l2_data_get_counts(d, &counts);
            assert_int_equal(n_predicted, total * epochs - 1);
            assert_true(n_read == total * epochs || n_read == total * epochs - 1);
            assert_int_equal(counts.targets, n_predicted);
            assert_int_equal(counts.tokens, n_read);
            assert_int_equal(counts.examples, 500 * epochs);
            assert_true(l2_data_epochs(d) == (double)epochs);
            l2_data_free(d);
            free(read);
            free(predicted);
        }
    close(fd);
}

/* Cut at documents: every id behind a document's first is predicted once, by its predecessor. */
static void test_cut(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 300, &total), rc;
    struct l2_data_opts o = data_text_opts();
    struct l2_data_counts counts;
    struct l2_data_batch b;
    uint64_t n = 0, roots = 0;
    (void)state;
    o.cut_documents = true;
    o.eos = EOS;
    o.add_eos = true;
    struct l2_data *d = data_open_one(fd, &o);
    while ((rc = l2_data_next(d, &b, &data_err)) == L2_OK) {
        data_check_batch(&o, &b);
        assert_int_equal(b.n_targets, b.net.n_rows);
        for (size_t i = 0; i < b.net.n_spans; i++) {
            const struct l2_span *s = &b.net.spans[i];
            assert_int_equal(s->parent, L2_NO_PARENT);
            for (uint32_t j = s->first; j < s->first + s->n; j++) {
                uint32_t from = b.net.tokens[j], to = b.targets[j].token;
                assert_int_equal(b.targets[j].row, j);
                assert_true(from == BOS || to == EOS || to == from + 1);
                if (j + 1 < s->first + s->n)
                    assert_int_equal(to, b.net.tokens[j + 1]);
            }
            roots += b.net.tokens[s->first] == BOS;
        }
        n += b.n_targets;
    }
    assert_int_equal(rc, L2_END);
    assert_int_equal(n, total); /* BOS ids are not, EOS ids are */
    assert_int_equal(roots, 300);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.dropped_empty, 0);
    l2_data_free(d);
    o.add_eos = false; /* nine texts of BOS alone have nothing to predict then */
    d = data_open_one(fd, &o);
    struct l2_ids all = data_read_all(d, &o);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.dropped_empty, 9);
    assert_int_equal(counts.targets, total - 300);
    l2_ids_release(&all);
    l2_data_free(d);
    close(fd);
}

static void test_orders(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 200, &total);
    struct l2_data_opts o = data_text_opts(), other = data_text_opts(), twice = data_text_opts();
    (void)state;
    other.seed = 8;
    twice.epochs = 2;
    o.memory = other.memory = twice.memory = 4000;
    struct l2_data *a = data_open_one(fd, &o), *b = data_open_one(fd, &o),
                   *c = data_open_one(fd, &other), *d = data_open_one(fd, &twice);
    struct l2_ids ia = data_read_all(a, &o), ib = data_read_all(b, &o),
                  ic = data_read_all(c, &other), id = data_read_all(d, &twice);
    assert_true(data_equal(&ia, &ib));
    assert_false(data_equal(&ia, &ic));
    /* the second pass is in another order than the first, at places where it can be compared */
    size_t same = 0;
    for (size_t i = 0; i < ia.n; i++)
        same += id.v[id.n - ia.n + i] == ia.v[i];
    assert_true(same < ia.n / 2);
    l2_data_rewind(a);
    struct l2_ids again = data_read_all(a, &o);
    assert_true(data_equal(&ia, &again));
    l2_ids_release(&ia);
    l2_ids_release(&ib);
    l2_ids_release(&ic);
    l2_ids_release(&id);
    l2_ids_release(&again);
    l2_data_free(a);
    l2_data_free(b);
    l2_data_free(c);
    l2_data_free(d);
    close(fd);
}

/* ---- positions ---- */

static void test_resume(void **state)
{
    uint64_t total;
    struct l2_data_input in[2] = {{.fd = data_texts(100, 60, &total), .name = "a"},
                                  {.fd = data_texts(5000, 25, &total), .name = "b"}};
    struct l2_data_opts o = data_text_opts();
    (void)state;
    o.epochs = 2;
    o.memory = 2000;
    data_check_resume(&o, in, 2);
    o.cut_documents = true;
    data_check_resume(&o, in, 2);
    in[0].weight = 1;
    in[1].weight = 3;
    data_check_resume(&o, in, 2);
    close(in[0].fd);
    close(in[1].fd);
}

/* A position of other data, and damaged ones: an error, or a position; never more. */
static void test_bad_positions(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 60, &total), other_fd = data_texts(100, 61, &total);
    struct l2_data_opts o = data_text_opts(), other = data_text_opts();
    struct l2_data_batch b;
    struct l2_buf saved = {0};
    (void)state;
    other.seed++;
    struct l2_data *d = data_open_one(fd, &o), *e = data_open_one(fd, &other),
                   *f = data_open_one(other_fd, &o);
    for (int i = 0; i < 5; i++)
        assert_int_equal(l2_data_next(d, &b, &data_err), L2_OK);
    assert_int_equal(l2_data_save(d, &saved, &data_err), L2_OK);
    assert_int_equal(l2_data_restore(e, saved.data, saved.len, &data_err), L2_ARGUMENT);
    assert_int_equal(l2_data_restore(f, saved.data, saved.len, &data_err), L2_ARGUMENT);
    for (size_t n = 0; n < saved.len; n++)
        assert_int_equal(l2_data_restore(d, saved.data, n, &data_err), L2_CORRUPT);
    for (size_t i = 40; i < saved.len; i++) {
        saved.data[i] ^= 0x81;
        int rc = l2_data_restore(d, saved.data, saved.len, &data_err);
        assert_true(rc == L2_OK || rc == L2_CORRUPT);
        rc = l2_data_next(d, &b, &data_err);
        assert_true(rc == L2_OK || rc == L2_END);
        saved.data[i] ^= 0x81;
    }
    l2_buf_release(&saved);
    l2_data_free(d);
    l2_data_free(e);
    l2_data_free(f);
    close(fd);
    close(other_fd);
}

/* ---- mixes and held-out shares ---- */

static void test_weights(void **state)
{
    uint64_t total;
    struct l2_data_input in[3] = {{.fd = data_texts(100, 400, &total), .name = "a", .weight = 1},
                                  {.fd = data_texts(10000, 100, &total), .name = "b", .weight = 2},
                                  {.fd = data_texts(20000, 100, &total), .name = "c", .weight = 5}};
    struct l2_data_opts o = data_text_opts();
    struct l2_data *d;
    struct l2_data_batch b;
    uint64_t n[3] = {0}, all = 0;
    (void)state;
    o.epochs = 0;
    assert_int_equal(l2_data_new(&d, &o, in, 3, &data_err), L2_OK);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(l2_data_next(d, &b, &data_err), L2_OK);
        for (size_t j = 0; j < b.net.n_rows; j++)
            if (b.net.tokens[j] >= 100)
                n[b.net.tokens[j] < 10000 ? 0 : b.net.tokens[j] < 20000 ? 1 : 2]++;
    }
    for (int i = 0; i < 3; i++)
        all += n[i];
    for (int i = 0; i < 3; i++) {
        struct l2_data_input_info info = l2_data_input_info(d, (size_t)i);
        assert_true(info.share == in[i].weight / 8);
        double share = (double)n[i] / (double)all;
        assert_true(share > info.share - 0.005 && share < info.share + 0.005);
    }
    assert_true(l2_data_input_info(d, 2).epoch > l2_data_input_info(d, 0).epoch);
    l2_data_free(d);
    for (int i = 0; i < 3; i++)
        close(in[i].fd);
}

/* Both shares together are everything, once; equal prompts are on one side. */
static void test_held_out(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = data_text_opts();
    struct l2_data *d, *h;
    struct l2_data_batch b;
    int side[400] = {0}, rc;
    (void)state;
    stream_begin(&s);
    for (uint32_t i = 0; i < 800; i++) {
        data_put_prompt(&s, i, 1000 + i % 400, 1);
        (void)data_put_answer(&s, 50, 3);
        (void)data_put_answer(&s, 60 + i % 3, 3);
        data_put(&s, i % 50 == 49);
    }
    int fd = stream_finish(&s);
    o.kind = L2_DATA_PAIRS;
    o.held_out = 0.2;
    d = data_open_one(fd, &o);
    assert_int_equal(l2_data_new_held(&h, d, &data_err), L2_OK);
    assert_non_null(h);
    for (int i = 0; i < 2; i++) {
        struct l2_data *which = i ? h : d;
        while ((rc = l2_data_next(which, &b, &data_err)) == L2_OK) {
            data_check_batch(&o, &b);
            for (size_t j = 0; j < b.net.n_rows; j++)
                if (b.net.tokens[j] >= 1000)
                    side[b.net.tokens[j] - 1000] += i ? 100 : 1;
        }
        assert_int_equal(rc, L2_END);
    }
    int held = 0;
    for (int i = 0; i < 400; i++) {
        assert_true(side[i] == 2 || side[i] == 200);
        held += side[i] == 200;
    }
    assert_true(held > 50 && held < 110);
    assert_int_equal(l2_data_input_info(d, 0).held_records, 2 * held);
    l2_data_rewind(h);
    assert_int_equal(l2_data_next(h, &b, &data_err), L2_OK);
    l2_data_free(h);
    l2_data_free(d);
    close(fd);
}
static void test_pipe(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 100, &total), fds[2];
    struct l2_data_opts o = data_text_opts();
    uint8_t bytes[65536];
    (void)state;
    ssize_t n = read(fd, bytes, sizeof bytes);
    assert_true(n > 0 && n < 60000);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], bytes, (size_t)n), n);
    close(fds[1]);
    o.epochs = 2;
    struct l2_data *a = data_open_one(fd, &o), *b = data_open_one(fds[0], &o);
    assert_true(l2_data_input_info(b, 0).spooled && !l2_data_input_info(a, 0).spooled);
    struct l2_ids ia = data_read_all(a, &o), ib = data_read_all(b, &o);
    assert_true(data_equal(&ia, &ib));
    l2_ids_release(&ia);
    l2_ids_release(&ib);
    l2_data_free(a);
    l2_data_free(b);
    close(fds[0]);
    close(fd);
}

/* Cut anywhere: truncated, and with partial what is there. Flipped bytes: an error that names file
 * and place. Changed behind our back: said so. */
static void test_damage(void **state)
{
    uint64_t total;
    int fd = data_texts(100, 40, &total);
    struct l2_data_opts o = data_text_opts(), partial = data_text_opts();
    struct l2_data_input in = {.fd = fd, .name = "in"};
    struct l2_data *d;
    uint8_t bytes[20000], byte;
    (void)state;
    partial.partial = true;
    ssize_t size = read(fd, bytes, sizeof bytes);
    assert_true(size > 0 && size < (ssize_t)sizeof bytes);
    for (ssize_t i = 0; i < size; i += 3) {
        byte = bytes[i] ^ 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
        int rc = l2_data_new(&d, &o, &in, 1, &data_err);
        if (rc == L2_OK)
            l2_data_free(d);
        else
            assert_true(strcmp(data_err.file, "in") == 0 && data_err.offset >= 0);
        assert_int_equal(pwrite(fd, bytes + i, 1, i), 1);
    }
    d = data_open_one(fd, &o);
    byte = bytes[size / 2] ^ 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, size / 2), 1);
    struct l2_data_batch b;
    int rc;
    while ((rc = l2_data_next(d, &b, &data_err)) == L2_OK)
        ;
    assert_int_equal(rc, L2_CORRUPT);
    assert_non_null(strstr(data_err.text, "changed"));
    l2_data_free(d);
    for (ssize_t n = size - 1; n >= 0; n -= 7) {
        assert_int_equal(ftruncate(fd, n), 0);
        rc = l2_data_new(&d, &o, &in, 1, &data_err);
        assert_true(rc == L2_TRUNCATED || rc == L2_CORRUPT);
        assert_string_equal(data_err.file, "in");
        rc = l2_data_new(&d, &partial, &in, 1, &data_err);
        if (rc == L2_OK)
            l2_data_free(d);
        else
            assert_true(rc == L2_TRUNCATED || rc == L2_ARGUMENT || rc == L2_CORRUPT);
    }
    close(fd);
}

static void test_unfit_records(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = data_text_opts();
    struct l2_data_input in = {.name = "in"};
    struct l2_data *d;
    (void)state;
    stream_begin(&s);
    data_put_prompt(&s, 3, 10, 2);
    (void)data_put_answer(&s, 20, 2);
    data_rate(&s, "much better");
    data_put(&s, true);
    in.fd = stream_finish(&s);
    o.vocab_size = 21;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &data_err), L2_CORRUPT);
    assert_non_null(strstr(data_err.text, "record 3: token 21"));
    o.vocab_size = 100;
    o.kind = L2_DATA_PAIRS;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &data_err), L2_FORMAT);
    assert_non_null(strstr(data_err.text, "rating"));
    close(in.fd);
    stream_begin(&s);
    l2_record_reset(&s.rec);
    s.rec.id.number = 4;
    struct l2_completion *c = l2_record_add_completion(&s.rec, &data_err);
    assert_non_null(c);
    assert_int_equal(l2_record_str(&s.rec, "text", 4, &c->text, &data_err), L2_OK);
    data_put(&s, true);
    in.fd = stream_finish(&s);
    o.kind = L2_DATA_TEXT;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &data_err), L2_FORMAT);
    assert_non_null(strstr(data_err.text, "no token ids"));
    close(in.fd);
    stream_begin(&s);
    in.fd = stream_finish(&s);
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &data_err), L2_ARGUMENT);
    close(in.fd);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage),      cmocka_unit_test(test_cut),
        cmocka_unit_test(test_orders),        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_bad_positions), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_held_out),      cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_unfit_records),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
