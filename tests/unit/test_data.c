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

#include "stream/codec.h"
#include "stream_file.h"
#include "train/data.h"
#include "util/ids.h"

#define BOS 1
#define EOS 2

static struct l2_err err;

/* ---- streams to read ---- */

/* ids from first on, n of them, behind BOS where bos. */
static struct l2_u32s ids(struct stream_file *s, uint32_t first, size_t n, bool bos)
{
    struct l2_u32s a = {l2_arena_alloc(&s->rec.arena, n + bos, sizeof *a.v, &err), n + bos};
    assert_non_null(a.v);
    if (bos)
        a.v[0] = BOS;
    for (size_t i = 0; i < n; i++)
        a.v[i + bos] = first + (uint32_t)i;
    return a;
}

static void put_prompt(struct stream_file *s, int64_t id, uint32_t first, size_t n)
{
    l2_record_reset(&s->rec);
    s->rec.id.number = id;
    s->rec.prompt = ids(s, first, n, true);
}

static struct l2_completion *put_answer(struct stream_file *s, uint32_t first, size_t n)
{
    struct l2_completion *c = l2_record_add_completion(&s->rec, &err);
    assert_non_null(c);
    c->tokens = ids(s, first, n, false);
    return c;
}

static void put(struct stream_file *s, bool flush)
{
    assert_int_equal(l2_writer_record(s->w, &s->rec, &err), L2_OK);
    if (flush)
        assert_int_equal(l2_writer_flush(s->w, &err), L2_OK);
}

/* n texts of 0 to 36 ids, all different, from id first on; a frame of every five. *total gets the
 * number of ids, BOS included. */
static int texts(uint32_t first, size_t n, uint64_t *total)
{
    struct stream_file s;
    *total = 0;
    stream_begin(&s);
    for (size_t i = 0; i < n; i++) {
        size_t len = i * 7 % 37;
        put_prompt(&s, (int64_t)i, 0, 0);
        (void)put_answer(&s, first, len);
        put(&s, i % 5 == 4);
        first += (uint32_t)len;
        *total += len + 1;
    }
    return stream_finish(&s);
}

static struct l2_data_opts text_opts(void)
{
    return (struct l2_data_opts){.kind = L2_DATA_TEXT,
                                 .context = 16,
                                 .sequences = 3,
                                 .vocab_size = 100000,
                                 .bos = L2_NO_TOKEN,
                                 .eos = L2_NO_TOKEN,
                                 .seed = 7,
                                 .epochs = 1};
}

static struct l2_data *open_one(int fd, const struct l2_data_opts *o)
{
    struct l2_data_input in = {.fd = fd, .name = "in"};
    struct l2_data *d;
    int rc = l2_data_new(&d, o, &in, 1, &err);
    if (rc != L2_OK)
        fail_msg("%s: %s", err.file, err.text);
    return d;
}

/* What the net would refuse: spans without gaps, targets in order, sizes. */
static void check_batch(const struct l2_data_opts *o, const struct l2_data_batch *b)
{
    size_t row = 0;
    assert_true(b->net.n_rows > 0 && b->net.n_rows <= l2_data_max_rows(o));
    for (size_t i = 0; i < b->net.n_spans; i++) {
        const struct l2_span *s = &b->net.spans[i];
        size_t position = s->n;
        assert_int_equal(s->first, row);
        assert_true(s->n > 0 && (s->parent == L2_NO_PARENT || s->parent < i));
        for (uint32_t p = s->parent; p != L2_NO_PARENT; p = b->net.spans[p].parent)
            position += b->net.spans[p].n;
        assert_true(position <= o->context);
        row += s->n;
    }
    assert_int_equal(row, b->net.n_rows);
    for (size_t i = 0; i < b->n_targets; i++)
        assert_true(b->targets[i].row < row &&
                    (i == 0 || b->targets[i].row >= b->targets[i - 1].row));
}

