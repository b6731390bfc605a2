/* Unit tests of streams: segments, frames, limits, damage, reading without waiting. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "stream/frame.h"
#include "stream_samples.h"

static size_t count_lines(const struct l2_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->len; i++)
        n += b->data[i] == '\n';
    return n;
}

static void test_segments(void **state)
{
    struct l2_buf one = {0}, two = {0}, text = {0};
    struct l2_err err;
    (void)state;
    put_segment(&one, 2);
    assert_int_equal(dump(&one, &text, &err), L2_END);
    assert_int_equal(count_lines(&text), 5);
    /* `cat a b` is a stream */
    assert_int_equal(l2_buf_append(&two, one.data, one.len, NULL), L2_OK);
    assert_int_equal(l2_buf_append(&two, one.data, one.len, NULL), L2_OK);
    text.len = 0;
    assert_int_equal(dump(&two, &text, &err), L2_END);
    assert_int_equal(count_lines(&text), 10);
    assert_memory_equal(text.data, text.data + text.len / 2, text.len / 2);
    l2_buf_release(&one);
    l2_buf_release(&two);
    l2_buf_release(&text);
}

/* A cut stream is truncated, unless it is cut behind a segment's END. */
static void test_prefixes(void **state)
{
    struct l2_buf one = {0}, two = {0};
    struct l2_err err;
    (void)state;
    put_segment(&one, 1);
    assert_int_equal(l2_buf_append(&two, one.data, one.len, NULL), L2_OK);
    assert_int_equal(l2_buf_append(&two, one.data, one.len, NULL), L2_OK);
    for (size_t n = 0; n <= two.len; n++) {
        struct l2_buf cut = {two.data, n, n};
        int want = n > 0 && n % one.len == 0 ? L2_END : L2_TRUNCATED;
        int got = dump(&cut, NULL, &err);
        if (got != want)
            fail_msg("%zu of %zu bytes: want %d, got %d: %s", n, two.len, want, got, err.text);
        if (got < 0)
            assert_string_equal(err.file, "test");
    }
    l2_buf_release(&one);
    l2_buf_release(&two);
}

/* A changed byte gives an error, or identical content. */
static void test_flips(void **state)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x08, 0x40, 0x80, 0xff};
    struct l2_buf b = {0}, want = {0}, got = {0};
    struct l2_err err;
    (void)state;
    put_segment(&b, 2);
    assert_int_equal(dump(&b, &want, &err), L2_END);
    for (size_t i = 0; i < b.len; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            b.data[i] ^= masks[m];
            got.len = 0;
            int rc = dump(&b, &got, &err);
            if (rc == L2_END && (got.len != want.len || memcmp(got.data, want.data, got.len) != 0))
                fail_msg("byte %zu, mask %02x: other content, no error", i, masks[m]);
            if (rc != L2_END && rc != L2_CORRUPT && rc != L2_TRUNCATED && rc != L2_LIMIT &&
                !(rc == L2_FORMAT && i < 8))
                fail_msg("byte %zu, mask %02x: code %d: %s", i, masks[m], rc, err.text);
            b.data[i] ^= masks[m];
        }
    }
    l2_buf_release(&b);
    l2_buf_release(&want);
    l2_buf_release(&got);
}

/* ---- streams put together by hand ---- */

#define HEADER                                                                                     \
    "a4 656d61676963 636c3273 6776657273696f6e 01 6a766f636162756c617279 f6 67686973746f7279 80"
#define HEADER_2                                                                                   \
    "a4 656d61676963 636c3273 6776657273696f6e 02 6a766f636162756c617279 f6 67686973746f7279 80"
#define END_0  "a3 68636f6d706c657465 f5 677265636f726473 00 66746f6b656e73 00"
#define END_1  "a3 68636f6d706c657465 f5 677265636f726473 01 66746f6b656e73 00"
#define END_2  "a3 68636f6d706c657465 f5 677265636f726473 02 66746f6b656e73 00"
#define END_1T "a3 68636f6d706c657465 f5 677265636f726473 01 66746f6b656e73 01"
#define END_FAIL                                                                                   \
    "a4 68636f6d706c657465 f4 677265636f726473 01 66746f6b656e73 00 656572726f72 626f68"
#define RECORD "a1 626964 00"

