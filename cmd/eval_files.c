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

int eval_read_operands(struct l2_cli *cli, json_t *rows, struct l2_err *err)
{
    int r = L2_OK;
    if (cli->operands.n == 0) {
        r = l2_cli_refuse_terminal(STDIN_FILENO, err);
        return r == L2_OK ? eval_read_rows(cli, "-", rows, err) : r;
    }
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = eval_read_rows(cli, cli->operands.v[i], rows, err);
    return r;
}
