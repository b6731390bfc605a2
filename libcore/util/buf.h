/* A growable byte buffer. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BUF_H
#define L2_BUF_H

#include "util/err.h"

/* Caller's storage; data is owned by the buffer. All zero is a valid empty buffer. */
struct l2_buf {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
};

void l2_buf_init(struct l2_buf *b);
void l2_buf_release(struct l2_buf *b); /* frees the contents, leaves an empty buffer */

/* Makes room for extra more bytes after len. Growth is geometric. */
int l2_buf_reserve(struct l2_buf *b, size_t extra, struct l2_err *err) L2_MUST_CHECK;
int l2_buf_append(struct l2_buf *b, const void *data, size_t n, struct l2_err *err) L2_MUST_CHECK;
int l2_buf_append_str(struct l2_buf *b, const char *s, struct l2_err *err) L2_MUST_CHECK;
int l2_buf_append_byte(struct l2_buf *b, uint8_t byte, struct l2_err *err) L2_MUST_CHECK;
int l2_buf_printf(struct l2_buf *b, struct l2_err *err, const char *fmt, ...)
    L2_PRINTF(3, 4) L2_MUST_CHECK;

/* Drops the first n bytes (n <= len). */
void l2_buf_consume(struct l2_buf *b, size_t n);

#endif