static void put_hex_frame(struct l2_buf *out, const char *hex)
{
    struct l2_buf b = {0};
    bytes_from_hex(&b, hex);
    put_frame(out, b.data, b.len);
    l2_buf_release(&b);
}

static void test_order(void **state)
{
    static const struct {
        const char *frames[6];
        int code;
        const char *text; /* part of the message */
    } table[] = {
        {{HEADER, END_0}, L2_END, NULL},
        {{HEADER, RECORD, END_1}, L2_END, NULL},
        {{HEADER, RECORD RECORD, END_2}, L2_END, NULL},
        {{HEADER, RECORD, RECORD, END_2}, L2_END, NULL},
        {{HEADER, RECORD, END_FAIL}, L2_END, NULL},
        {{HEADER, END_0, HEADER, END_0}, L2_END, NULL},
        {{NULL}, L2_TRUNCATED, "empty"},
        {{HEADER}, L2_TRUNCATED, "without END"},
        {{HEADER, RECORD}, L2_TRUNCATED, "1 records without END"},
        {{HEADER, END_0, HEADER}, L2_TRUNCATED, "without END"},
        {{HEADER, RECORD, END_0}, L2_CORRUPT, "counts 0 records"},
        {{HEADER, RECORD, END_2}, L2_CORRUPT, "counts 2 records"},
        {{HEADER, RECORD, END_1T}, L2_CORRUPT, "with 1 tokens"},
        {{RECORD}, L2_CORRUPT, "before any header"},
        {{END_0}, L2_CORRUPT, "outside"},
        {{HEADER, END_0, RECORD}, L2_CORRUPT, "after END"},
        {{HEADER, END_0, END_0}, L2_CORRUPT, "outside"},
        {{HEADER, RECORD, HEADER}, L2_CORRUPT, "inside an open segment"},
        {{HEADER RECORD}, L2_CORRUPT, "not alone"},
        {{HEADER HEADER}, L2_CORRUPT, "not alone"},
        {{HEADER, RECORD END_1}, L2_CORRUPT, "not alone"},
        {{HEADER, END_0 RECORD}, L2_CORRUPT, "not alone"},
        {{HEADER, RECORD "a1", END_1},
         L2_CORRUPT,
         "runs past the end: 0 bytes are left (byte 5 of"},
        {{HEADER, "a1 617a 00"}, L2_CORRUPT, "want a map that begins with"},
        {{HEADER_2}, L2_UNSUPPORTED, "version 2"},
        {{HEADER, END_0, HEADER_2}, L2_UNSUPPORTED, "version 2"},
        {{"68656c6c6f20776f726c64"}, L2_FORMAT, "not an l2 stream"},
        {{"a0"}, L2_FORMAT, "not an l2 stream"},
    };
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct l2_buf b = {0};
        for (size_t k = 0; k < 6 && table[i].frames[k]; k++)
            put_hex_frame(&b, table[i].frames[k]);
        int rc = dump(&b, NULL, &err);
        if (rc != table[i].code || (rc < 0 && !strstr(err.text, table[i].text)))
            fail_msg("stream %zu: want %d, got %d: %s", i, table[i].code, rc, err.text);
        l2_buf_release(&b);
    }
}

static void test_foreign_input(void **state)
{
    static const char *const inputs[] = {"{\"id\":1}\n", "\x28\xb5\x2f", "(", "PK\x03\x04 zip",
                                         "\x1f\x8b\x08\x00 gzip"};
    static const int codes[] = {L2_FORMAT, L2_TRUNCATED, L2_TRUNCATED, L2_FORMAT, L2_FORMAT};
    struct l2_buf b = {0};
    struct l2_err err;
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        b.len = 0;
        assert_int_equal(l2_buf_append_str(&b, inputs[i], NULL), L2_OK);
        assert_int_equal(dump(&b, NULL, &err), codes[i]);
        assert_int_equal(err.offset, 0);
    }
    l2_buf_release(&b);
}

/* zstd frames that break a rule. */
static void put_odd_frame(struct l2_buf *out, const struct l2_buf *content, bool checksum,
                          bool has_size, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, has_size);
    if (window_log)
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
    assert_int_equal(l2_buf_reserve(out, ZSTD_compressBound(content->len), NULL), L2_OK);
    size_t n =
        ZSTD_compress2(c, out->data + out->len, out->cap - out->len, content->data, content->len);
    assert_false(ZSTD_isError(n));
    out->len += n;
    ZSTD_freeCCtx(c);
}

