/* A stream that a test writes into an unnamed file and reads again. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int unnamed_file(void)
{
    char path[] = "/tmp/l2-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

void stream_begin(struct stream_file *s)
{
    struct l2_err err;
    s->fd = unnamed_file();
    l2_header_init(&s->h);
    l2_record_init(&s->rec);
    assert_int_equal(l2_writer_new(&s->w, s->fd, "in", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(s->w, &s->h, &err), L2_OK);
}

int stream_finish(struct stream_file *s)
{
    struct l2_err err;
    assert_int_equal(l2_writer_end(s->w, true, NULL, &err), L2_OK);
    l2_writer_free(s->w);
    l2_header_release(&s->h);
    l2_record_release(&s->rec);
    assert_int_equal(lseek(s->fd, 0, SEEK_SET), 0);
    return s->fd;
}
