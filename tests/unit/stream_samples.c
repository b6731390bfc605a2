/* Records, streams and files that the tests of streams share. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "stream/json.h"
#include "stream_samples.h"

static struct l2_str str(struct l2_record *r, const char *s)
{
    struct l2_str out;
    assert_int_equal(l2_record_str(r, s, strlen(s), &out, NULL), L2_OK);
    return out;
}

static struct l2_u32s ids(struct l2_record *r, size_t n, const uint32_t *v)
{
    uint32_t *copy = l2_arena_grow(&r->arena, v, n, n, sizeof *v, NULL);
    assert_non_null(copy);
    return (struct l2_u32s){copy, n};
}

static struct l2_f32s floats(struct l2_record *r, size_t n, float first)
{
    float *v = l2_arena_alloc(&r->arena, n, sizeof *v, NULL);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = first / (float)(i + 3);
    return (struct l2_f32s){v, n};
}

/* Pairs given in hexadecimal. */
static struct l2_fields fields(struct l2_arena *a, size_t n, const char *hex)
{
    struct l2_buf b = {0};
    bytes_from_hex(&b, hex);
    uint8_t *v = l2_arena_grow(a, b.data, b.len, b.len, 1, NULL);
    assert_non_null(v);
    struct l2_fields f = {v, b.len, n};
    l2_buf_release(&b);
    return f;
}

static void first_completion(struct l2_record *r)
{
    struct l2_completion *c = l2_record_add_completion(r, NULL);
    assert_non_null(c);
    c->tokens = ids(r, 4, (const uint32_t[]){31999, 0, 7, 2});
    for (int i = 0; i < L2_N_SERIES; i++)
        c->series[i] = floats(r, 4, i % 2 ? 1.0f : -0.1f);
    c->finish = L2_FINISH_EOS;
    assert_int_equal(l2_record_set_score(r, c, "helpful", -0.1, NULL), L2_OK);
    assert_int_equal(l2_record_set_score(r, c,
                                         "s\xc3\xa4"
                                         "fe",
                                         1e300, NULL),
                     L2_OK);
    c->has_labels = true;
    c->labels = fields(&r->arena, 1, "6473616665 f5"); /* "safe": true */
    c->gen = (struct l2_gen){true, true, true, true, true, 3, UINT64_MAX, 0.7, {0}, INT64_MIN, {0}};
    c->gen.model = str(r, "chat");
    c->gen.other = fields(&r->arena, 1, "6178 f6"); /* "x": null */
    c->embedding = floats(r, 6, 2.5f);
    c->embedding_rows = 2;
    c->spans = ids(r, 2, (const uint32_t[]){1, 4});
    c->text = str(r, "line\nand \"quotes\" \\ \x01 \xf0\x9f\x98\x80");
    /* "b": h'00ff', "u": 2^64-1, "n": -2^64, "nan": f16 NaN, "t": tag 1 (0) */
    c->other = fields(&r->arena, 5,
                      "6162 4200ff 6175 1bffffffffffffffff 616e 3bffffffffffffffff"
                      "636e616e f97e00 6174 c100");
}

void sample_record(struct l2_record *r)
{
    l2_record_reset(r);
    r->id.is_text = true;
    r->id.text = str(r, "row 1");
    r->prompt = ids(r, 3, (const uint32_t[]){1, 29871, 31000});
    r->messages = l2_arena_alloc(&r->arena, 2, sizeof *r->messages, NULL);
    assert_non_null(r->messages);
    r->messages[0] = (struct l2_message){str(r, "user"), str(r, "Hi"), {0}};
    r->messages[1] = (struct l2_message){str(r, "assistant"), str(r, ""),
                                         fields(&r->arena, 1, "646e616d65 6142")};
    r->n_messages = 2;
    first_completion(r);
    struct l2_completion *c = l2_record_add_completion(r, NULL);
    assert_non_null(c);
    c->tokens = ids(r, 0, NULL);
    c->series[L2_LOGPROBS] = floats(r, 0, 0);
    c->finish = L2_FINISH_STOP;
    c->embedding = floats(r, 3, -1.0f);
    r->spans = ids(r, 4, (const uint32_t[]){0, 1, 1, 3});
    r->has_margin = true;
    r->margin = -0.0f;
    r->shape = str(r, "chosen+rejected");
    r->has_meta = true;
    /* "big": 2^63-1, "list": [1.5, [], {}], "$cbor": "00", "e": {"$cbor": 1} */
    r->meta = fields(&r->arena, 4,
                     "63626967 1b7fffffffffffffff 646c697374 83fb3ff800000000000080a0"
                     "652463626f72 623030 6165 a1652463626f7201");
    r->embedding = floats(r, 3, 1e-30f);
    r->embedding_rows = 3;
    r->other = fields(&r->arena, 2, "6161 01 6162 f7"); /* "a": 1, "b": undefined */
}

