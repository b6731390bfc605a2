/* Buffered input that can be asked not to wait. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/input.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)

void l2_input_init(struct l2_input *in, int fd, const char *name)
{
    *in = (struct l2_input){.fd = fd, .name = name};
}

void l2_input_release(struct l2_input *in)
{
    l2_buf_release(&in->buf);
}

/* Waits until read() will not block: L2_OK, or L2_AGAIN with wait false. While waiting, pending
 * output is flushed when it is due. */
static int wait_readable(struct l2_input *in, bool wait, struct l2_err *err)
{
    struct pollfd pfd = {.fd = in->fd, .events = POLLIN};
    for (;;) {
        int due = in->idle ? in->idle->due(in->idle->arg) : -1;
        if (due == 0) {
            int r = in->idle->flush(in->idle->arg, err);
            if (r != L2_OK)
                return r;
            due = -1;
        }
        int n = poll(&pfd, 1, wait ? due : 0);
        if (n > 0)
            return L2_OK; /* readable, or at its end or in error: read() tells */
        if (n < 0 && errno != EINTR)
            return l2_err_sys(err, errno, in->name, "cannot poll");
        if (n == 0 && !wait)
            return L2_AGAIN;
    }
}

const uint8_t *l2_input_bytes(const struct l2_input *in, size_t *n)
{
    *n = in->buf.len - in->start;
    return *n > 0 ? in->buf.data + in->start : (const uint8_t *)"";
}

int l2_input_fill(struct l2_input *in, bool wait, struct l2_err *err)
{
    if (in->at_end)
        return L2_END;
    if (!wait || in->idle) {
        int r = wait_readable(in, wait, err);
        if (r != L2_OK)
            return r;
    }
    l2_buf_consume(&in->buf, in->start);
    in->start = 0;
    int r = l2_buf_reserve(&in->buf, CHUNK, err);
    if (r != L2_OK)
        return r;
    ssize_t n;
    do
        n = read(in->fd, in->buf.data + in->buf.len, in->buf.cap - in->buf.len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return l2_err_sys(err, errno, in->name, "cannot read");
    if (n == 0) {
        in->at_end = true;
        return L2_END;
    }
    in->buf.len += (size_t)n;
    return L2_OK;
}

void l2_input_consume(struct l2_input *in, size_t n)
{
    in->start += n;
    in->offset += (int64_t)n;
}

int l2_input_line(struct l2_input *in, bool wait, size_t max, const char **line, size_t *len,
                  bool *terminated, struct l2_err *err)
{
    size_t searched = 0;
    for (;;) {
        size_t n;
        const uint8_t *bytes = l2_input_bytes(in, &n);
        const uint8_t *newline = memchr(bytes + searched, '\n', n - searched);
        size_t length = newline ? (size_t)(newline - bytes) : n;
        if (length > max)
            return l2_err_at(err, L2_LIMIT, in->name, in->offset,
                             "line too long: want at most %zu bytes", max);
        if (newline || (in->at_end && n > 0)) {
            *line = (const char *)bytes;
            *len = length;
            *terminated = newline != NULL;
            l2_input_consume(in, length + (newline ? 1 : 0));
            return L2_OK;
        }
        searched = n;
        int r = l2_input_fill(in, wait, err);
        if (r != L2_OK && !(r == L2_END && n > 0))
            return r;
    }
}

bool l2_line_is_blank(const char *line, size_t n)
{
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
        n--;
    return n == 0;
}
