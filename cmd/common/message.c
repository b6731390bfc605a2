/* Messages on standard error. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/message.h"
#include "common/progress.h"
#include "util/num.h"
#include "util/utf8.h"

#define MESSAGE_SIZE 2048

void l2_message_name(const struct l2_cli *cli, char *out, size_t out_size)
{
    if (cli->subcommand)
        snprintf(out, out_size, "%s %s", cli->program->name, cli->subcommand->name);
    else
        snprintf(out, out_size, "%s", cli->program->name);
}

/* Replaces control characters (C0, DEL, C1) and bytes that are not UTF-8. */
static void make_printable(char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = l2_utf8_decode(s + i, n - i, &cp);
        if (len == 0) {
            s[i++] = '?';
            continue;
        }
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            memset(s + i, '?', len);
        i += len;
    }
}

void l2_message(struct l2_cli *cli, const char *text)
{
    char line[MESSAGE_SIZE], name[64];
    l2_progress_clear(cli);
    l2_message_name(cli, name, sizeof name);
    snprintf(line, sizeof line, "%s: %s", name, text);
    make_printable(line);
    fprintf(stderr, "%s\n", line);
}

static void set_status(struct l2_cli *cli, int status)
{
    if (status > cli->status)
        cli->status = status;
}

static void try_help(const struct l2_cli *cli)
{
    char name[64];
    l2_message_name(cli, name, sizeof name);
    fprintf(stderr, "Try '%s --help' for more information.\n", name);
}

int l2_cli_error(struct l2_cli *cli, const struct l2_err *err)
{
    char text[MESSAGE_SIZE];
    if (err->code == L2_SYSTEM && err->sys_errno == EPIPE) {
        cli->broken = true;
        return 0;
    }
    l2_err_format(err, text, sizeof text);
    l2_message(cli, text);
    int status = 1;
    if (err->code == L2_ARGUMENT && !err->file[0]) {
        try_help(cli);
        status = 2;
    }
    set_status(cli, status);
    return status;
}

static void vmessage(struct l2_cli *cli, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void vmessage(struct l2_cli *cli, const char *fmt, va_list ap)
{
    char text[MESSAGE_SIZE];
    vsnprintf(text, sizeof text, fmt, ap);
    l2_message(cli, text);
}

int l2_cli_usage(struct l2_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(cli, fmt, ap);
    va_end(ap);
    try_help(cli);
    set_status(cli, 2);
    return 2;
}

void l2_cli_note(struct l2_cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->verbosity < L2_NORMAL)
        return;
    va_start(ap, fmt);
    vmessage(cli, fmt, ap);
    va_end(ap);
}

void l2_cli_verbose(struct l2_cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->verbosity < L2_VERBOSE)
        return;
    va_start(ap, fmt);
    vmessage(cli, fmt, ap);
    va_end(ap);
}

static bool is_bad_data(int r)
{
    return r == L2_FORMAT || r == L2_CORRUPT || r == L2_UNSUPPORTED || r == L2_TRUNCATED ||
           r == L2_LIMIT || r == L2_ARGUMENT;
}

int l2_cli_bad_data(struct l2_cli *cli, bool skip, uint64_t *n_bad, int r, const char *name,
                    int64_t line, struct l2_err *err)
{
    char text[1024];
    if (!is_bad_data(r))
        return r;
    if (err->line == 0 && line > 0)
        err->line = line;
    (void)l2_err_in_file(err, name);
    if (!skip)
        return r;
    l2_err_format(err, text, sizeof text);
    if ((*n_bad)++ == 0)
        l2_cli_note(cli, "skipped: %s", text);
    else
        l2_cli_verbose(cli, "skipped: %s", text);
    return L2_OK;
}

int l2_cli_weights(const struct l2_strings *given, double *weights, size_t n, struct l2_err *err)
{
    if (given->n != 0 && given->n != n)
        return l2_err_set(err, L2_ARGUMENT, "%zu weights for %zu files", given->n, n);
    for (size_t i = 0; i < n; i++) {
        weights[i] = 1;
        if (given->n != 0 &&
            (!l2_parse_f64(given->v[i], &weights[i]) || !(weights[i] >= 0 && weights[i] <= 1000)))
            return l2_err_set(err, L2_ARGUMENT, "--weight: want a number from 0 to 1000, got '%s'",
                              given->v[i]);
    }
    return L2_OK;
}
