/* l2-cat: records as a stream, as lines of JSON, as many files. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cat.h"
#include "data/idrow.h"
#include "stream/json.h"

/* ---- into a pipe ---- */

struct stream_sink {
    struct cat_sink sink;
    struct l2_pipe *pipe;
};

static int stream_record(struct cat_sink *sink, const struct l2_record *rec, struct l2_err *err)
{
    return l2_pipe_put(((struct stream_sink *)sink)->pipe, rec, err);
}

static void free_sink(struct cat_sink *sink)
{
    free(sink);
}

int cat_stream_sink(struct cat_sink **out, struct l2_pipe *p, struct l2_err *err)
{
    struct stream_sink *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->sink = (struct cat_sink){.record = stream_record, .free = free_sink};
    s->pipe = p;
    *out = &s->sink;
    return L2_OK;
}

/* ---- lines of JSON ---- */

#define LINES_BYTES ((size_t)1 << 16)

struct json_sink {
    struct cat_sink sink;
    struct l2_cli *cli;
    bool headers, ids;
    int fd;
    const char *name;
    struct l2_buf lines;
    uint64_t records, tokens; /* written since the last header */
};

static bool json_pending(const struct cat_sink *sink)
{
    return ((const struct json_sink *)sink)->lines.len > 0;
}

static int json_flush(struct cat_sink *sink, struct l2_err *err)
{
    struct json_sink *s = (struct json_sink *)sink;
    int r = l2_cli_write(s->fd, s->name, s->lines.data, s->lines.len, err);
    s->lines.len = 0;
    return r;
}

static int end_line(struct json_sink *s, int r, struct l2_err *err)
{
    if (r == L2_OK)
        r = l2_buf_append_byte(&s->lines, '\n', err);
    return r == L2_OK && s->lines.len >= LINES_BYTES ? json_flush(&s->sink, err) : r;
}

static int json_header(struct cat_sink *sink, const struct l2_header *h, struct l2_err *err)
{
    struct json_sink *s = (struct json_sink *)sink;
    s->records = s->tokens = 0;
    return s->headers ? end_line(s, l2_header_to_json(&s->lines, h, err), err) : L2_OK;
}

static int json_record(struct cat_sink *sink, const struct l2_record *rec, struct l2_err *err)
{
    struct json_sink *s = (struct json_sink *)sink;
    s->records++;
    s->tokens += l2_record_tokens(rec);
    if (!s->ids)
        return end_line(s, l2_record_to_json(&s->lines, rec, err), err);
    int r = l2_idrow_write(rec, &s->lines, err);
    return r == L2_OK && s->lines.len >= LINES_BYTES ? json_flush(sink, err) : r;
}

/* The numbers are those of the lines, which may be a choice of the segment's records. */
static int json_end(struct cat_sink *sink, const struct l2_stream_end *end, struct l2_err *err)
{
    struct json_sink *s = (struct json_sink *)sink;
    struct l2_stream_end shown = {false, s->records, s->tokens, "the input ends without END"};
    if (end) {
        shown.complete = end->complete;
        memcpy(shown.error, end->error, sizeof shown.error);
    }
    return s->headers ? end_line(s, l2_stream_end_to_json(&s->lines, &shown, err), err) : L2_OK;
}

static int json_finish(struct cat_sink *sink, bool incomplete, struct l2_err *err)
{
    struct json_sink *s = (struct json_sink *)sink;
    (void)incomplete;
    int r = json_flush(sink, err);
    int closed = l2_cli_close_output(s->cli, s->fd, s->name, r == L2_OK ? err : NULL);
    s->fd = -1;
    return r == L2_OK ? closed : r;
}

static void json_free(struct cat_sink *sink)
{
    struct json_sink *s = (struct json_sink *)sink;
    if (s->fd >= 0)
        (void)!l2_cli_close_output(s->cli, s->fd, s->name, NULL);
    l2_buf_release(&s->lines);
    free(s);
}

int cat_json_sink(struct cat_sink **out, struct l2_cli *cli, bool headers, bool ids,
                  struct l2_err *err)
{
    struct json_sink *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->sink = (struct cat_sink){.header = json_header,
                                .record = json_record,
                                .end = json_end,
                                .pending = json_pending,
                                .flush = json_flush,
                                .finish = json_finish,
                                .free = json_free};
    s->cli = cli;
    s->headers = headers;
    s->ids = ids;
    int r = l2_cli_open_output(cli, false, &s->fd, &s->name, err);
    if (r < 0) {
        free(s);
        return r;
    }
    *out = &s->sink;
    return L2_OK;
}

/* ---- many files ---- */