static void test_frame_rules(void **state)
{
    struct l2_buf record = {0}, b = {0};
    struct l2_err err;
    (void)state;
    bytes_from_hex(&record, RECORD);
    for (int i = 0; i < 2; i++) {
        b.len = 0;
        put_hex_frame(&b, HEADER);
        put_odd_frame(&b, &record, i == 1, i == 0, 0);
        put_hex_frame(&b, END_1);
        assert_int_equal(dump(&b, NULL, &err), L2_CORRUPT);
        assert_non_null(strstr(err.text, i == 0 ? "without a checksum" : "without its content's"));
    }
    /* an empty frame */
    b.len = 0;
    put_hex_frame(&b, HEADER);
    put_frame(&b, NULL, 0);
    put_hex_frame(&b, END_0);
    assert_int_equal(dump(&b, NULL, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "without content"));
    l2_buf_release(&record);
    l2_buf_release(&b);
}

/* A frame of one record with n ids, with any window. */
static int read_large(size_t n, int window_log, bool twice, struct l2_err *err)
{
    struct l2_record r;
    struct l2_buf content = {0}, b = {0};
    char end[128];
    l2_record_init(&r);
    plain_record(&r, 1, n, 3);
    assert_int_equal(l2_encode_record(&content, &r, NULL), L2_OK);
    if (twice)
        assert_int_equal(l2_encode_record(&content, &r, NULL), L2_OK);
    put_hex_frame(&b, HEADER);
    put_odd_frame(&b, &content, true, true, window_log);
    snprintf(end, sizeof end,
             "a3 68636f6d706c657465 f5 677265636f726473 %02x 66746f6b656e73 1a %08zx",
             twice ? 2 : 1, twice ? 2 * n : n);
    put_hex_frame(&b, end);
    int rc = dump(&b, NULL, err);
    l2_record_release(&r);
    l2_buf_release(&content);
    l2_buf_release(&b);
    return rc;
}

static void test_large_frames(void **state)
{
    struct l2_err err;
    (void)state;
    assert_int_equal(read_large(100000, 0, false, &err), L2_END);
    assert_int_equal(read_large(100000, 0, true, &err), L2_END);
    assert_int_equal(read_large(200000, 0, true, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "larger than 1 MiB"));
    assert_int_equal(read_large(300000, 0, false, &err), L2_END);
    assert_int_equal(read_large(4000000, 0, false, &err), L2_END);
    assert_int_equal(read_large(4000000, 23, false, &err), L2_END);
    assert_int_equal(read_large(4000000, 24, false, &err), L2_LIMIT);
    assert_non_null(strstr(err.text, "window"));
}

static void test_skippable(void **state)
{
    struct l2_buf b = {0}, text = {0};
    struct l2_err err;
    (void)state;
    bytes_from_hex(&b, "502a4d18 00000000");
    assert_int_equal(dump(&b, NULL, &err), L2_TRUNCATED);
    put_hex_frame(&b, HEADER);
    bytes_from_hex(&b, "5f2a4d18 03000000 ffffff");
    put_hex_frame(&b, END_0);
    bytes_from_hex(&b, "572a4d18 04000000 28b52ffd");
    assert_int_equal(dump(&b, &text, &err), L2_END);
    assert_int_equal(count_lines(&text), 2);
    b.len--;
    assert_int_equal(dump(&b, NULL, &err), L2_TRUNCATED);
    /* much longer than what is there */
    b.len = 0;
    put_hex_frame(&b, HEADER);
    bytes_from_hex(&b, "5f2a4d18 ffffffff 00");
    assert_int_equal(dump(&b, NULL, &err), L2_TRUNCATED);
    l2_buf_release(&b);
    l2_buf_release(&text);
}

/* A frame of RLE blocks that are empty, without end: refused, not gathered for ever. */
static void test_endless_frame(void **state)
{
    struct l2_buf b = {0};
    struct l2_err err;
    (void)state;
    put_hex_frame(&b, HEADER);
    bytes_from_hex(&b, "28b52ffd 24 05"); /* single segment, checksum, 5 bytes */
    for (int i = 0; i < 50000; i++)
        bytes_from_hex(&b, "000000"); /* a raw block of 0 bytes, not the last */
    assert_int_equal(dump(&b, NULL, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "too long"));
    l2_buf_release(&b);
}

