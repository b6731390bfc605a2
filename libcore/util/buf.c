/* A growable byte buffer. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

void l2_buf_init(struct l2_buf *b)
{
    *b = (struct l2_buf){0};
}

void l2_buf_release(struct l2_buf *b)
{
    free(b->data);
    *b = (struct l2_buf){0};
}

int l2_buf_reserve(struct l2_buf *b, size_t extra, struct l2_err *err)
{
    size_t need;
    if (extra <= b->cap - b->len)
        return L2_OK;
    if (!l2_add_size(b->len, extra, &need))
        return l2_err_memory(err, extra);
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        return l2_err_memory(err, cap);
    b->data = data;
    b->cap = cap;
    return L2_OK;
}

int l2_buf_append(struct l2_buf *b, const void *data, size_t n, struct l2_err *err)
{
    int r = l2_buf_reserve(b, n, err);
    if (r == L2_OK && n > 0) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
    return r;
}

int l2_buf_append_str(struct l2_buf *b, const char *s, struct l2_err *err)
{
    return l2_buf_append(b, s, strlen(s), err);
}

int l2_buf_append_byte(struct l2_buf *b, uint8_t byte, struct l2_err *err)
{
    return l2_buf_append(b, &byte, 1, err);
}

int l2_buf_printf(struct l2_buf *b, struct l2_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return l2_err_set(err, L2_ARGUMENT, "invalid format '%s'", fmt);
    int r = l2_buf_reserve(b, (size_t)n + 1, err); /* vsnprintf wants room for a NUL */
    if (r != L2_OK)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return L2_OK;
}

void l2_buf_consume(struct l2_buf *b, size_t n)
{
    b->len -= n;
    if (b->len > 0 && n > 0)
        memmove(b->data, b->data + n, b->len);
}