struct split_sink {
    struct cat_sink sink;
    struct l2_cli *cli;
    uint64_t per_file;
    uint64_t in_file; /* records of the open file */
    unsigned n_files;
    uint64_t records, tokens;
    struct l2_header header; /* of the files to come */
    bool has_header;
    struct l2_writer *writer; /* NULL: no file is open */
    int fd;
    char *path;
};

/* Files take the header of the first segment; other histories join it for the files begun later. */
static int split_header(struct cat_sink *sink, const struct l2_header *h, struct l2_err *err)
{
    struct split_sink *s = (struct split_sink *)sink;
    const struct l2_fields *old = &s->header.history, *new = &h->history;
    if (!s->has_header) {
        s->has_header = true;
        return l2_header_copy(&s->header, h, err);
    }
    int r = l2_header_check_vocab(&s->header, h, "a later segment", err);
    if (r != L2_OK || (old->len >= new->len &&new->len > 0 &&
                       memcmp(old->data + old->len - new->len, new->data, new->len) == 0))
        return r;
    return l2_header_join_history(&s->header, h, err);
}

static int put_header(struct split_sink *s, struct l2_err *err)
{
    struct l2_header h;
    const struct l2_cli *cli = s->cli;
    l2_header_init(&h);
    int r = l2_header_copy(&h, &s->header, err);
    if (r == L2_OK)
        r = l2_pipe_add_history(cli, &h, NULL, err);
    if (r == L2_OK)
        r = l2_writer_header(s->writer, &h, err);
    l2_header_release(&h);
    return r;
}

static int open_file(struct split_sink *s, struct l2_err *err)
{
    struct l2_buf path = {0};
    int level = s->cli->level != INT64_MIN ? (int)s->cli->level : 3;
    int r = l2_buf_printf(&path, err, "%s-%05u.l2s", s->cli->output, ++s->n_files);
    if (r == L2_OK)
        r = l2_buf_append_byte(&path, '\0', err);
    free(s->path);
    s->path = (char *)path.data;
    if (r == L2_OK)
        r = l2_cli_create(s->cli, s->path, true, &s->fd, err);
    if (r == L2_OK)
        r = l2_writer_new(&s->writer, s->fd, s->path, level, err);
    if (r == L2_OK && s->cli->max_record > 0)
        l2_writer_set_max_record(s->writer, (size_t)s->cli->max_record);
    return r == L2_OK ? put_header(s, err) : r;
}

static int close_file(struct split_sink *s, bool complete, struct l2_err *err)
{
    int r = l2_writer_end(s->writer, complete, complete ? NULL : "the input is incomplete", err);
    if (r == L2_OK)
        r = l2_cli_close_output(s->cli, s->fd, s->path, err);
    if (r == L2_OK)
        s->fd = -1;
    l2_writer_free(s->writer);
    s->writer = NULL;
    s->in_file = 0;
    return r;
}

/* A file is ended when the next one begins, so that the last one can say that the input broke off.
 */
static int split_record(struct cat_sink *sink, const struct l2_record *rec, struct l2_err *err)
{
    struct split_sink *s = (struct split_sink *)sink;
    int r = L2_OK;
    if (s->writer && s->in_file == s->per_file)
        r = close_file(s, true, err);
    if (r == L2_OK && !s->writer)
        r = open_file(s, err);
    if (r == L2_OK)
        r = l2_writer_record(s->writer, rec, err);
    if (r == L2_OK) {
        s->in_file++;
        s->records++;
        s->tokens += l2_record_tokens(rec);
    }
    return r;
}

static int split_finish(struct cat_sink *sink, bool incomplete, struct l2_err *err)
{
    struct split_sink *s = (struct split_sink *)sink;
    json_t *report = s->cli->report;
    int r = L2_OK;
    if (!s->writer && s->n_files == 0 && s->has_header)
        r = open_file(s, err); /* no records: one stream without any */
    if (r == L2_OK && s->writer)
        r = close_file(s, !incomplete, err);
    json_object_set_new(report, "files", json_integer(s->n_files));
    json_object_set_new(report, "records", json_integer((json_int_t)s->records));
    json_object_set_new(report, "tokens", json_integer((json_int_t)s->tokens));
    return r;
}

static void split_free(struct cat_sink *sink)
{
    struct split_sink *s = (struct split_sink *)sink;
    l2_writer_free(s->writer);
    if (s->fd >= 0)
        (void)!l2_cli_close_output(s->cli, s->fd, s->path, NULL);
    l2_header_release(&s->header);
    free(s->path);
    free(s);
}

int cat_split_sink(struct cat_sink **out, struct l2_cli *cli, uint64_t n, struct l2_err *err)
{
    struct split_sink *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->sink = (struct cat_sink){
        .header = split_header, .record = split_record, .finish = split_finish, .free = split_free};
    s->cli = cli;
    s->per_file = n;
    s->fd = -1;
    l2_header_init(&s->header);
    *out = &s->sink;
    return L2_OK;
}
