/* Unit tests of going on with an earlier output: what of it counts, wherever it was cut. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/resume.h"

static struct l2_err err;

static int temporary(void)
{
    char path[] = "/tmp/l2-resume-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

/* A record of this id and a prompt of one token. */
static void make(struct l2_record *rec, int64_t id, uint32_t token)
{
    l2_record_reset(rec);
    rec->id.number = id;
    rec->prompt.v = l2_arena_alloc(&rec->arena, 1, sizeof token, &err);
    assert_non_null(rec->prompt.v);
    rec->prompt.v[0] = token;
    rec->prompt.n = 1;
}

/* Writes segments of 20 records in frames of 4; ids go on over segments. complete: the last ends.
 */
static void write_stream(int fd, int segments, bool complete)
{
    struct l2_writer *w;
    struct l2_header h;
    struct l2_record rec;
    l2_header_init(&h);
    l2_record_init(&rec);
    assert_int_equal(l2_writer_new(&w, fd, "out", 1, &err), L2_OK);
    for (int s = 0; s < segments; s++) {
        assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
        for (int i = 0; i < 20; i++) {
            make(&rec, s * 20 + i, 7);
            assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
            if (i % 4 == 3)
                assert_int_equal(l2_writer_flush(w, &err), L2_OK);
        }
        if (s < segments - 1 || complete)
            assert_int_equal(l2_writer_end(w, true, NULL, &err), L2_OK);
    }
    l2_writer_free(w);
    l2_record_release(&rec);
    l2_header_release(&h);
}

static struct l2_resume *scan(int fd, bool by_prompt)
{
    struct l2_resume *r;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(l2_resume_scan(&r, fd, "out", by_prompt, NULL, &err), L2_OK);
    return r;
}

/* At every length: whole frames are kept, their records known, and what follows them is not. */
static void test_every_cut(void **state)
{
    struct l2_record rec;
    int fd = temporary();
    off_t size, last = -1;
    uint64_t most = 0;
    (void)state;
    l2_record_init(&rec);
    write_stream(fd, 2, true);
    size = lseek(fd, 0, SEEK_END);
    for (off_t n = size; n > 0; n--) {
        assert_int_equal(ftruncate(fd, n), 0);
        struct l2_resume *r = scan(fd, true);
        uint64_t records = l2_resume_records(r), offset = l2_resume_offset(r);
        const struct l2_resume_segment *second = l2_resume_segment(r, 1);
        assert_true(offset <= (uint64_t)n);
        assert_true(last < 0 || offset <= (uint64_t)last);
        assert_int_equal(records % 4, 0);
        if (n == size)
            assert_true(second->complete && offset == (uint64_t)n && records == 40);
        if (second) {
            assert_int_equal(records, 20 + second->records);
            assert_int_equal(second->tokens, second->records);
            for (int64_t i = 0; i < 20; i++) {
                make(&rec, 20 + i, 7);
                assert_true(l2_resume_take(r, &rec) == ((uint64_t)i < second->records));
                assert_false(l2_resume_take(r, &rec));
            }
            assert_int_equal(l2_resume_left(r), 0);
        }
        most = records > most ? records : most;
        last = (off_t)offset;
        l2_resume_free(r);
    }
    assert_int_equal(most, 40);
    l2_record_release(&rec);
    close(fd);
}

static void test_flips(void **state)
{
    int fd = temporary();
    uint8_t *copy;
    size_t size;
    (void)state;
    write_stream(fd, 2, false);
    size = (size_t)lseek(fd, 0, SEEK_END);
    copy = malloc(size);
    assert_non_null(copy);
    assert_int_equal(pread(fd, copy, size, 0), (ssize_t)size);
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct l2_resume *r;
            uint8_t flipped = copy[at] ^ (uint8_t)(1 << bit);
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
            assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
            int rc = l2_resume_scan(&r, fd, "out", true, NULL, &err);
            if (rc ==
                L2_OK) { /* nothing behind the flip is believed, but for bits without meaning */
                assert_true(l2_resume_offset(r) <= at || l2_resume_records(r) == 40);
                l2_resume_free(r);
            } else {
                assert_true(rc == L2_FORMAT || rc == L2_LIMIT || rc == L2_UNSUPPORTED);
            }
            assert_int_equal(pwrite(fd, &copy[at], 1, (off_t)at), 1);
        }
    free(copy);
    close(fd);
}

static void test_keys(void **state)
{
    struct l2_record rec;
    struct l2_header h;
    struct l2_writer *w;
    struct l2_resume *r;
    int fd = temporary();
    (void)state;
    l2_header_init(&h);
    l2_record_init(&rec);
    assert_int_equal(l2_writer_new(&w, fd, "out", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(w, &h, &err), L2_OK);
    for (uint32_t i = 0; i < 3000; i++) { /* each id three times, with prompts of two kinds */
        make(&rec, i % 1000, i / 1000 == 1);
        assert_int_equal(l2_writer_record(w, &rec, &err), L2_OK);
    }
    assert_int_equal(l2_writer_end(w, false, "cut off", &err), L2_OK);
    l2_writer_free(w);
    for (int by_prompt = 0; by_prompt < 2; by_prompt++) {
        r = scan(fd, by_prompt);
        assert_false(l2_resume_segment(r, 0)->complete);
        assert_null(l2_resume_segment(r, 1));
        assert_true(l2_resume_offset(r) < (uint64_t)lseek(fd, 0, SEEK_END)); /* END goes */
        for (int64_t id = 0; id < 1000; id++) {
            make(&rec, id, 1);
            assert_true(l2_resume_take(r, &rec));
            assert_true(l2_resume_take(r, &rec) == !by_prompt);
            make(&rec, id, 0);
            assert_true(l2_resume_take(r, &rec));
            assert_true(l2_resume_take(r, &rec) == by_prompt);
            assert_false(l2_resume_take(r, &rec));
        }
        make(&rec, 1000, 0);
        assert_false(l2_resume_take(r, &rec));
        l2_resume_free(r);
    }
    l2_record_release(&rec);
    l2_header_release(&h);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_keys),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
