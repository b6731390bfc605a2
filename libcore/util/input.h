/* Buffered input from a file descriptor that can be asked not to wait, and that lets pending output
 * be flushed while it waits. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_INPUT_H
#define L2_INPUT_H

#include <stdbool.h>
#include "util/buf.h"

/* What to do before waiting for input: due() returns the milliseconds (>= 0) until flush() must be
 * called, or -1 when nothing is pending. */
struct l2_idle {
    int (*due)(void *arg);
    int (*flush)(void *arg, struct l2_err *err);
    void *arg;
};

/* Caller's storage; fields are read through the functions below. fd is borrowed. */
struct l2_input {
    int fd;
    const char *name; /* borrowed, for messages */
    struct l2_buf buf;
    size_t start;   /* bytes at the front of buf that have been consumed */
    int64_t offset; /* of the first byte that has not been consumed */
    bool at_end;
    const struct l2_idle *idle; /* borrowed; may be NULL */
};

void l2_input_init(struct l2_input *in, int fd, const char *name);
void l2_input_release(struct l2_input *in);

/* The *n bytes read and not yet consumed; valid until the next fill. */
const uint8_t *l2_input_bytes(const struct l2_input *in, size_t *n);

/* Reads what is there, at least one byte more. L2_OK, L2_END at the end of the file, or,
 * with wait false, L2_AGAIN when reading would block. EINTR is retried. */
int l2_input_fill(struct l2_input *in, bool wait, struct l2_err *err) L2_MUST_CHECK;

void l2_input_consume(struct l2_input *in, size_t n);

/* The next line without its '\n' (a last line may have none); a '\r' before it stays. *line is
 * valid until the next call. A line longer than max bytes is L2_LIMIT. Else as fill. */
int l2_input_line(struct l2_input *in, bool wait, size_t max, const char **line, size_t *len,
                  bool *terminated, struct l2_err *err) L2_MUST_CHECK;

/* True where the line holds nothing but spaces, tabs and carriage returns. */
bool l2_line_is_blank(const char *line, size_t n);

#endif