static void test_max_record(void **state)
{
    struct l2_stream_limits limits = {.max_record = 1000};
    struct l2_buf b = {0};
    struct l2_reader *r;
    struct l2_writer *w;
    struct l2_header h;
    struct l2_record rec;
    struct l2_err err;
    enum l2_item item;
    int fd = file_of(NULL, 0);
    (void)state;
    l2_header_init(&h);
    l2_record_init(&rec);
    assert_int_equal(l2_writer_new(&w, fd, "out", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    plain_record(&rec, 1, 200, 1);
    assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
    plain_record(&rec, 2, 300, 1);
    l2_writer_set_max_record(w, 1000);
    assert_int_equal(l2_writer_record(w, &rec, &err), L2_LIMIT);
    l2_writer_set_max_record(w, 10000);
    assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
    assert_int_equal(l2_writer_end(w, true, NULL, &err), L2_OK);
    assert_int_equal(l2_writer_records(w), 2);
    l2_writer_free(w);

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(l2_reader_new(&r, fd, "in", &limits, &err), L2_OK);
    assert_int_equal(l2_reader_next(r, true, &item, &rec, &err), L2_OK);
    assert_int_equal(l2_reader_next(r, true, &item, &rec, &err), L2_OK);
    assert_int_equal(l2_reader_next(r, true, &item, &rec, &err), L2_LIMIT);
    assert_int_equal(l2_reader_next(r, true, &item, &rec, &err), L2_LIMIT); /* and so it stays */
    l2_reader_free(r);
    close(fd);
    l2_record_release(&rec);
    l2_header_release(&h);
    l2_buf_release(&b);
}

/* Token ids are checked on both sides. */
static void test_vocabulary(void **state)
{
    struct l2_header h;
    struct l2_record rec;
    struct l2_writer *w;
    struct l2_err err;
    struct l2_buf item = {0}, b = {0};
    int fd = file_of(NULL, 0);
    (void)state;
    l2_header_init(&h);
    l2_record_init(&rec);
    sample_header(&h);
    assert_int_equal(l2_writer_new(&w, fd, "out", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    plain_record(&rec, 5, 3, 32000);
    assert_int_equal(l2_writer_record(w, &rec, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "record 5: token 32000"));
    plain_record(&rec, 5, 3, 31999);
    assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
    l2_writer_free(w);
    close(fd);

    assert_int_equal(l2_encode_header(&item, &h, &err), L2_OK);
    put_frame(&b, item.data, item.len);
    plain_record(&rec, 6, 3, UINT32_MAX);
    item.len = 0;
    assert_int_equal(l2_encode_record(&item, &rec, &err), L2_OK);
    put_frame(&b, item.data, item.len);
    assert_int_equal(dump(&b, NULL, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "record 6: token 4294967295"));
    l2_buf_release(&item);
    l2_buf_release(&b);
    l2_record_release(&rec);
    l2_header_release(&h);
}

/* Frames of the writer: none above 1 MiB but those of one record, no record split. */
static void test_frame_sizes(void **state)
{
    struct l2_header h;
    struct l2_record rec;
    struct l2_writer *w;
    struct l2_err err;
    struct l2_buf b = {0};
    int fd = file_of(NULL, 0), large = 0, frames = 0;
    (void)state;
    l2_header_init(&h);
    l2_record_init(&rec);
    assert_int_equal(l2_writer_new(&w, fd, "out", -5, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    assert_int_equal(l2_writer_due(w), -1);
    for (int i = 0; i < 100; i++) {
        plain_record(&rec, i, i % 30 == 29 ? 400000 : 30000, 1);
        assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
        assert_true(l2_writer_due(w) <= 50);
    }
    assert_int_equal(l2_writer_end(w, true, NULL, &err), L2_OK);
    l2_writer_free(w);
    slurp(fd, &b);
    for (size_t pos = 0; pos < b.len; frames++) {
        struct l2_frame f;
        assert_int_equal(l2_frame_parse(b.data + pos, b.len - pos, &f), L2_OK);
        assert_true(f.has_checksum && f.has_content && f.window <= 8 << 20);
        large += f.content > 1 << 20;
        pos += ZSTD_findFrameCompressedSize(b.data + pos, b.len - pos);
    }
    assert_int_equal(large, 3);
    assert_in_range(frames, 15, 30);
    assert_int_equal(dump(&b, NULL, &err), L2_END);
    l2_buf_release(&b);
    l2_record_release(&rec);
    l2_header_release(&h);
    close(fd);
}

/* A history too long for a header is refused when it is written. */
static void test_long_history(void **state)
{
    struct l2_header h;
    struct l2_writer *w;
    struct l2_err err;
    int fd = file_of(NULL, 0);
    char *argument = malloc(1 << 20);
    (void)state;
    assert_non_null(argument);
    memset(argument, 'x', (1 << 20) - 1);
    argument[(1 << 20) - 1] = '\0';
    const struct l2_history_entry entry = {
        .program = "p", .version = "1", .arguments = &argument, .n_arguments = 1};
    l2_header_init(&h);
    assert_int_equal(l2_header_add_history(&h, &entry, &err), L2_OK);
    assert_int_equal(l2_writer_new(&w, fd, "out", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_LIMIT);
    l2_writer_free(w);
    l2_header_release(&h);
    free(argument);
    close(fd);
}

/* Bytes arrive one by one: nothing is delivered before its frame is whole, and nothing waits. */
static void test_no_wait(void **state)
{
    struct l2_buf b = {0};
    struct l2_reader *r;
    struct l2_record rec;
    struct l2_err err;
    enum l2_item item;
    int fds[2], items = 0;
    (void)state;
    put_segment(&b, 2);
    assert_int_equal(pipe(fds), 0);
    l2_record_init(&rec);
    assert_int_equal(l2_reader_new(&r, fds[0], "pipe", NULL, &err), L2_OK);
    assert_int_equal(l2_reader_next(r, false, &item, &rec, &err), L2_AGAIN);
    for (size_t i = 0; i < b.len; i++) {
        assert_int_equal(write(fds[1], b.data + i, 1), 1);
        int rc = l2_reader_next(r, false, &item, &rec, &err);
        assert_true(rc == L2_OK || rc == L2_AGAIN);
        items += rc == L2_OK;
    }
    assert_int_equal(items, 5);
    assert_int_equal(item, L2_ITEM_END);
    assert_int_equal(l2_reader_next(r, false, &item, &rec, &err), L2_AGAIN);
    close(fds[1]);
    assert_int_equal(l2_reader_next(r, false, &item, &rec, &err), L2_END);
    assert_int_equal(l2_reader_offset(r), b.len);
    l2_reader_free(r);
    close(fds[0]);
    l2_record_release(&rec);
    l2_buf_release(&b);
}

static void test_end_with_error(void **state)
{
    struct l2_header h;
    struct l2_writer *w;
    struct l2_err err;
    struct l2_buf b = {0}, text = {0};
    int fd = file_of(NULL, 0);
    (void)state;
    l2_header_init(&h);
    assert_int_equal(l2_writer_new(&w, fd, "out", 22, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    assert_int_equal(l2_writer_end(w, false, "cannot read: \xff", &err), L2_OK);
    l2_writer_free(w);
    slurp(fd, &b);
    assert_int_equal(dump(&b, &text, &err), L2_END);
    assert_int_equal(l2_buf_append_byte(&text, 0, NULL), L2_OK);
    assert_non_null(
        strstr((char *)text.data,
               "{\"complete\":false,\"records\":0,\"tokens\":0,\"error\":\"cannot read: ?\"}"));
    assert_int_equal(l2_writer_new(&w, fd, "out", 23, &err), L2_ARGUMENT);
    assert_null(w);
    l2_buf_release(&b);
    l2_buf_release(&text);
    l2_header_release(&h);
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),       cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_flips),          cmocka_unit_test(test_order),
        cmocka_unit_test(test_foreign_input),  cmocka_unit_test(test_frame_rules),
        cmocka_unit_test(test_large_frames),   cmocka_unit_test(test_skippable),
        cmocka_unit_test(test_endless_frame),  cmocka_unit_test(test_max_record),
        cmocka_unit_test(test_vocabulary),     cmocka_unit_test(test_frame_sizes),
        cmocka_unit_test(test_long_history),   cmocka_unit_test(test_no_wait),
        cmocka_unit_test(test_end_with_error),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