void sample_header(struct l2_header *h)
{
    char *const arguments[] = {"-k", "16", "na\xefve.l2s"};
    l2_header_reset(h);
    h->has_vocab = true;
    h->vocab_size = 32000;
    for (size_t i = 0; i < sizeof h->vocab_hash; i++)
        h->vocab_hash[i] = (uint8_t)(i * 37);
    const struct l2_history_entry entries[] = {{.program = "l2-tokenize", .version = "0.1"},
                                               {.program = "l2-generate",
                                                .version = "0.1",
                                                .arguments = arguments,
                                                .n_arguments = 3,
                                                .settings = "l2-generate:\n  completions: 16\n",
                                                .model = "0123abcd",
                                                .kernels = "native portable"}};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(l2_header_add_history(h, &entries[i], NULL), L2_OK);
    h->other = fields(&h->arena, 1, "646e6f7465 81f5");
}

static int digit(char ch)
{
    return ch <= '9' ? ch - '0' : ch - 'a' + 10;
}

void bytes_from_hex(struct l2_buf *out, const char *hex)
{
    for (const char *p = hex; *p;) {
        if (*p == ' ') {
            p++;
            continue;
        }
        assert_int_equal(l2_buf_append_byte(out, (uint8_t)(digit(p[0]) << 4 | digit(p[1])), NULL),
                         L2_OK);
        p += 2;
    }
}

int file_of(const void *data, size_t n)
{
    char name[] = "/tmp/l2-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, (const uint8_t *)data + done, n - done);
        assert_true(w > 0);
        done += (size_t)w;
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

void slurp(int fd, struct l2_buf *out)
{
    ssize_t n;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    do {
        assert_int_equal(l2_buf_reserve(out, 65536, NULL), L2_OK);
        n = read(fd, out->data + out->len, 65536);
        assert_true(n >= 0);
        out->len += (size_t)n;
    } while (n > 0);
}

void put_frame(struct l2_buf *out, const void *content, size_t n)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_non_null(c);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 1);
    assert_int_equal(l2_buf_reserve(out, ZSTD_compressBound(n), NULL), L2_OK);
    size_t size = ZSTD_compress2(c, out->data + out->len, out->cap - out->len, content, n);
    assert_false(ZSTD_isError(size));
    out->len += size;
    ZSTD_freeCCtx(c);
}

int dump(const struct l2_buf *data, struct l2_buf *out, struct l2_err *err)
{
    int fd = file_of(data->data, data->len);
    struct l2_reader *r;
    struct l2_record rec;
    struct l2_buf own = {0};
    enum l2_item item;
    int rc;
    if (!out)
        out = &own;
    l2_record_init(&rec);
    assert_int_equal(l2_reader_new(&r, fd, "test", NULL, err), L2_OK);
    while ((rc = l2_reader_next(r, true, &item, &rec, err)) == L2_OK) {
        if (item == L2_ITEM_HEADER)
            rc = l2_header_to_json(out, l2_reader_header(r), err);
        else if (item == L2_ITEM_END)
            rc = l2_stream_end_to_json(out, l2_reader_end_item(r), err);
        else
            rc = l2_record_to_json(out, &rec, err);
        assert_int_equal(rc, L2_OK);
        assert_int_equal(l2_buf_append_byte(out, '\n', NULL), L2_OK);
    }
    l2_reader_free(r);
    l2_record_release(&rec);
    l2_buf_release(&own);
    close(fd);
    return rc;
}

void plain_record(struct l2_record *r, int64_t id, size_t n, uint32_t token)
{
    l2_record_reset(r);
    r->id.number = id;
    r->prompt.v = l2_arena_alloc(&r->arena, n, sizeof *r->prompt.v, NULL);
    assert_non_null(r->prompt.v);
    r->prompt.n = n;
    for (size_t i = 0; i < n; i++)
        r->prompt.v[i] = token;
}

void put_segment(struct l2_buf *out, int n)
{
    struct l2_header h;
    struct l2_record r;
    struct l2_writer *w;
    struct l2_err err;
    int fd = file_of(NULL, 0);
    l2_header_init(&h);
    l2_record_init(&r);
    sample_header(&h);
    assert_int_equal(l2_writer_new(&w, fd, "out", 3, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    assert_true(l2_writer_in_segment(w));
    sample_record(&r);
    assert_int_equal(l2_writer_record(w, &r, &err), L2_OK);
    for (int i = 0; i < n; i++) {
        assert_int_equal(l2_writer_flush(w, &err), L2_OK);
        plain_record(&r, i, 5, 7);
        assert_int_equal(l2_writer_record(w, &r, &err), L2_OK);
    }
    assert_int_equal(l2_writer_end(w, true, NULL, &err), L2_OK);
    assert_false(l2_writer_in_segment(w));
    assert_int_equal(l2_writer_records(w), n + 1);
    assert_int_equal(l2_writer_tokens(w), 7 + 5 * n);
    slurp(fd, out);
    l2_writer_free(w);
    l2_record_release(&r);
    l2_header_release(&h);
    close(fd);
}
