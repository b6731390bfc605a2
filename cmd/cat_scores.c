/* l2-cat: --scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cat.h"
#include "util/num.h"

/* A score of a completion: the number of its column. */
struct cell {
    size_t column;
    double value;
};

/* A completion: its first cells are text in prefixes, its scores are in cells. */
struct row {
    size_t prefix, prefix_len;
    size_t first, n;
};

/* The columns are known when all has been read, so that is held in memory. */
struct scores_sink {
    struct cat_sink sink;
    struct l2_cli *cli;
    bool tabs;
    struct l2_buf prefixes, names, rows,
        cells; /* names are NUL-terminated, rows and cells arrays */
    size_t n_names, n_rows, n_cells;
};

/* Text as a cell: in CSV (RFC 4180) between double quotes where it has to be, in TSV with tabs,
 * line breaks and backslashes as \t, \n, \r and \\. */
static int put_text(const struct scores_sink *s, struct l2_buf *out, const char *text, size_t n,
                    struct l2_err *err)
{
    bool quoted = false;
    int r = L2_OK;
    for (size_t i = 0; i < n; i++)
        quoted = quoted || (text[i] != '\0' && strchr("\",\r\n", text[i]));
    quoted = quoted && !s->tabs;
    if (quoted)
        r = l2_buf_append_byte(out, '"', err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        const char *escape = !s->tabs          ? (text[i] == '"' ? "\"\"" : NULL)
                             : text[i] == '\t' ? "\\t"
                             : text[i] == '\n' ? "\\n"
                             : text[i] == '\r' ? "\\r"
                             : text[i] == '\\' ? "\\\\"
                                               : NULL;
        r = escape ? l2_buf_append_str(out, escape, err)
                   : l2_buf_append_byte(out, (uint8_t)text[i], err);
    }
    return r == L2_OK && quoted ? l2_buf_append_byte(out, '"', err) : r;
}

static int column_of(struct scores_sink *s, const struct l2_str *name, size_t *column,
                     struct l2_err *err)
{
    const char *at = (const char *)s->names.data;
    for (*column = 0; *column < s->n_names; ++*column, at += strlen(at) + 1)
        if (strlen(at) == name->n && memcmp(at, name->s, name->n) == 0)
            return L2_OK;
    s->n_names++;
    int r = l2_buf_append(&s->names, name->s, name->n, err);
    return r == L2_OK ? l2_buf_append_byte(&s->names, '\0', err) : r;
}

/* id, place in the record, tokens, finish. */
static int put_prefix(struct scores_sink *s, const struct l2_record *rec, size_t i,
                      struct l2_err *err)
{
    const struct l2_completion *c = &rec->completions[i];
    char tab = s->tabs ? '\t' : ',', number[32];
    int r;
    if (rec->id.is_text) {
        r = put_text(s, &s->prefixes, rec->id.text.s, rec->id.text.n, err);
    } else {
        l2_id_format(&rec->id, number, sizeof number);
        r = l2_buf_append_str(&s->prefixes, number, err);
    }
    return r == L2_OK ? l2_buf_printf(&s->prefixes, err, "%c%zu%c%zu%c%s", tab, i, tab, c->tokens.n,
                                      tab, l2_finish_names[c->finish])
                      : r;
}

static int put_completion(struct scores_sink *s, const struct l2_record *rec, size_t i,
                          struct l2_err *err)
{
    const struct l2_completion *c = &rec->completions[i];
    struct row row = {.prefix = s->prefixes.len, .first = s->n_cells, .n = c->n_scores};
    int r = put_prefix(s, rec, i, err);
    row.prefix_len = s->prefixes.len - row.prefix;
    for (size_t k = 0; k < c->n_scores && r == L2_OK; k++) {
        struct cell cell = {.value = c->scores[k].value};
        r = column_of(s, &c->scores[k].name, &cell.column, err);
        if (r == L2_OK)
            r = l2_buf_append(&s->cells, &cell, sizeof cell, err);
        s->n_cells++;
    }
    s->n_rows++;
    return r == L2_OK ? l2_buf_append(&s->rows, &row, sizeof row, err) : r;
}

static int scores_record(struct cat_sink *sink, const struct l2_record *rec, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < rec->n_completions && r == L2_OK; i++)
        r = put_completion((struct scores_sink *)sink, rec, i, err);
    return r;
}

static int put_title(const struct scores_sink *s, struct l2_buf *out, struct l2_err *err)
{
    const char *name = (const char *)s->names.data;
    int r = l2_buf_append_str(
        out, s->tabs ? "id\tcompletion\ttokens\tfinish" : "id,completion,tokens,finish", err);
    for (size_t i = 0; i < s->n_names && r == L2_OK; i++, name += strlen(name) + 1) {
        r = l2_buf_append_byte(out, s->tabs ? '\t' : ',', err);
        if (r == L2_OK)
            r = put_text(s, out, name, strlen(name), err);
    }
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

static int put_row(const struct scores_sink *s, struct l2_buf *out, const struct row *row,
                   struct l2_err *err)
{
    const struct cell *cells = (const struct cell *)(const void *)s->cells.data + row->first;
    int r = l2_buf_append(out, s->prefixes.data + row->prefix, row->prefix_len, err);
    for (size_t column = 0; column < s->n_names && r == L2_OK; column++) {
        char number[40] = "";
        for (size_t k = 0; k < row->n; k++)
            if (cells[k].column == column)
                l2_format_f64(number, cells[k].value);
        r = l2_buf_printf(out, err, "%c%s", s->tabs ? '\t' : ',', number);
    }
    return r == L2_OK ? l2_buf_append_byte(out, '\n', err) : r;
}

static int scores_finish(struct cat_sink *sink, bool incomplete, struct l2_err *err)
{
    struct scores_sink *s = (struct scores_sink *)sink;
    const struct row *rows = (const struct row *)(const void *)s->rows.data;
    struct l2_buf out = {0};
    const char *name;
    int fd, r = l2_cli_open_output(s->cli, false, &fd, &name, err);
    (void)incomplete;
    if (r < 0)
        return r;
    r = put_title(s, &out, err);
    for (size_t i = 0; i < s->n_rows && r == L2_OK; i++) {
        r = put_row(s, &out, &rows[i], err);
        if (r == L2_OK && (out.len > 65536 || i + 1 == s->n_rows)) {
            r = l2_cli_write(fd, name, out.data, out.len, err);
            out.len = 0;
        }
    }
    if (r == L2_OK && s->n_rows == 0)
        r = l2_cli_write(fd, name, out.data, out.len, err);
    int closed = l2_cli_close_output(s->cli, fd, name, r == L2_OK ? err : NULL);
    l2_buf_release(&out);
    return r == L2_OK ? closed : r;
}

static void scores_free(struct cat_sink *sink)
{
    struct scores_sink *s = (struct scores_sink *)sink;
    l2_buf_release(&s->prefixes);
    l2_buf_release(&s->names);
    l2_buf_release(&s->rows);
    l2_buf_release(&s->cells);
    free(s);
}

int cat_scores_sink(struct cat_sink **out, struct l2_cli *cli, bool tabs, struct l2_err *err)
{
    struct scores_sink *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->sink =
        (struct cat_sink){.record = scores_record, .finish = scores_finish, .free = scores_free};
    s->cli = cli;
    s->tabs = tabs;
    *out = &s->sink;
    return L2_OK;
}
