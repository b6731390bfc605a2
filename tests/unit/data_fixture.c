/* Streams for training, and batches, that the tests of training data share. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stream/codec.h"

struct l2_err data_err;

struct l2_u32s data_ids(struct stream_file *s, uint32_t first, size_t n, bool bos)
{
    struct l2_u32s a = {l2_arena_alloc(&s->rec.arena, n + bos, sizeof *a.v, &data_err), n + bos};
    assert_non_null(a.v);
    if (bos)
        a.v[0] = BOS;
    for (size_t i = 0; i < n; i++)
        a.v[i + bos] = first + (uint32_t)i;
    return a;
}

void data_put_prompt(struct stream_file *s, int64_t id, uint32_t first, size_t n)
{
    l2_record_reset(&s->rec);
    s->rec.id.number = id;
    s->rec.prompt = data_ids(s, first, n, true);
}

struct l2_completion *data_put_answer(struct stream_file *s, uint32_t first, size_t n)
{
    struct l2_completion *c = l2_record_add_completion(&s->rec, &data_err);
    assert_non_null(c);
    c->tokens = data_ids(s, first, n, false);
    return c;
}

void data_put(struct stream_file *s, bool flush)
{
    assert_int_equal(l2_writer_record(s->w, &s->rec, &data_err), L2_OK);
    if (flush)
        assert_int_equal(l2_writer_flush(s->w, &data_err), L2_OK);
}

int data_texts(uint32_t first, size_t n, uint64_t *total)
{
    struct stream_file s;
    *total = 0;
    stream_begin(&s);
    for (size_t i = 0; i < n; i++) {
        size_t len = i * 7 % 37;
        data_put_prompt(&s, (int64_t)i, 0, 0);
        (void)data_put_answer(&s, first, len);
        data_put(&s, i % 5 == 4);
        first += (uint32_t)len;
        *total += len + 1;
    }
    return stream_finish(&s);
}

struct l2_data_opts data_text_opts(void)
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

struct l2_data *data_open_one(int fd, const struct l2_data_opts *o)
{
    struct l2_data_input in = {.fd = fd, .name = "in"};
    struct l2_data *d;
    int rc = l2_data_new(&d, o, &in, 1, &data_err);
    if (rc != L2_OK)
        fail_msg("%s: %s", data_err.file, data_err.text);
    return d;
}

void data_check_batch(const struct l2_data_opts *o, const struct l2_data_batch *b)
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

void data_digest_batch(struct l2_ids *to, const struct l2_data_batch *b)
{
    int rc = l2_ids_append_n(to, b->net.tokens, b->net.n_rows, &data_err);
    for (size_t i = 0; i < b->net.n_spans && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, &b->net.spans[i].first, 3, &data_err);
    for (size_t i = 0; i < b->n_targets && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, &b->targets[i].row, 2, &data_err);
    for (size_t i = 0; i < b->n_pairs && rc == L2_OK; i++)
        rc = l2_ids_append_n(to, b->pairs[i].rows, 2, &data_err);
    assert_int_equal(rc, L2_OK);
}

struct l2_ids data_read_all(struct l2_data *d, const struct l2_data_opts *o)
{
    struct l2_data_batch b;
    struct l2_ids all = {0};
    int rc;
    while ((rc = l2_data_next(d, &b, &data_err)) == L2_OK) {
        data_check_batch(o, &b);
        data_digest_batch(&all, &b);
    }
    assert_int_equal(rc, L2_END);
    return all;
}

bool data_equal(const struct l2_ids *a, const struct l2_ids *b)
{
    return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof *a->v) == 0;
}
void data_rate(struct stream_file *s, const char *text)
{
    struct l2_buf buf = {0};
    struct l2_cbor_out o = {.out = &buf, .err = &data_err};
    l2_cbor_put_str(&o, "rating");
    l2_cbor_put_str(&o, text);
    assert_int_equal(o.rc, L2_OK);
    s->rec.has_meta = true;
    s->rec.meta.data =
        (const uint8_t *)l2_arena_strdup(&s->rec.arena, buf.data, buf.len, &data_err);
    s->rec.meta.len = buf.len;
    s->rec.meta.n = 1;
    l2_buf_release(&buf);
}

void data_check_resume(const struct l2_data_opts *o, const struct l2_data_input *in, size_t n_in)
{
    struct l2_data *d, *from;
    struct l2_data_batch b;
    struct l2_buf saved = {0}, end = {0}, end2 = {0};
    struct l2_ids whole;
    size_t n_batches = 0;
    assert_int_equal(l2_data_new(&d, o, in, n_in, &data_err), L2_OK);
    whole = data_read_all(d, o);
    assert_int_equal(l2_data_save(d, &end, &data_err), L2_OK);
    l2_data_rewind(d);
    for (;;) {
        struct l2_ids parts = {0};
        struct l2_data_counts counts;
        l2_data_get_counts(d, &counts);
        n_batches = (size_t)counts.batches;
        saved.len = 0;
        assert_int_equal(l2_data_save(d, &saved, &data_err), L2_OK);
        assert_int_equal(l2_data_new(&from, o, in, n_in, &data_err), L2_OK);
        assert_int_equal(l2_data_restore(from, saved.data, saved.len, &data_err), L2_OK);
        struct l2_ids rest = data_read_all(from, o);
        assert_true(rest.n <= whole.n);
        assert_memory_equal(rest.v ? rest.v : whole.v, whole.v + whole.n - rest.n,
                            rest.n * sizeof *rest.v);
        end2.len = 0;
        assert_int_equal(l2_data_save(from, &end2, &data_err), L2_OK);
        assert_int_equal(end2.len, end.len);
        assert_memory_equal(end2.data, end.data, end.len);
        l2_ids_release(&rest);
        l2_data_free(from);
        int rc = l2_data_next(d, &b, &data_err);
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
