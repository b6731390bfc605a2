/* l2-eval: sample rows, written as they come and found again by a later run. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/json.h"
#include "util/newfile.h"

/* One whole row of an earlier run. */
static int keep_row(struct eval_samples *s, const char *line, size_t n, int64_t number,
                    struct l2_err *err)
{
    json_t *row;
    int r = l2_json_parse(line, n, s->path, number, &row, err);
    if (r != L2_OK)
        return r;
    const char *fingerprint = json_string_value(json_object_get(row, "fingerprint"));
    json_t *resps = json_object_get(row, "resps");
    if (!fingerprint || !json_is_array(resps))
        r = l2_err_at_line(err, L2_FORMAT, s->path, number, 1,
                           "not a sample row of l2-eval: want fingerprint and resps");
    else if (json_object_set(s->kept, fingerprint, resps) != 0)
        r = l2_err_memory(err, n);
    json_decref(row);
    return r;
}

/* Reads what is whole in the file; *end is where that ends. */
static int read_kept(struct eval_samples *s, struct l2_cli *cli, off_t *end, struct l2_err *err)
{
    struct l2_buf text = {0};
    const char *name;
    int64_t number = 1;
    size_t at = 0;
    int r = eval_read_file(cli, s->path, &text, &name, err);
    while (r == L2_OK && at < text.len) {
        const char *line = (const char *)text.data + at;
        const char *stop = memchr(line, '\n', text.len - at);
        if (!stop)
            break;
        r = keep_row(s, line, (size_t)(stop - line), number++, err);
        at += (size_t)(stop - line) + 1;
    }
    *end = (off_t)at;
    l2_buf_release(&text);
    return r;
}

int eval_samples_open(struct eval_samples *s, struct l2_cli *cli, const char *path, bool resume,
                      struct l2_err *err)
{
    struct stat st;
    *s = (struct eval_samples){.path = path, .fd = -1, .kept = json_object()};
    if (!s->kept)
        return l2_err_memory(err, 64);
    if (!path)
        return L2_OK;
    if (!resume || stat(path, &st) != 0)
        return l2_cli_create(cli, path, false, &s->fd, err);
    off_t end = 0;
    int r = read_kept(s, cli, &end, err);
    if (r != L2_OK)
        return r;
    s->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (s->fd < 0 || ftruncate(s->fd, end) != 0 || lseek(s->fd, end, SEEK_SET) < 0)
        return l2_err_sys(err, errno, path, "cannot go on with it");
    return L2_OK;
}

const json_t *eval_samples_find(const struct eval_samples *s, const char *fingerprint)
{
    return json_object_get(s->kept, fingerprint);
}

int eval_samples_add(struct eval_samples *s, const json_t *row, struct l2_err *err)
{
    if (s->fd < 0)
        return L2_OK;
    struct l2_buf line = {0};
    char *text = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(17));
    int r = text ? l2_buf_printf(&line, err, "%s\n", text) : l2_err_memory(err, 64);
    if (r == L2_OK)
        r = l2_cli_write(s->fd, s->path, line.data, line.len, err);
    l2_buf_release(&line);
    free(text);
    return r;
}

static int replace(struct eval_samples *s, const json_t *rows, struct l2_err *err)
{
    struct l2_newfile f;
    int r = l2_newfile_replace(&f, s->path, err);
    if (r != L2_OK)
        return r;
    for (size_t i = 0; i < json_array_size(rows) && r == L2_OK; i++) {
        char *text = json_dumps(json_array_get(rows, i), JSON_COMPACT | JSON_REAL_PRECISION(17));
        r = text ? l2_newfile_write(&f, text, strlen(text), err) : l2_err_memory(err, 64);
        if (r == L2_OK)
            r = l2_newfile_write(&f, "\n", 1, err);
        free(text);
    }
    return l2_newfile_close(&f, r, err);
}

int eval_samples_close(struct eval_samples *s, const json_t *rows, bool complete,
                       struct l2_err *err)
{
    struct stat st;
    int r = L2_OK;
    json_decref(s->kept);
    s->kept = NULL;
    if (s->fd < 0)
        return L2_OK;
    bool regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (close(s->fd) != 0)
        r = l2_err_sys(err, errno, s->path, "cannot close");
    s->fd = -1;
    return r == L2_OK && complete && regular ? replace(s, rows, err) : r;
}
