/* l2-plot: lines of JSON, and what the files they come from are called. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <math.h>
#include <string.h>

#include "stream/json.h"
#include "util/input.h"
#include "util/str.h"

size_t plot_n_files(const struct plot *p)
{
    return p->cli->operands.n > 0 ? p->cli->operands.n : 1;
}

const char *plot_path(const struct plot *p, size_t i)
{
    return p->cli->operands.n > 0 ? p->cli->operands.v[i] : "-";
}

/* The name without directory, and how much of it is left without an ending that says its form. */
static const char *base_name(const char *path, size_t *n)
{
    static const char *const endings[] = {".jsonl", ".json", ".l2s", ".log", NULL};
    const char *slash = strrchr(path, '/');
    const char *base = slash && slash[1] ? slash + 1 : path;
    *n = strlen(base);
    for (size_t i = 0; endings[i]; i++)
        if (l2_ends_in(base, endings[i]) && *n > strlen(endings[i])) {
            *n -= strlen(endings[i]);
            break;
        }
    return base;
}

const char *plot_file_label(struct plot *p, size_t i, struct l2_err *err)
{
    const char *path = plot_path(p, i);
    size_t n, n_other;
    if (i < p->opts->labels.n)
        return p->opts->labels.v[i];
    if (strcmp(path, "-") == 0)
        return "standard input";
    const char *base = base_name(path, &n);
    for (size_t k = 0; k < plot_n_files(p); k++) {
        const char *other = base_name(plot_path(p, k), &n_other);
        if (k != i && n == n_other && memcmp(base, other, n) == 0)
            return path;
    }
    return l2_arena_strdup(&p->figure.arena, base, n, err);
}

int plot_number(const json_t *row, const char *key, bool *has, double *out, struct l2_err *err)
{
    const json_t *v = json_object_get(row, key);
    *has = v && !json_is_null(v);
    *out = NAN;
    if (*has && !json_is_number(v))
        return l2_err_set(err, L2_FORMAT, "want a number as '%.64s'", key);
    if (*has)
        *out = json_number_value(v);
    return L2_OK;
}

int plot_string(const json_t *row, const char *key, const char **out, struct l2_err *err)
{
    const json_t *v = json_object_get(row, key);
    *out = NULL;
    if (!v || json_is_null(v))
        return L2_OK;
    if (!json_is_string(v))
        return l2_err_set(err, L2_FORMAT, "want text as '%.64s'", key);
    *out = json_string_value(v);
    return L2_OK;
}

static int take_line(struct plot *p, const char *line, size_t n, const char *name, int64_t number,
                     int (*take)(void *arg, const json_t *row, struct l2_err *err), void *arg,
                     struct l2_err *err)
{
    json_t *row;
    int r = l2_json_parse(line, n, name, number, &row, err);
    if (r != L2_OK)
        return r;
    p->rows++;
    r = json_is_object(row) ? take(arg, row, err)
                            : l2_err_set(err, L2_FORMAT, "want a JSON object a line");
    json_decref(row);
    return r;
}

void plot_progress(struct plot *p, uint64_t bytes)
{
    double share =
        p->bytes_total > 0 ? (double)(p->bytes_done + bytes) / (double)p->bytes_total : -1;
    l2_cli_progress_share(p->cli, share, p->rows, "rows");
}

/* True where the line is the beginning of an object: its writer has not come to the end. */
static bool is_cut(const char *line, size_t n, bool terminated)
{
    return !terminated && line[0] == '{' && line[n - 1] != '}';
}

int plot_each_row_of(struct plot *p, int fd, const char *name,
                     int (*take)(void *arg, const json_t *row, struct l2_err *err), void *arg,
                     struct l2_err *err)
{
    struct l2_input in;
    const char *line;
    size_t n;
    bool terminated;
    int r;
    l2_input_init(&in, fd, name);
    for (int64_t number = 1;
         (r = l2_input_line(&in, true, L2_MAX_RECORD, &line, &n, &terminated, err)) == L2_OK;
         number++) {
        if (l2_line_is_blank(line, n))
            continue;
        r = take_line(p, line, n, name, number, take, arg, err);
        if (r != L2_OK && r != L2_MEMORY && is_cut(line, n, terminated)) {
            l2_cli_note(p->cli, "%s:%lld: the last line is cut, and left out", name,
                        (long long)number);
            r = L2_OK;
        }
        r = l2_cli_bad_data(p->cli, false, NULL, r, name, number, err);
        if (r != L2_OK)
            break;
        plot_progress(p, (uint64_t)in.offset);
    }
    p->bytes_done += (uint64_t)in.offset;
    l2_input_release(&in);
    return r == L2_END ? L2_OK : r;
}

int plot_each_row(struct plot *p, const char *path,
                  int (*take)(void *arg, const json_t *row, struct l2_err *err), void *arg,
                  struct l2_err *err)
{
    const char *name;
    int fd, r = l2_cli_open_input(p->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = l2_cli_refuse_terminal(fd, err);
    if (r == L2_OK)
        r = plot_each_row_of(p, fd, name, take, arg, err);
    l2_cli_close_input(fd);
    return r;
}
