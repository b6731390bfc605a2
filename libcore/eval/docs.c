/* Documents from JSONL, JSON, CSV (RFC 4180) and lines. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/docs.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "stream/json.h"
#include "util/buf.h"
#include "util/input.h"

const char *const l2_docs_format_names[] = {"jsonl", "json", "csv", "lines", NULL};

static int append(json_t *docs, json_t *doc, struct l2_err *err)
{
    return doc && json_array_append_new(docs, doc) == 0 ? L2_OK : l2_err_memory(err, 64);
}

/* ---- lines ---- */

static int take_line(const struct l2_docs_form *form, const char *s, size_t n, const char *file,
                     int64_t line, json_t *docs, struct l2_err *err)
{
    json_t *doc = NULL;
    if (l2_line_is_blank(s, n))
        return L2_OK;
    if (form->format == L2_DOCS_LINES) {
        doc = json_pack("{s:o*}", "text", json_stringn(s, n - (s[n - 1] == '\r')));
        if (!doc || !json_object_get(doc, "text")) {
            json_decref(doc);
            return l2_err_at_line(err, L2_CORRUPT, file, line, 1, "not UTF-8");
        }
        return append(docs, doc, err);
    }
    int r = l2_json_parse(s, n, file, line, &doc, err);
    if (r == L2_OK && !json_is_object(doc)) {
        json_decref(doc);
        return l2_err_at_line(err, L2_FORMAT, file, line, 1, "want an object in each line");
    }
    return r == L2_OK ? append(docs, doc, err) : r;
}

static int read_lines(const struct l2_docs_form *form, const char *text, size_t n, const char *file,
                      json_t *docs, struct l2_err *err)
{
    int64_t line = 1;
    int r = L2_OK;
    for (size_t at = 0; at < n && r == L2_OK; line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        r = take_line(form, text + at, len, file, line, docs, err);
        at += len + 1;
    }
    return r;
}

/* ---- JSON ---- */

struct walk {
    json_t *docs;
    const char *records, *file;
    struct l2_err *err;
};

static int lost(const struct walk *w, const char *what)
{
    return l2_err_at(w->err, L2_FORMAT, w->file, -1, "records '%.100s': want %s", w->records, what);
}

static int take_doc(const struct walk *w, json_t *value, const json_t *base)
{
    json_t *doc = json_copy((json_t *)(uintptr_t)base);
    int rc = doc ? 0 : -1;
    if (rc == 0)
        rc = json_is_object(value) ? json_object_update(doc, value)
                                   : json_object_set(doc, "value", value);
    if (rc != 0) {
        json_decref(doc);
        doc = NULL;
    }
    return append(w->docs, doc, w->err);
}

/* base with the fields of value but name. */
static json_t *inherit(const json_t *base, json_t *value, const char *name, size_t n)
{
    json_t *out = json_copy((json_t *)(uintptr_t)base);
    if (out && json_object_update(out, value) == 0) {
        (void)json_object_deln(out, name, n);
        return out;
    }
    json_decref(out);
    return NULL;
}

static int walk_on(const struct walk *w, json_t *value, const json_t *base, const char *path,
                   unsigned stars);

static int walk_items(const struct walk *w, json_t *value, const json_t *base, const char *path,
                      unsigned stars)
{
    json_t *item;
    size_t i;
    int r = L2_OK;
    if (!json_is_array(value))
        return lost(w, "a list where [] stands");
    json_array_foreach(value, i, item)
    {
        if (r == L2_OK)
            r = walk_on(w, item, base, path, stars);
    }
    return r;
}

/* One step, whose name has n bytes, with "[]" behind it or not. */
static int walk_step(const struct walk *w, json_t *value, const json_t *base, const char *path,
                     size_t n, unsigned stars)
{
    const char *rest = path + n;
    bool star = n == 1 && *path == '*';
    if (!json_is_object(value))
        return lost(w, "an object where a name stands");
    if (!star) {
        json_t *next = json_object_getn(value, path, n);
        json_t *mine = next ? inherit(base, value, path, n) : NULL;
        if (!next)
            return lost(w, "such names in the file");
        int r = mine ? walk_on(w, next, mine, rest, stars) : l2_err_memory(w->err, 64);
        json_decref(mine);
        return r;
    }
    const char *key;
    json_t *item;
    int r = L2_OK;
    json_object_foreach(value, key, item)
    {
        char name[32];
        json_t *mine = r == L2_OK ? json_copy((json_t *)(uintptr_t)base) : NULL;
        snprintf(name, sizeof name, "key%u", stars);
        if (r == L2_OK && (!mine || json_object_set_new(mine, name, json_string(key)) != 0))
            r = l2_err_memory(w->err, 64);
        if (r == L2_OK)
            r = walk_on(w, item, mine, rest, stars + 1);
        json_decref(mine);
    }
    return r;
}

static int walk_on(const struct walk *w, json_t *value, const json_t *base, const char *path,
                   unsigned stars)
{
    if (*path == '.')
        path++;
    if (*path == '\0')
        return take_doc(w, value, base);
    if (strncmp(path, "[]", 2) == 0)
        return walk_items(w, value, base, path + 2, stars);
    size_t n = strcspn(path, ".[");
    return n > 0 ? walk_step(w, value, base, path, n, stars) : lost(w, "a name, [] or *");
}

