/* Unit tests of --recover: what is found behind damage, wherever it is. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "stream/frame.h"
#include "stream_samples.h"

struct recovered {
    int headers, records, ends, failures;
    uint64_t skipped;
    char ids[64]; /* numbers of the plain records, "r" for the sample, "|" for headers */
};

static void recover_all(const struct l2_buf *b, struct recovered *out)
{
    struct l2_reader *r;
    struct l2_record rec;
    struct l2_err err;
    enum l2_item item;
    uint64_t skipped;
    int rc, fd = file_of(b->data, b->len);
    size_t n = 0;
    *out = (struct recovered){0};
    l2_record_init(&rec);
    assert_int_equal(l2_reader_new(&r, fd, "test", NULL, &err), L2_OK);
    while ((rc = l2_reader_next(r, true, &item, &rec, &err)) != L2_END) {
        assert_true(n < sizeof out->ids - 1);
        if (rc < 0) {
            out->failures++;
            assert_true(out->failures < 20);
            assert_true(l2_reader_recover(r, &skipped, &err) >= 0);
            out->skipped += skipped;
            continue;
        }
        out->headers += item == L2_ITEM_HEADER;
        out->records += item == L2_ITEM_RECORD;
        out->ends += item == L2_ITEM_END;
        if (item != L2_ITEM_END)
            out->ids[n++] = item == L2_ITEM_HEADER ? '|'
                            : rec.id.is_text       ? 'r'
                                                   : (char)('0' + rec.id.number);
    }
    l2_reader_free(r);
    l2_record_release(&rec);
    close(fd);
}

/* Where the frames of b begin; *n is their number. */
static void find_frames(const struct l2_buf *b, size_t *at, size_t *n)
{
    *n = 0;
    for (size_t pos = 0; pos < b->len;) {
        at[(*n)++] = pos;
        pos += ZSTD_findFrameCompressedSize(b->data + pos, b->len - pos);
    }
    at[*n] = b->len;
}

static void test_recover(void **state)
{
    struct l2_buf one = {0}, b = {0}, cut = {0};
    struct recovered got;
    size_t at[32], n;
    (void)state;
    put_segment(&one, 3); /* header, r, 0, 1, 2, END */
    for (int i = 0; i < 2; i++)
        assert_int_equal(l2_buf_append(&b, one.data, one.len, NULL), L2_OK);
    find_frames(&b, at, &n);
    assert_int_equal(n, 12);
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r012|r012");
    assert_int_equal(got.failures, 0);

    /* a byte of the checksum: that frame alone is lost */
    b.data[at[3] - 1] ^= 1;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r12|r012");
    assert_int_equal(got.failures, 1);
    assert_int_equal(got.skipped, at[3] - at[2]);
    assert_int_equal(got.ends, 2);
    /* two frames in a row: it is not known what else is lost, up to the next header */
    b.data[at[4] - 1] ^= 1;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r|r012");
    b.data[at[3] - 1] ^= 1;
    b.data[at[4] - 1] ^= 1;

    /* the magic of a frame: the boundary is lost, so the rest of the segment is */
    b.data[at[2]] ^= 0xff;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r|r012");
    assert_int_equal(got.skipped, at[6] - at[2]);
    b.data[at[2]] ^= 0xff;

    /* the first header, with all behind it; the second */
    b.data[at[1] - 1] ^= 1;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r012");
    b.data[at[1] - 1] ^= 1;
    b.data[at[7] - 1] ^= 1;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r012");
    b.data[at[7] - 1] ^= 1;

    /* the first END: the header behind it tells */
    b.data[at[6] - 1] ^= 1;
    recover_all(&b, &got);
    assert_string_equal(got.ids, "|r012|r012");
    assert_int_equal(got.ends, 1);
    b.data[at[6] - 1] ^= 1;

    /* a stage killed in mid-frame, and the next run's output behind it */
    assert_int_equal(l2_buf_append(&cut, b.data, at[4] + 5, NULL), L2_OK);
    recover_all(&cut, &got);
    assert_string_equal(got.ids, "|r01");
    assert_int_equal(l2_buf_append(&cut, one.data, one.len, NULL), L2_OK);
    recover_all(&cut, &got);
    assert_string_equal(got.ids, "|r01|r012");
    /* and killed between frames */
    cut.len = 0;
    assert_int_equal(l2_buf_append(&cut, b.data, at[4], NULL), L2_OK);
    assert_int_equal(l2_buf_append(&cut, one.data, one.len, NULL), L2_OK);
    recover_all(&cut, &got);
    assert_string_equal(got.ids, "|r01|r012");
    assert_int_equal(got.skipped, 0);

    /* rubbish before, between and after; only rubbish */
    cut.len = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(l2_buf_append_str(&cut, "(\xb5/\xfd rubbish (\xb5(\xb5/", NULL), L2_OK);
        assert_int_equal(l2_buf_append(&cut, one.data, one.len, NULL), L2_OK);
    }
    assert_int_equal(l2_buf_append_str(&cut, "(\xb5/\xfd", NULL), L2_OK);
    recover_all(&cut, &got);
    assert_string_equal(got.ids, "|r012|r012");
    cut.len = 0;
    assert_int_equal(l2_buf_append_str(&cut, "nothing here", NULL), L2_OK);
    recover_all(&cut, &got);
    assert_string_equal(got.ids, "");
    assert_int_equal(got.skipped, 12);
    l2_buf_release(&one);
    l2_buf_release(&b);
    l2_buf_release(&cut);
}

/* Recovery ends, whatever byte is damaged, and finds the second segment whenever the first is hit.
 */
static void test_recover_anywhere(void **state)
{
    struct l2_buf one = {0}, b = {0};
    struct recovered got;
    (void)state;
    put_segment(&one, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(l2_buf_append(&b, one.data, one.len, NULL), L2_OK);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x55;
        recover_all(&b, &got);
        assert_true(got.failures > 0);
        const char *second = strrchr(got.ids, '|');
        if (i < one.len && (!second || strcmp(second, "|r01") != 0))
            fail_msg("byte %zu: got '%s'", i, got.ids);
        b.data[i] ^= 0x55;
    }
    /* a stage killed anywhere, and another's output behind what it wrote */
    for (size_t i = 0; i < one.len; i++) {
        b.len = 0;
        assert_int_equal(l2_buf_append(&b, one.data, i, NULL), L2_OK);
        assert_int_equal(l2_buf_append(&b, one.data, one.len, NULL), L2_OK);
        recover_all(&b, &got);
        const char *second = strrchr(got.ids, '|');
        if (!second || strcmp(second, "|r01") != 0)
            fail_msg("cut after %zu bytes: got '%s'", i, got.ids);
    }
    l2_buf_release(&one);
    l2_buf_release(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recover),
        cmocka_unit_test(test_recover_anywhere),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
