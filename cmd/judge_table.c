/* l2-eval: groups by name, and rows of results as JSON or as tables. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/buf.h"

int judge_groups_init(struct judge_groups *g, struct l2_err *err)
{
    g->index = json_object();
    return g->index ? L2_OK : l2_err_memory(err, 64);
}

void judge_groups_release(struct judge_groups *g)
{
    json_decref(g->index);
    g->index = NULL;
}

size_t judge_groups_n(const struct judge_groups *g)
{
    return json_object_size(g->index);
}

bool judge_group_find(const struct judge_groups *g, const char *name, size_t *out)
{
    const json_t *at = json_object_get(g->index, name);
    *out = (size_t)json_integer_value(at);
    return at != NULL;
}

int judge_group(struct judge_groups *g, const char *name, size_t *out, struct l2_err *err)
{
    if (judge_group_find(g, name, out))
        return L2_OK;
    *out = judge_groups_n(g);
    return json_object_set_new(g->index, name, json_integer((json_int_t)*out)) == 0
               ? L2_OK
               : l2_err_memory(err, strlen(name));
}

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    char *x_end, *y_end;
    double p = strtod(x, &x_end), q = strtod(y, &y_end);
    bool x_is = x_end != x && !*x_end, y_is = y_end != y && !*y_end;
    if (x_is != y_is)
        return x_is ? -1 : 1;
    if (x_is && p != q)
        return p < q ? -1 : 1;
    return strcmp(x, y);
}

const char **judge_groups_sorted(const struct judge_groups *g)
{
    const char **names = calloc(judge_groups_n(g) + 1, sizeof *names), *name;
    json_t *at;
    size_t n = 0;
    if (!names)
        return NULL;
    json_object_foreach(g->index, name, at)
    {
        names[n++] = name;
    }
    if (n > 0)
        qsort(names, n, sizeof *names, by_name);
    return names;
}

/* ---- tables ---- */

json_t *judge_real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

int judge_add(json_t *rows, json_t *row, struct l2_err *err)
{
    return json_array_append_new(rows, row) == 0 ? L2_OK : l2_err_memory(err, 64);
}

static void format_cell(const json_t *v, char out[300])
{
    if (json_is_string(v))
        snprintf(out, 300, "%.255s", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(out, 300, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, 300, "%.4f", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(out, 300, "%s", json_is_true(v) ? "yes" : "no");
    else
        snprintf(out, 300, "-");
}

static bool same_keys(json_t *a, json_t *b)
{
    void *i = json_object_iter(a), *k = json_object_iter(b);
    while (i && k && strcmp(json_object_iter_key(i), json_object_iter_key(k)) == 0) {
        i = json_object_iter_next(a, i);
        k = json_object_iter_next(b, k);
    }
    return !i && !k;
}

/* A cell is at the left for texts, at the right else. */
static int put_cell(struct l2_buf *out, const char *text, int width, bool left, bool last,
                    struct l2_err *err)
{
    int r = left && last ? l2_buf_append_str(out, text, err)
            : left       ? l2_buf_printf(out, err, "%-*s", width, text)
                         : l2_buf_printf(out, err, "%*s", width, text);
    return r == L2_OK ? l2_buf_append_str(out, last ? "\n" : "  ", err) : r;
}

/* Rows from begin to end have the same keys. */
static int put_table(struct l2_buf *out, const json_t *rows, size_t begin, size_t end,
                     struct l2_err *err)
{
    enum { MAX = 24 };
    int width[MAX] = {0}, r = L2_OK;
    char cell[300];
    const char *key;
    json_t *v, *first = json_array_get(rows, begin);
    for (size_t i = begin; i < end; i++) {
        size_t c = 0;
        json_object_foreach(json_array_get(rows, i), key, v)
        {
            format_cell(v, cell);
            int n = (int)strlen(cell), head = (int)strlen(key);
            if (c < MAX && n > width[c])
                width[c] = n;
            if (c < MAX && head > width[c])
                width[c] = head;
            c++;
        }
    }
    for (size_t i = begin; i <= end; i++) { /* the first line is the keys */
        size_t c = 0, n = json_object_size(first);
        json_object_foreach(i == begin ? first : json_array_get(rows, i - 1), key, v)
        {
            format_cell(v, cell);
            if (r == L2_OK && c < MAX)
                r = put_cell(out, i == begin ? key : cell, width[c],
                             json_is_string(json_object_get(first, key)), c + 1 == n, err);
            c++;
        }
    }
    return r;
}

static int put_tables(struct l2_buf *out, const json_t *rows, struct l2_err *err)
{
    size_t n = json_array_size(rows), end;
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i = end) {
        for (end = i + 1; end < n; end++)
            if (!same_keys(json_array_get(rows, i), json_array_get(rows, end)))
                break;
        r = i > 0 ? l2_buf_append_byte(out, '\n', err) : L2_OK;
        if (r == L2_OK)
            r = put_table(out, rows, i, end, err);
    }
    return r;
}

static int put_json(struct l2_buf *out, const json_t *rows, struct l2_err *err)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(17));
        int r = text ? l2_buf_printf(out, err, "%s\n", text) : l2_err_memory(err, 64);
        free(text);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

int judge_write(struct l2_cli *cli, const json_t *rows, bool as_json, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r = as_json ? put_json(&out, rows, err) : put_tables(&out, rows, err);
    if (r == L2_OK)
        r = l2_cli_write_output(cli, false, out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}