static int read_json(const struct l2_docs_form *form, const char *text, size_t n, const char *file,
                     json_t *docs, struct l2_err *err)
{
    json_t *all, *base = json_object();
    struct walk w = {docs, form->records ? form->records : "", file, err};
    int r = base ? l2_json_parse(text, n, file, 1, &all, err) : l2_err_memory(err, 64);
    if (r == L2_OK) {
        if (!form->records && json_is_array(all))
            w.records = "[]";
        r = walk_on(&w, all, base, w.records, 0);
        json_decref(all);
    }
    json_decref(base);
    return r;
}

/* ---- CSV ---- */

struct csv {
    const char *s, *end, *file;
    int64_t line;
    struct l2_err *err;
};

/* The next cell in out; *last: a row ends with it. */
static int read_cell(struct csv *c, struct l2_buf *out, bool *last)
{
    bool quoted = c->s < c->end && *c->s == '"', open = quoted;
    int64_t line = c->line;
    int r = L2_OK;
    out->len = 0;
    c->s += quoted;
    for (; c->s < c->end && r == L2_OK; c->s++) {
        if (open && *c->s == '"') {
            if (c->s + 1 < c->end && c->s[1] == '"')
                c->s++;
            else {
                open = false;
                continue;
            }
        } else if (!open && (*c->s == ',' || *c->s == '\n')) {
            break;
        } else if (!open && *c->s == '\r' && c->s + 1 < c->end && c->s[1] == '\n') {
            continue;
        } else if (quoted && !open) {
            return l2_err_at_line(c->err, L2_CORRUPT, c->file, c->line, 0,
                                  "want a comma or the end of the line behind a cell in quotes");
        }
        c->line += *c->s == '\n';
        r = l2_buf_append(out, c->s, 1, c->err);
    }
    if (r == L2_OK && open)
        return l2_err_at_line(c->err, L2_TRUNCATED, c->file, line, 0,
                              "a cell in quotes without its second quote");
    *last = c->s >= c->end || *c->s == '\n';
    c->line += c->s < c->end && *c->s == '\n';
    c->s += c->s < c->end;
    return r;
}

/* The next row as a list of texts; a row that is one empty cell is none (*out NULL). */
static int read_row(struct csv *c, json_t **out)
{
    struct l2_buf cell = {0};
    json_t *row = json_array();
    bool last = false;
    int64_t line = c->line;
    int r = row ? L2_OK : l2_err_memory(c->err, 64);
    while (r == L2_OK && !last) {
        r = read_cell(c, &cell, &last);
        if (r != L2_OK)
            break;
        json_t *text = json_stringn(cell.len > 0 ? (const char *)cell.data : "", cell.len);
        if (!text)
            r = l2_err_at_line(c->err, L2_CORRUPT, c->file, line, 0, "not UTF-8");
        else if (json_array_append_new(row, text) != 0)
            r = l2_err_memory(c->err, 64);
    }
    bool blank = json_array_size(row) == 1 && cell.len == 0;
    l2_buf_release(&cell);
    if (r != L2_OK || blank) {
        json_decref(row);
        row = NULL;
    }
    *out = row;
    return r;
}

static int name_cells(struct csv *c, int64_t line, const json_t *names, const json_t *row,
                      json_t *docs)
{
    size_t n = json_array_size(names);
    json_t *doc = json_object();
    int rc = doc ? 0 : -1;
    if (json_array_size(row) != n) {
        json_decref(doc);
        return l2_err_at_line(c->err, L2_CORRUPT, c->file, line, 0, "want %zu cells, got %zu", n,
                              json_array_size(row));
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = json_object_set(doc, json_string_value(json_array_get(names, i)),
                             json_array_get(row, i));
    if (rc != 0) {
        json_decref(doc);
        doc = NULL;
    }
    return append(docs, doc, c->err);
}

static int read_csv(const struct l2_docs_form *form, const char *text, size_t n, const char *file,
                    json_t *docs, struct l2_err *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t skip = n >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    struct csv c = {text + skip, text + n, file, 1, err};
    json_t *names = json_incref((json_t *)(uintptr_t)form->columns), *row = NULL;
    int r = L2_OK;
    while (r == L2_OK && c.s < c.end) {
        int64_t line = c.line;
        r = read_row(&c, &row);
        if (r != L2_OK || !row)
            continue;
        if (!names)
            names = json_incref(row);
        else
            r = name_cells(&c, line, names, row, docs);
        json_decref(row);
    }
    json_decref(names);
    return r;
}

int l2_docs_read(const struct l2_docs_form *form, const char *text, size_t n, const char *file,
                 json_t *docs, struct l2_err *err)
{
    switch (form->format) {
    case L2_DOCS_JSON:
        return read_json(form, text, n, file, docs, err);
    case L2_DOCS_CSV:
        return read_csv(form, text, n, file, docs, err);
    case L2_DOCS_JSONL:
    case L2_DOCS_LINES:
        break;
    }
    return read_lines(form, text, n, file, docs, err);
}
