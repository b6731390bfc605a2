/* l2-eval: rows of JSONL. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <unistd.h>

#include "stream/json.h"
#include "util/input.h"

static int take_line(json_t *rows, const char *line, size_t n, const char *name, int64_t number,
                     struct l2_err *err)
{
    json_t *row;
    int r = l2_json_parse(line, n, name, number, &row, err);
    if (r != L2_OK)
        return r;
    if (!json_is_object(row)) {
        json_decref(row);
        return l2_err_at_line(err, L2_FORMAT, name, number, 1, "want an object in each line");
    }
    return json_array_append_new(rows, row) == 0 ? L2_OK : l2_err_memory(err, n);
}

int eval_read_rows(struct l2_cli *cli, const char *path, json_t *rows, struct l2_err *err)
{
    struct l2_input in;
    const char *name, *line;
    size_t n;
    bool terminated;
    int fd, r = l2_cli_open_input(cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, name);
    for (int64_t number = 1; r == L2_OK; number++) {
        r = l2_input_line(&in, true, L2_MAX_RECORD, &line, &n, &terminated, err);
        if (r == L2_OK && !l2_line_is_blank(line, n))
            r = take_line(rows, line, n, name, number, err);
    }
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r == L2_END ? L2_OK : r;
}

int eval_read_file(struct l2_cli *cli, const char *path, struct l2_buf *out, const char **name,
                   struct l2_err *err)
{
    struct l2_input in;
    int fd, r = l2_cli_open_input(cli, path, &fd, name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, *name);
    do
        r = l2_input_fill(&in, true, err);
    while (r == L2_OK);
    if (r == L2_END) {
        size_t n;
        const uint8_t *all = l2_input_bytes(&in, &n);
        r = l2_buf_append(out, all, n, err);
    }
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r;
}

/* The lines of the file become the field "label" of the documents. */
static int read_labels(struct l2_cli *cli, const char *path, json_t *docs, struct l2_err *err)
{
    static const struct l2_docs_form lines = {.format = L2_DOCS_LINES};
    const char *one[] = {path};
    json_t *labels = json_array();
    int r =
        labels ? eval_read_docs(cli, &lines, one, 1, NULL, labels, err) : l2_err_memory(err, 64);
    if (r == L2_OK && json_array_size(labels) != json_array_size(docs))
        r = l2_err_at(err, L2_CORRUPT, path, -1, "%zu labels for %zu documents",
                      json_array_size(labels), json_array_size(docs));
    for (size_t i = 0; i < json_array_size(docs) && r == L2_OK; i++)
        if (json_object_set(json_array_get(docs, i), "label",
                            json_object_get(json_array_get(labels, i), "text")) != 0)
            r = l2_err_memory(err, 64);
    json_decref(labels);
    return r;
}

int eval_read_docs(struct l2_cli *cli, const struct l2_docs_form *form, const char *const *paths,
                   size_t n, const char *labels, json_t *docs, struct l2_err *err)
{
    static const char *const standard[] = {"-"};
    int r = n == 0 ? l2_cli_refuse_terminal(STDIN_FILENO, err) : L2_OK;
    if (n == 0) {
        paths = standard;
        n = 1;
    }
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        struct l2_buf text = {0};
        const char *name;
        r = eval_read_file(cli, paths[i], &text, &name, err);
        if (r == L2_OK)
            r = l2_docs_read(form, text.len > 0 ? (const char *)text.data : "", text.len, name,
                             docs, err);
        l2_buf_release(&text);
    }
    return r == L2_OK && labels ? read_labels(cli, labels, docs, err) : r;
}
