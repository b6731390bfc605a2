/* The options part of --help: rows wrapped to 80 columns, with their defaults. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/opt.h"
#include "util/num.h"

#define WIDTH       80
#define HELP_COLUMN 26

int l2_opt_wrap(struct l2_buf *out, const char *text, size_t column, size_t indent,
                struct l2_err *err)
{
    bool first = true;
    while (*text) {
        size_t len = strcspn(text, " \n");
        int r = L2_OK;
        if (!first && column + 1 + len > WIDTH) {
            r = l2_buf_printf(out, err, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            r = l2_buf_append_byte(out, ' ', err);
            column++;
        }
        if (r < 0 || (r = l2_buf_append(out, text, len, err)) < 0)
            return r;
        column += len;
        first = false;
        text += len + strspn(text + len, " \n");
    }
    return l2_buf_append_byte(out, '\n', err);
}

/* A byte count as people write it: whole in the largest unit that divides it. */
static void format_bytes(uint64_t v, char *out, size_t size)
{
    static const char units[] = "KMGT";
    int unit = -1;
    while (unit < 3 && v > 0 && v % 1024 == 0) {
        v /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(out, size, "%" PRIu64, v);
    else
        snprintf(out, size, "%" PRIu64 "%c", v, units[unit]);
}

/* The default that row's target holds, "" where there is none to tell. */
static void format_default(const struct l2_opt *row, char *out, size_t size)
{
    out[0] = '\0';
    if (row->default_text) {
        snprintf(out, size, "%s", row->default_text);
        return;
    }
    if (!row->target)
        return;
    switch (row->kind) {
    case L2_OPT_STRING:
        if (*(const char **)row->target)
            snprintf(out, size, "%s", *(const char **)row->target);
        break;
    case L2_OPT_INT:
        snprintf(out, size, "%" PRId64, *(int64_t *)row->target);
        break;
    case L2_OPT_SEED:
        snprintf(out, size, "%" PRIu64, *(uint64_t *)row->target);
        break;
    case L2_OPT_REAL:
        snprintf(out, size, "%.15g", *(double *)row->target);
        break;
    case L2_OPT_BYTES:
        format_bytes(*(uint64_t *)row->target, out, size);
        break;
    case L2_OPT_CHOICE:
        snprintf(out, size, "%s", row->choices[*(int *)row->target]);
        break;
    case L2_OPT_HEADING:
    case L2_OPT_FLAG:
    case L2_OPT_LIST:
    case L2_OPT_CALL:
        break;
    }
}

static int help_row(const struct l2_opt *row, struct l2_buf *out, struct l2_err *err)
{
    char left[128], text[1024], value[128];

    char letter[] = "    ";
    if (row->letter)
        memcpy(letter, (char[]){'-', row->letter, ',', ' '}, 4);
    int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name, row->arg ? "=" : "",
                     row->arg ? row->arg : "");
    format_default(row, value, sizeof value);
    if (value[0])
        snprintf(text, sizeof text, "%s (default: %s)", row->help, value);
    else
        snprintf(text, sizeof text, "%s", row->help);

    int r = l2_buf_append_str(out, left, err);
    if (r < 0)
        return r;
    if (n + 2 > HELP_COLUMN)
        r = l2_buf_printf(out, err, "\n%*s", HELP_COLUMN, "");
    else
        r = l2_buf_printf(out, err, "%*s", HELP_COLUMN - n, "");
    return r < 0 ? r : l2_opt_wrap(out, text, HELP_COLUMN, HELP_COLUMN, err);
}

int l2_opt_help(const struct l2_opt *const *tables, struct l2_buf *out, struct l2_err *err)
{
    for (; *tables; tables++)
        for (const struct l2_opt *row = *tables; row->name; row++) {
            int r = row->kind == L2_OPT_HEADING ? l2_buf_printf(out, err, "\n%s:\n", row->help)
                                                : help_row(row, out, err);
            if (r < 0)
                return r;
        }
    return L2_OK;
}