/* A batch as numbers that tell it from others. */
static void digest_batch(struct l2_ids *to, const struct l2_data_batch *b)
{
    int rc = l2_ids_append_n(to, b->net.tokens, b->net.n_rows, &err);
    for (size_t i = 0; i < b->net.n_spans && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, &b->net.spans[i].first, 3, &err);
    for (size_t i = 0; i < b->n_targets && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, &b->targets[i].row, 2, &err);
    for (size_t i = 0; i < b->n_pairs && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, b->pairs[i].rows, 2, &err);
    assert_int_equal(rc, L2_OK);
}

/* All batches, one after another. */
static struct l2_ids read_all(struct l2_data *d, const struct l2_data_opts *o)
{
    struct l2_data_batch b;
    struct l2_ids all = {0};
    int rc;
    while ((rc = l2_data_next(d, &b, &err)) == L2_OK) {
        check_batch(o, &b);
        digest_batch(&all, &b);
    }
    assert_int_equal(rc, L2_END);
    return all;
}

static bool equal(const struct l2_ids *a, const struct l2_ids *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof *a->v) == 0;
}

/* ---- pretraining ---- */

/* Adds how often each id is read and predicted. */
static void count_ids(struct l2_data *d, const struct l2_data_opts *o, uint32_t *read,
                      uint32_t *predicted)
{
    struct l2_data_batch b;
    int rc;
    while ((rc = l2_data_next(d, &b, &err)) == L2_OK) {
        check_batch(o, &b);
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
    int fd = texts(100, 500, &total);
    (void)state;
    for (int shuffled = 0; shuffled < 2; shuffled++)
        for (uint64_t epochs = 1; epochs <= 3; epochs++) {
            struct l2_data_opts o = text_opts();
            struct l2_data_counts counts;
            o.keep_order = !shuffled;
            o.epochs = epochs;
            o.memory = 3000; /* several groups */
            uint32_t *read = calloc(o.vocab_size, sizeof *read);
            uint32_t *predicted = calloc(o.vocab_size, sizeof *predicted);
            assert_true(read && predicted);
            struct l2_data *d = open_one(fd, &o);
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
    int fd = texts(100, 300, &total), rc;
    struct l2_data_opts o = text_opts();
    struct l2_data_counts counts;
    struct l2_data_batch b;
    uint64_t n = 0, roots = 0;
    (void)state;
    o.cut_documents = true;
    o.eos = EOS;
    o.add_eos = true;
    struct l2_data *d = open_one(fd, &o);
    while ((rc = l2_data_next(d, &b, &err)) == L2_OK) {
        check_batch(&o, &b);
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
    d = open_one(fd, &o);
    struct l2_ids all = read_all(d, &o);
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
    int fd = texts(100, 200, &total);
    struct l2_data_opts o = text_opts(), other = text_opts(), twice = text_opts();
    (void)state;
    other.seed = 8;
    twice.epochs = 2;
    o.memory = other.memory = twice.memory = 4000;
    struct l2_data *a = open_one(fd, &o), *b = open_one(fd, &o), *c = open_one(fd, &other),
                   *d = open_one(fd, &twice);
    struct l2_ids ia = read_all(a, &o), ib = read_all(b, &o), ic = read_all(c, &other),
                  id = read_all(d, &twice);
    assert_true(equal(&ia, &ib));
    assert_false(equal(&ia, &ic));
    /* the second pass is in another order than the first, at places where it can be compared */
    size_t same = 0;
    for (size_t i = 0; i < ia.n; i++)
        same += id.v[id.n - ia.n + i] == ia.v[i];
    assert_true(same < ia.n / 2);
    l2_data_rewind(a);
    struct l2_ids again = read_all(a, &o);
    assert_true(equal(&ia, &again));
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

/* Saves at every batch, goes on in data that was opened afresh, and compares. */
static void check_resume(const struct l2_data_opts *o, const struct l2_data_input *in, size_t n_in)
{
    struct l2_data *d, *from;
    struct l2_data_batch b;
    struct l2_buf saved = {0}, end = {0}, end2 = {0};
    struct l2_ids whole;
    size_t n_batches = 0;
    assert_int_equal(l2_data_new(&d, o, in, n_in, &err), L2_OK);
    whole = read_all(d, o);
    assert_int_equal(l2_data_save(d, &end, &err), L2_OK);
    l2_data_rewind(d);
    for (;;) {
        struct l2_ids parts = {0};
        struct l2_data_counts counts;
        l2_data_get_counts(d, &counts);
        n_batches = (size_t)counts.batches;
        saved.len = 0;
        assert_int_equal(l2_data_save(d, &saved, &err), L2_OK);
        assert_int_equal(l2_data_new(&from, o, in, n_in, &err), L2_OK);
        assert_int_equal(l2_data_restore(from, saved.data, saved.len, &err), L2_OK);
        struct l2_ids rest = read_all(from, o);
        assert_true(rest.n <= whole.n);
        assert_memory_equal(rest.v ? rest.v : whole.v, whole.v + whole.n - rest.n,
                            rest.n * sizeof *rest.v);
        end2.len = 0;
        assert_int_equal(l2_data_save(from, &end2, &err), L2_OK);
        assert_int_equal(end2.len, end.len);
        assert_memory_equal(end2.data, end.data, end.len);
        l2_ids_release(&rest);
        l2_data_free(from);
        int rc = l2_data_next(d, &b, &err);
        l2_ids_release(&parts);
        if (rc == L2_END)
            break;
        assert_int_equal(rc, L2_OK);
    }
    assert_true(n_batches > 10);
    l2_ids_release(&whole);
    l2_buf_release(&saved);
    l2_buf_release(&end);
    l2_buf_release(&end2);
    l2_data_free(d);
}

static void test_resume(void **state)
{
    uint64_t total;
    struct l2_data_input in[2] = {{.fd = texts(100, 60, &total), .name = "a"},
                                  {.fd = texts(5000, 25, &total), .name = "b"}};
    struct l2_data_opts o = text_opts();
    (void)state;
    o.epochs = 2;
    o.memory = 2000;
    check_resume(&o, in, 2);
    o.cut_documents = true;
    check_resume(&o, in, 2);
    in[0].weight = 1;
    in[1].weight = 3;
    check_resume(&o, in, 2);
    close(in[0].fd);
    close(in[1].fd);
}

/* A position of other data, and damaged ones: an error, or a position; never more. */
static void test_bad_positions(void **state)
{
    uint64_t total;
    int fd = texts(100, 60, &total), other_fd = texts(100, 61, &total);
    struct l2_data_opts o = text_opts(), other = text_opts();
    struct l2_data_batch b;
    struct l2_buf saved = {0};
    (void)state;
    other.seed++;
    struct l2_data *d = open_one(fd, &o), *e = open_one(fd, &other), *f = open_one(other_fd, &o);
    for (int i = 0; i < 5; i++)
        assert_int_equal(l2_data_next(d, &b, &err), L2_OK);
    assert_int_equal(l2_data_save(d, &saved, &err), L2_OK);
    assert_int_equal(l2_data_restore(e, saved.data, saved.len, &err), L2_ARGUMENT);
    assert_int_equal(l2_data_restore(f, saved.data, saved.len, &err), L2_ARGUMENT);
    for (size_t n = 0; n < saved.len; n++)
        assert_int_equal(l2_data_restore(d, saved.data, n, &err), L2_CORRUPT);
    for (size_t i = 40; i < saved.len; i++) {
        saved.data[i] ^= 0x81;
        int rc = l2_data_restore(d, saved.data, saved.len, &err);
        assert_true(rc == L2_OK || rc == L2_CORRUPT);
        rc = l2_data_next(d, &b, &err);
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
    struct l2_data_input in[3] = {{.fd = texts(100, 400, &total), .name = "a", .weight = 1},
                                  {.fd = texts(10000, 100, &total), .name = "b", .weight = 2},
                                  {.fd = texts(20000, 100, &total), .name = "c", .weight = 5}};
    struct l2_data_opts o = text_opts();
    struct l2_data *d;
    struct l2_data_batch b;
    uint64_t n[3] = {0}, all = 0;
    (void)state;
    o.epochs = 0;
    assert_int_equal(l2_data_new(&d, &o, in, 3, &err), L2_OK);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(l2_data_next(d, &b, &err), L2_OK);
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
    struct l2_data_opts o = text_opts();
    struct l2_data *d, *h;
    struct l2_data_batch b;
    int side[400] = {0}, rc;
    (void)state;
    stream_begin(&s);
    for (uint32_t i = 0; i < 800; i++) {
        put_prompt(&s, i, 1000 + i % 400, 1);
        (void)put_answer(&s, 50, 3);
        (void)put_answer(&s, 60 + i % 3, 3);
        put(&s, i % 50 == 49);
    }
    int fd = stream_finish(&s);
    o.kind = L2_DATA_PAIRS;
    o.held_out = 0.2;
    d = open_one(fd, &o);
    assert_int_equal(l2_data_new_held(&h, d, &err), L2_OK);
    assert_non_null(h);
    for (int i = 0; i < 2; i++) {
        struct l2_data *which = i ? h : d;
        while ((rc = l2_data_next(which, &b, &err)) == L2_OK) {
            check_batch(&o, &b);
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
    assert_int_equal(l2_data_next(h, &b, &err), L2_OK);
    l2_data_free(h);
    l2_data_free(d);
    close(fd);
}

/* ---- answers ---- */

/* Reads everything as one batch. */
static struct l2_data *one_batch(int fd, const struct l2_data_opts *o, struct l2_data_batch *b)
{
    struct l2_data *d = open_one(fd, o);
    assert_int_equal(l2_data_next(d, b, &err), L2_OK);
    check_batch(o, b);
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
    struct l2_data_opts o = text_opts();
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
    put_prompt(&s, 0, 10, 3);
    s.rec.spans = ids(&s, 1, 2, false);
    s.rec.spans.v[1] = 3;
    (void)put_answer(&s, 20, 3);
    (void)put_answer(&s, 30, 2);
    put(&s, false);
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
    put_prompt(&s, 0, 10, 1);
    struct l2_completion *c = put_answer(&s, 20, 5);
    c->spans = ids(&s, 0, 4, false);
    c->spans.v[1] = 1; /* [0, 1) and [3, 5) */
    c->spans.v[2] = 3;
    c->spans.v[3] = 5;
    put(&s, false);
    put_prompt(&s, 1, 10, 1); /* nothing to predict */
    c = put_answer(&s, 20, 5);
    c->spans = ids(&s, 0, 0, false);
    put(&s, false);
    put_prompt(&s, 2, 10, 1); /* no completion */
    put(&s, false);
    int fd = stream_finish(&s);
    struct l2_data *d = one_batch(fd, &o, &b);
    struct l2_data_counts counts;
    check_targets(&b, want, 3);
    assert_int_equal(l2_data_next(d, &b, &err), L2_END);
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
    put_prompt(&s, 5, 10, 9);    /* 10 with BOS */
    (void)put_answer(&s, 50, 4); /* fits: 13 rows */
    (void)put_answer(&s, 60, 9); /* 18 rows */
    put(&s, false);
    int fd = in.fd = stream_finish(&s);
    o.context = 16;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &err), L2_LIMIT);
    assert_non_null(strstr(err.text, "record 5"));
    assert_string_equal(err.file, "in");
    assert_true(err.offset > 0);
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
        put_prompt(&s, i, 10, i % 7);
        for (uint32_t k = 0; k < i % 6; k++) {
            size_t n = 1 + (i * 5 + k * 3) % 20;
            (void)put_answer(&s, next, n);
            next += (uint32_t)n;
        }
        put(&s, i % 9 == 8);
    }
    in.fd = stream_finish(&s);
    o.keep_order = false;
    o.sequences = 2;
    struct l2_data *d = open_one(in.fd, &o);
    while ((rc = l2_data_next(d, &b, &err)) == L2_OK) {
        check_batch(&o, &b);
        for (size_t i = 0; i < b.n_targets; i++)
            predicted[b.targets[i].token]++;
    }
    assert_int_equal(rc, L2_END);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(predicted[i], i >= 1000 && i < next);
    l2_data_free(d);
    o.memory = 1500;
    o.epochs = 2;
    check_resume(&o, &in, 1);
    free(predicted);
    close(in.fd);
}

/* ---- pairs ---- */

/* Appends meta {"rating": text}. */
static void rate(struct stream_file *s, const char *text)
{
    struct l2_buf buf = {0};
    struct l2_cbor_out o = {.out = &buf, .err = &err};
    l2_cbor_put_str(&o, "rating");
    l2_cbor_put_str(&o, text);
    assert_int_equal(o.rc, L2_OK);
    s->rec.has_meta = true;
    s->rec.meta.data = (const uint8_t *)l2_arena_strdup(&s->rec.arena, buf.data, buf.len, &err);
    s->rec.meta.len = buf.len;
    s->rec.meta.n = 1;
    l2_buf_release(&buf);
}

static void test_pairs(void **state)
{
    struct stream_file s;
    struct l2_data_opts o = text_opts();
    struct l2_data_batch b;
    struct l2_data_counts counts;
    (void)state;
    stream_begin(&s);
    put_prompt(&s, 0, 10, 2);
    struct l2_completion *c = put_answer(&s, 20, 4);
    c->tokens.v[3] = 99; /* 20 21 22 99 against 20 21 22 23 24 */
    (void)put_answer(&s, 20, 5);
    rate(&s, "slightly_better");
    put(&s, false);
    put_prompt(&s, 1, 10, 1);
    (void)put_answer(&s, 20, 2); /* begins the other */
    (void)put_answer(&s, 20, 3);
    s.rec.has_margin = true;
    s.rec.margin = 0.5f;
    rate(&s, "significantly better");
    put(&s, false);
    put_prompt(&s, 2, 10, 1); /* equal */
    (void)put_answer(&s, 20, 2);
    (void)put_answer(&s, 20, 2);
    put(&s, false);
    put_prompt(&s, 3, 10, 1); /* one */
    (void)put_answer(&s, 20, 2);
    put(&s, false);
    put_prompt(&s, 4, 10, 1); /* empty */
    (void)put_answer(&s, 20, 2);
    (void)put_answer(&s, 20, 0);
    put(&s, false);
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
    assert_int_equal(l2_data_next(d, &b, &err), L2_END);
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
    struct l2_data_opts o = text_opts();
    struct l2_data_batch b;
    struct l2_data_counts counts;
    (void)state;
    stream_begin(&s);
    put_prompt(&s, 0, 10, 11);
    (void)put_answer(&s, 50, 6);
    (void)put_answer(&s, 70, 2);
    put(&s, false);
    put_prompt(&s, 1, 10, 3); /* answers that only differ beyond the context */
    (void)put_answer(&s, 50, 30);
    (void)put_answer(&s, 50, 31);
    put(&s, false);
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
    assert_int_equal(l2_data_next(d, &b, &err), L2_END);
    l2_data_get_counts(d, &counts);
    assert_int_equal(counts.dropped_equal, 1);
    l2_data_free(d);
    o.epochs = 0; /* would never end where nothing can be used */
    o.overlong = L2_DATA_OVERLONG_DROP;
    o.context = 8;
    d = open_one(fd, &o);
    assert_int_equal(l2_data_next(d, &b, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "overlong"));
    l2_data_free(d);
    close(fd);
}

/* ---- input that is not a good file ---- */

static void test_pipe(void **state)
{
    uint64_t total;
    int fd = texts(100, 100, &total), fds[2];
    struct l2_data_opts o = text_opts();
    uint8_t bytes[65536];
    (void)state;
    ssize_t n = read(fd, bytes, sizeof bytes);
    assert_true(n > 0 && n < 60000);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], bytes, (size_t)n), n);
    close(fds[1]);
    o.epochs = 2;
    struct l2_data *a = open_one(fd, &o), *b = open_one(fds[0], &o);
    assert_true(l2_data_input_info(b, 0).spooled && !l2_data_input_info(a, 0).spooled);
    struct l2_ids ia = read_all(a, &o), ib = read_all(b, &o);
    assert_true(equal(&ia, &ib));
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
    int fd = texts(100, 40, &total);
    struct l2_data_opts o = text_opts(), partial = text_opts();
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
        int rc = l2_data_new(&d, &o, &in, 1, &err);
        if (rc == L2_OK)
            l2_data_free(d);
        else
            assert_true(strcmp(err.file, "in") == 0 && err.offset >= 0);
        assert_int_equal(pwrite(fd, bytes + i, 1, i), 1);
    }
    d = open_one(fd, &o);
    byte = bytes[size / 2] ^ 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, size / 2), 1);
    struct l2_data_batch b;
    int rc;
    while ((rc = l2_data_next(d, &b, &err)) == L2_OK)
        ;
    assert_int_equal(rc, L2_CORRUPT);
    assert_non_null(strstr(err.text, "changed"));
    l2_data_free(d);
    for (ssize_t n = size - 1; n >= 0; n -= 7) {
        assert_int_equal(ftruncate(fd, n), 0);
        rc = l2_data_new(&d, &o, &in, 1, &err);
        assert_true(rc == L2_TRUNCATED || rc == L2_CORRUPT);
        assert_string_equal(err.file, "in");
        rc = l2_data_new(&d, &partial, &in, 1, &err);
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
    struct l2_data_opts o = text_opts();
    struct l2_data_input in = {.name = "in"};
    struct l2_data *d;
    (void)state;
    stream_begin(&s);
    put_prompt(&s, 3, 10, 2);
    (void)put_answer(&s, 20, 2);
    rate(&s, "much better");
    put(&s, true);
    in.fd = stream_finish(&s);
    o.vocab_size = 21;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "record 3: token 21"));
    o.vocab_size = 100;
    o.kind = L2_DATA_PAIRS;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &err), L2_FORMAT);
    assert_non_null(strstr(err.text, "rating"));
    close(in.fd);
    stream_begin(&s);
    l2_record_reset(&s.rec);
    s.rec.id.number = 4;
    struct l2_completion *c = l2_record_add_completion(&s.rec, &err);
    assert_non_null(c);
    assert_int_equal(l2_record_str(&s.rec, "text", 4, &c->text, &err), L2_OK);
    put(&s, true);
    in.fd = stream_finish(&s);
    o.kind = L2_DATA_TEXT;
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &err), L2_FORMAT);
    assert_non_null(strstr(err.text, "no token ids"));
    close(in.fd);
    stream_begin(&s);
    in.fd = stream_finish(&s);
    assert_int_equal(l2_data_new(&d, &o, &in, 1, &err), L2_ARGUMENT);
    close(in.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage),         cmocka_unit_test(test_cut),
        cmocka_unit_test(test_orders),           cmocka_unit_test(test_resume),
        cmocka_unit_test(test_bad_positions),    cmocka_unit_test(test_weights),
        cmocka_unit_test(test_held_out),         cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_spans),     cmocka_unit_test(test_overlong_answers),
        cmocka_unit_test(test_answers_coverage), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_pairs_overlong),   cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_damage),           cmocka_unit_test(test_unfit_records),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
