/* Filling in and printing struct l2_err. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

L2_PRINTF(4, 0)
static void put(struct l2_err *err, enum l2_code code, const char *file, const char *fmt,
                va_list ap)
{
    err->code = code;
    err->sys_errno = 0;
    err->offset = -1;
    err->line = 0;
    err->column = 0;
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    vsnprintf(err->text, sizeof err->text, fmt, ap);
}

int l2_err_set(struct l2_err *err, enum l2_code code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, code, NULL, fmt, ap);
        va_end(ap);
    }
    return code;
}

int l2_err_sys(struct l2_err *err, int sys_errno, const char *file, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, L2_SYSTEM, file, fmt, ap);
        va_end(ap);
        err->sys_errno = sys_errno;
    }
    return L2_SYSTEM;
}

int l2_err_at(struct l2_err *err, enum l2_code code, const char *file, int64_t offset,
              const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, code, file, fmt, ap);
        va_end(ap);
        err->offset = offset;
    }
    return code;
}

int l2_err_at_line(struct l2_err *err, enum l2_code code, const char *file, int64_t line,
                   int64_t column, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        put(err, code, file, fmt, ap);
        va_end(ap);
        err->line = line;
        err->column = column;
    }
    return code;
}

int l2_err_memory(struct l2_err *err, size_t size)
{
    return l2_err_set(err, L2_MEMORY, "out of memory: could not allocate %zu bytes", size);
}

int l2_err_in_file(struct l2_err *err, const char *file)
{
    if (err->file[0] == '\0')
        snprintf(err->file, sizeof err->file, "%s", file);
    return err->code;
}

void l2_err_format(const struct l2_err *err, char *out, size_t out_size)
{
    char where[64] = "";
    if (err->line > 0 && err->column > 0)
        snprintf(where, sizeof where, "%lld:%lld: ", (long long)err->line, (long long)err->column);
    else if (err->line > 0)
        snprintf(where, sizeof where, "%lld: ", (long long)err->line);
    else if (err->offset >= 0)
        snprintf(where, sizeof where, "byte %lld: ", (long long)err->offset);

    /* file:line:column has no space before the line, as compilers print it */
    const char *separator = err->line > 0 ? ":" : ": ";
    snprintf(out, out_size, "%s%s%s%s%s%s", err->file, err->file[0] ? separator : "", where,
             err->text, err->sys_errno ? ": " : "", err->sys_errno ? strerror(err->sys_errno) : "");
}
