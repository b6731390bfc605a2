/* l2-cat: --from-json. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "cat.h"
#include "data/idrow.h"
#include "stream/json.h"
#include "text/vocab.h"
#include "util/input.h"

/* A line of JSON takes more room than its record: an id of 4 bytes is up to 10 digits and a comma.
 */
#define LINE_PER_RECORD 8

struct import {
    struct l2_cli *cli;
    bool skip_bad;
    struct cat_choice *choice;
    struct l2_pipe *pipe;         /* NULL until the header is known */
    struct cat_sink *sink;        /* into pipe */
    struct l2_header header;      /* of the output: from -z, or else the first line's */
    struct l2_header line_header; /* of the last header line */
    struct l2_stream_end end;
    struct l2_record rec;
    struct l2_buf id;
    bool has_header;          /* header has a vocabulary from -z, or is a line's */
    bool in_segment;          /* a header line without its END so far */
    uint64_t records, tokens; /* of that segment */
    uint64_t counter, n_bad;
};

static int open_vocab(struct import *im, const char *path, struct l2_err *err)
{
    struct l2_vocab *v;
    int r = l2_vocab_open(&v, path, err);
    if (r != L2_OK)
        return r;
    im->header.has_vocab = im->has_header = true;
    im->header.vocab_size = l2_vocab_size(v);
    memcpy(im->header.vocab_hash, l2_vocab_hash(v), L2_SHA256_SIZE);
    l2_vocab_free(v);
    return L2_OK;
}

static int open_output(struct import *im, struct l2_err *err)
{
    int r = l2_pipe_open_output(&im->pipe, im->cli, &im->header, NULL, err);
    return r == L2_OK ? cat_stream_sink(&im->sink, im->pipe, err) : r;
}

/* The id of a record that has none. */
static int next_id(struct import *im, struct l2_id *id, struct l2_err *err)
{
    unsigned long long n = im->counter++;
    *id = (struct l2_id){.number = (int64_t)n};
    if (!im->cli->id_prefix)
        return L2_OK;
    im->id.len = 0;
    int r = l2_buf_printf(&im->id, err, "%s%llu", im->cli->id_prefix, n);
    if (r == L2_OK)
        *id = (struct l2_id){.is_text = true, .text = {(char *)im->id.data, im->id.len}};
    return r;
}

/* The first header is the output's; it joins the vocabulary of -z, which it must not contradict. */
static int take_header(struct import *im, struct l2_err *err)
{
    if (im->in_segment)
        return l2_err_set(err, L2_CORRUPT, "header inside an open segment: its END is missing");
    im->in_segment = true;
    im->records = im->tokens = 0;
    if (im->has_header) {
        int r = l2_header_check_vocab(&im->header, &im->line_header, NULL, err);
        if (r != L2_OK || im->pipe)
            return r;
    }
    im->has_header = true;
    return l2_header_copy(&im->header, &im->line_header, err);
}

static int take_end(struct import *im, struct l2_err *err)
{
    if (!im->in_segment)
        return l2_err_set(err, L2_CORRUPT, "END outside of a segment");
    im->in_segment = false;
    if (im->end.records != im->records || im->end.tokens != im->tokens)
        return l2_err_set(err, L2_CORRUPT,
                          "END counts %llu records with %llu tokens, read %llu "
                          "with %llu",
                          (unsigned long long)im->end.records, (unsigned long long)im->end.tokens,
                          (unsigned long long)im->records, (unsigned long long)im->tokens);
    if (!im->end.complete)
        return l2_err_set(err, L2_TRUNCATED, "the stream is incomplete%s%s",
                          im->end.error[0] ? ": " : "", im->end.error);
    return L2_OK;
}

/* Reads TRL's rows of token ids, which no line of our own looks like. *is_idrow false: the line is
 * for l2_json_read_item. */
static int read_idrow(struct import *im, const struct l2_json_line *line, bool *is_idrow,
                      struct l2_err *err)
{
    json_t *row;
    *is_idrow = false;
    if (!l2_idrow_possible(line->text, line->n))
        return L2_OK;
    int r = l2_json_parse(line->text, line->n, line->file, line->line, &row, err);
    if (r != L2_OK)
        return r;
    *is_idrow = l2_idrow_is(row);
    if (*is_idrow)
        r = l2_idrow_read(row, line->default_id, &im->rec, err);
    json_decref(row);
    return r;
}

static int take_line(struct import *im, const struct l2_json_line *line, struct l2_err *err)
{
    enum l2_item kind = L2_ITEM_RECORD;
    bool is_idrow;
    int r = read_idrow(im, line, &is_idrow, err);
    if (r == L2_OK && !is_idrow)
        r = l2_json_read_item(line, &kind, &im->rec, &im->line_header, &im->end, err);
    if (r != L2_OK)
        return r;
    if (kind == L2_ITEM_HEADER)
        return take_header(im, err);
    if (kind == L2_ITEM_END)
        return take_end(im, err);
    im->records++;
    im->tokens += l2_record_tokens(&im->rec);
    if (!im->pipe && (r = open_output(im, err)) != L2_OK)
        return r;
    return cat_choose(im->choice, &im->rec, im->sink, err);
}

