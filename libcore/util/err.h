/* The error type that every fallible function of libcore fills in and passes up untouched. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ERR_H
#define L2_ERR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Results of fallible functions. Zero is success, positive values are events of readers that are
 * neither success nor failure, negative values are failures described by struct l2_err. */
enum l2_code {
    L2_OK = 0,
    L2_END = 1,          /* readers: clean end of input */
    L2_AGAIN = 2,        /* readers asked not to wait: nothing complete has arrived yet */
    L2_SYSTEM = -1,      /* a system call failed; sys_errno tells which way */
    L2_MEMORY = -2,      /* out of memory */
    L2_FORMAT = -3,      /* not the format that was expected at all */
    L2_UNSUPPORTED = -4, /* ours, but a feature or version that is not supported */
    L2_TRUNCATED = -5,   /* ends too early */
    L2_CORRUPT = -6,     /* ours, but its content contradicts itself or its checksum */
    L2_LIMIT = -7,       /* well formed, but larger than a limit set by the user or the program */
    L2_ARGUMENT = -8     /* the caller asked for something impossible */
};

/* What went wrong and where. Owned by the caller, usually on its stack; no part is allocated.
 * Meaningful only after a function returned a negative code. */
struct l2_err {
    enum l2_code code;
    int sys_errno;  /* errno where code is L2_SYSTEM, else 0 */
    int64_t offset; /* byte offset in file, or -1 */
    int64_t line;   /* line in file counted from 1, or 0; then offset is not shown */
    int64_t column; /* column counted from 1, or 0 */
    char file[256]; /* name of the file, or "" */
    char text[512]; /* the fact: lower case, expected against found, no full stop */
};

#define L2_MUST_CHECK   __attribute__((warn_unused_result))
#define L2_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Each l2_err_* sets err (which may be NULL) and returns its code, so that callers can write
 * `return l2_err_set(err, L2_LIMIT, ...)`. */
int l2_err_set(struct l2_err *err, enum l2_code code, const char *fmt, ...) L2_PRINTF(3, 4);

/* L2_SYSTEM with the errno value sys_errno; file may be NULL. */
int l2_err_sys(struct l2_err *err, int sys_errno, const char *file, const char *fmt, ...)
    L2_PRINTF(4, 5);

/* With a file (may be NULL) and a byte offset in it (-1: unknown). */
int l2_err_at(struct l2_err *err, enum l2_code code, const char *file, int64_t offset,
              const char *fmt, ...) L2_PRINTF(5, 6);

/* With a file (may be NULL) and line:column counted from 1 (column 0: unknown). */
int l2_err_at_line(struct l2_err *err, enum l2_code code, const char *file, int64_t line,
                   int64_t column, const char *fmt, ...) L2_PRINTF(6, 7);

/* L2_MEMORY for an allocation of size bytes. */
int l2_err_memory(struct l2_err *err, size_t size);

/* Names the file of an error that has none yet. Returns err->code. */
int l2_err_in_file(struct l2_err *err, const char *file);

/* Writes "file: byte N: text: strerror" (parts that are unknown left out) into out, always
 * NUL-terminated, cut where it does not fit. */
void l2_err_format(const struct l2_err *err, char *out, size_t out_size);

#endif