/* Failures that are the line's fault, not the system's. */
static bool is_bad_data(int r)
{
    return r == L2_FORMAT || r == L2_CORRUPT || r == L2_UNSUPPORTED || r == L2_LIMIT ||
           r == L2_ARGUMENT;
}

static int one_line(struct import *im, const char *text, size_t n, const char *name, int64_t number,
                    struct l2_err *err)
{
    struct l2_id id;
    if (l2_line_is_blank(text, n))
        return L2_OK;
    int r = next_id(im, &id, err);
    if (r != L2_OK)
        return r;
    struct l2_json_line line = {text, n, name, number, &id};
    r = take_line(im, &line, err);
    if (r < 0 && err->line == 0 && !err->file[0]) {
        err->line = number;
        (void)l2_err_in_file(err, name);
    }
    if (!im->skip_bad || !is_bad_data(r))
        return r;
    if (im->n_bad++ == 0) {
        char message[1024];
        l2_err_format(err, message, sizeof message);
        l2_cli_note(im->cli, "skipped: %s", message);
    }
    return L2_OK;
}

static int read_lines(struct import *im, int fd, const char *name, struct l2_err *err)
{
    struct l2_input in;
    const char *text;
    size_t n, record = im->cli->max_record > 0 ? (size_t)im->cli->max_record : L2_MAX_RECORD;
    size_t max = record < SIZE_MAX / LINE_PER_RECORD ? record * LINE_PER_RECORD : SIZE_MAX;
    int64_t number = 0;
    bool terminated;
    int r = L2_OK;
    l2_input_init(&in, fd, name);
    while (r == L2_OK && !cat_choice_done(im->choice)) {
        in.idle = im->pipe ? l2_pipe_idle(im->pipe) : NULL;
        r = l2_input_line(&in, true, max, &text, &n, &terminated, err);
        if (r == L2_OK)
            r = one_line(im, text, n, name, ++number, err);
    }
    l2_input_release(&in);
    if (r == L2_END && im->in_segment) {
        im->in_segment = false;
        return l2_err_at_line(err, L2_TRUNCATED, name, number, 0,
                              "input ends after %llu records without END",
                              (unsigned long long)im->records);
    }
    im->in_segment = false;
    return r == L2_END ? L2_OK : r;
}

static int read_inputs(struct import *im, struct l2_err *err)
{
    struct l2_cli *cli = im->cli;
    size_t n = cli->operands.n > 0 ? cli->operands.n : 1;
    int r = cli->operands.n == 0 ? l2_cli_refuse_terminal(0, err) : L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        const char *name;
        int fd;
        r = l2_cli_open_input(cli, cli->operands.n > 0 ? cli->operands.v[i] : "-", &fd, &name, err);
        if (r < 0)
            break;
        r = read_lines(im, fd, name, err);
        l2_cli_close_input(fd);
    }
    return r;
}

int cat_from_json(struct l2_cli *cli, const char *vocab, bool skip_bad, struct cat_choice *choice)
{
    struct import im = {.cli = cli, .skip_bad = skip_bad, .choice = choice};
    struct l2_err err, late;
    l2_header_init(&im.header);
    l2_header_init(&im.line_header);
    l2_record_init(&im.rec);
    int r = vocab ? open_vocab(&im, vocab, &err) : L2_OK;
    if (r == L2_OK)
        r = read_inputs(&im, &err);
    /* what came before a bad line is passed on */
    bool usage = r == L2_ARGUMENT && !err.file[0];
    if (!im.pipe && !usage && (r == L2_OK || is_bad_data(r) || r == L2_TRUNCATED)) {
        int opened = open_output(&im, &late);
        if (opened < 0 && r == L2_OK) {
            r = opened;
            err = late;
        }
    }
    if (im.sink) {
        int given = cat_choice_finish(choice, im.sink, &late);
        if (given < 0 && r == L2_OK) {
            r = given;
            err = late;
        }
    }
    if (skip_bad)
        json_object_set_new(cli->report, "skipped", json_integer((json_int_t)im.n_bad));
    if (r < 0 && im.pipe)
        l2_pipe_fail(im.pipe, &err);
    else if (r < 0)
        (void)l2_cli_error(cli, &err);
    if (im.sink)
        im.sink->free(im.sink);
    if (im.pipe)
        (void)l2_pipe_close(im.pipe);
    l2_header_release(&im.header);
    l2_header_release(&im.line_header);
    l2_record_release(&im.rec);
    l2_buf_release(&im.id);
    return cli->status;
}
