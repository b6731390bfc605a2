/* A filter's two ends: inputs one after the other, an output that mirrors or merges their segments.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pipe_state.h"

/* ---- input ---- */

/* One input's failure: reported, and the text kept for END. text is what END says. */
static void input_failed(struct l2_pipe *p, const struct l2_err *err, const char *text)
{
    char formatted[sizeof p->segment_error];
    p->input_error = true;
    if (!p->segment_failed) {
        p->segment_failed = true;
        l2_err_format(err, formatted, sizeof formatted);
        memcpy(p->segment_error, formatted, sizeof formatted);
        if (text[0])
            snprintf(p->segment_error, sizeof p->segment_error, "%s", text);
    }
    struct l2_err shown = *err;
    if (shown.code == L2_ARGUMENT)
        shown.code = L2_FORMAT; /* an input's fault, not the command line's */
    (void)l2_cli_error(p->cli, &shown);
}

static void close_input(struct l2_pipe *p)
{
    if (!p->reader)
        return;
    p->bytes_before += l2_reader_offset(p->reader);
    l2_reader_free(p->reader);
    p->reader = NULL;
    l2_cli_close_input(p->in_fd);
    p->in_segment = false;
}

/* Opens the next input that can be opened. L2_END after the last. */
static int open_input(struct l2_pipe *p, struct l2_err *err)
{
    struct l2_cli *cli = p->cli;
    while (p->next_operand < p->n_operands) {
        const char *path = cli->operands.n > 0 ? cli->operands.v[p->next_operand] : "-";
        p->next_operand++;
        int r = l2_cli_open_input(cli, path, &p->in_fd, &p->in_name, err);
        if (r == L2_OK && p->writer)
            r = l2_cli_refuse_same_file(p->in_fd, p->in_name, p->out_fd, err);
        if (r < 0) {
            input_failed(p, err, "");
            continue;
        }
        struct l2_stream_limits limits = {.max_record = (size_t)cli->max_record};
        r = l2_reader_new(&p->reader, p->in_fd, p->in_name, &limits, err);
        if (r == L2_OK && p->writer)
            l2_reader_set_idle(p->reader, &p->idle);
        return r;
    }
    return L2_END;
}

bool l2_pipe_wants(struct l2_pipe *p, const struct l2_record *rec)
{
    if (p->segment == SKIPPING || !l2_shard_has(&p->shard, &rec->id))
        return false;
    return p->segment != GOING_ON || !l2_resume_take(p->resume, rec);
}

/* Ends the input segment: its output segment ends when the program has put all of it. */
static void segment_end(struct l2_pipe *p, enum l2_pipe_event *event)
{
    p->in_segment = false;
    p->end_pending = p->writer && !p->merge;
    *event = L2_PIPE_SEGMENT_END;
}

static void take_end(struct l2_pipe *p, struct l2_err *err)
{
    const struct l2_stream_end *end = l2_reader_end_item(p->reader);
    if (end->complete)
        return;
    if (end->error[0])
        (void)l2_err_at(err, L2_TRUNCATED, p->in_name, -1, "the stream is incomplete: %s",
                        end->error);
    else
        (void)l2_err_at(err, L2_TRUNCATED, p->in_name, -1, "the stream is incomplete");
    input_failed(p, err, end->error);
}

int l2_pipe_next(struct l2_pipe *p, bool wait, enum l2_pipe_event *event, struct l2_record *rec,
                 struct l2_err *err)
{
    enum l2_item item;
    int r = p->end_pending ? l2_pipe_end_segment(p, err) : L2_OK;

    if (r == L2_OK && p->writer && !p->merge)
        r = l2_pipe_settle_header(p, err);
    while (r == L2_OK) {
        if (!p->reader && (r = open_input(p, err)) != L2_OK)
            return r;
        r = l2_reader_next(p->reader, wait, &item, rec, err);
        if (r == L2_AGAIN || r == L2_MEMORY || p->output_failed)
            return r;
        if (r == L2_END) {
            close_input(p);
            r = L2_OK;
            continue;
        }
        if (r < 0) {
            bool open = p->in_segment;
            input_failed(p, err, "");
            close_input(p);
            r = L2_OK;
            if (!open)
                continue;
            segment_end(p, event);
            return L2_OK;
        }
        switch (item) {
        case L2_ITEM_HEADER:
            *event = L2_PIPE_HEADER;
            return l2_pipe_take_header(p, err);
        case L2_ITEM_RECORD:
            if (!l2_pipe_wants(p, rec))
                continue;
            *event = L2_PIPE_RECORD;
            p->n_records++;
            p->n_tokens += l2_record_tokens(rec);
            return L2_OK;
        case L2_ITEM_END:
            take_end(p, err);
            segment_end(p, event);
            return L2_OK;
        }
    }
    return r;
}

const struct l2_header *l2_pipe_header(const struct l2_pipe *p)
{
    return p->reader ? l2_reader_header(p->reader) : NULL;
}

const struct l2_stream_end *l2_pipe_end(const struct l2_pipe *p)
{
    return p->reader ? l2_reader_end_item(p->reader) : NULL;
}

size_t l2_pipe_operand(const struct l2_pipe *p)
{
    return p->next_operand - 1;
}

const char *l2_pipe_input_name(const struct l2_pipe *p)
{
    return p->in_name;
}

double l2_pipe_share(const struct l2_pipe *p)
{
    if (p->bytes_total == 0)
        return -1;
    uint64_t done = p->bytes_before + (p->reader ? l2_reader_offset(p->reader) : 0);
    return (double)done / (double)p->bytes_total;
}

/* ---- the whole ---- */

static struct l2_pipe *new_pipe(struct l2_cli *cli, struct l2_err *err)
{
    struct l2_pipe *p = calloc(1, sizeof *p);
    if (!p) {
        (void)l2_err_memory(err, sizeof *p);
        return NULL;
    }
    p->cli = cli;
    p->in_fd = p->out_fd = -1;
    l2_header_init(&p->header);
    return p;
}

static void free_pipe(struct l2_pipe *p)
{
    close_input(p);
    l2_writer_free(p->writer);
    l2_resume_free(p->resume);
    l2_header_release(&p->header);
    free(p->joined);
    free(p);
}

static int set_up_input(struct l2_pipe *p, struct l2_err *err)
{
    p->n_operands = p->cli->operands.n > 0 ? p->cli->operands.n : 1;
    p->bytes_total = p->cli->progress ? l2_cli_operand_bytes(p->cli) : 0;
    int r = l2_shard_parse(&p->shard, p->cli->shard, err);
    if (r < 0)
        return r;
    return p->cli->operands.n > 0 ? L2_OK : l2_cli_refuse_terminal(STDIN_FILENO, err);
}

static int open_both(struct l2_pipe **out, struct l2_cli *cli, bool merge, bool by_prompt,
                     const char *kernels, struct l2_err *err)
{
    struct l2_pipe *p = new_pipe(cli, err);
    *out = NULL;
    if (!p)
        return L2_MEMORY;
    p->merge = merge;
    p->kernels = kernels;
    int r = set_up_input(p, err);
    if (r == L2_OK)
        r = l2_pipe_open_writer(p, by_prompt, err);
    if (r < 0) {
        free_pipe(p);
        return r;
    }
    *out = p;
    return L2_OK;
}

int l2_pipe_open(struct l2_pipe **out, struct l2_cli *cli, bool merge, const char *kernels,
                 struct l2_err *err)
{
    return open_both(out, cli, merge, true, kernels, err);
}

int l2_pipe_open_rewriting(struct l2_pipe **out, struct l2_cli *cli, const char *kernels,
                           struct l2_err *err)
{
    return open_both(out, cli, false, false, kernels, err);
}

int l2_pipe_open_input(struct l2_pipe **out, struct l2_cli *cli, struct l2_err *err)
{
    struct l2_pipe *p = new_pipe(cli, err);
    *out = NULL;
    if (!p)
        return L2_MEMORY;
    int r = set_up_input(p, err);
    if (r < 0) {
        free_pipe(p);
        return r;
    }
    *out = p;
    return L2_OK;
}

int l2_pipe_open_output(struct l2_pipe **out, struct l2_cli *cli, const struct l2_header *h,
                        const char *kernels, struct l2_err *err)
{
    struct l2_pipe *p = new_pipe(cli, err);
    *out = NULL;
    if (!p)
        return L2_MEMORY;
    p->kernels = kernels;
    int r = l2_shard_parse(&p->shard, cli->shard, err);
    if (r == L2_OK)
        r = l2_pipe_open_writer(p, false, err);
    if (r == L2_OK)
        r = l2_pipe_begin_header(p, h, err);
    if (r == L2_OK)
        r = l2_pipe_resume_segment(p, err);
    if (r < 0) {
        free_pipe(p);
        return r;
    }
    *out = p;
    return L2_OK;
}

void l2_pipe_fail(struct l2_pipe *p, const struct l2_err *err)
{
    if (p->own_error)
        return;
    if (err->code == L2_SYSTEM && err->sys_errno == EPIPE) {
        p->cli->broken = true;
        return;
    }
    p->own_error = true;
    if (!p->segment_failed) {
        p->segment_failed = true;
        l2_err_format(err, p->segment_error, sizeof p->segment_error);
    }
    struct l2_err shown = *err;
    if (shown.code == L2_ARGUMENT)
        shown.code = L2_FORMAT; /* in the middle of the work it is the data's fault, not the command
                                   line's */
    (void)l2_cli_error(p->cli, &shown);
}

bool l2_pipe_incomplete(const struct l2_pipe *p)
{
    return p->own_error || p->input_error;
}

bool l2_pipe_broken(const struct l2_pipe *p)
{
    return p->cli->broken;
}

static void report_counts(const struct l2_pipe *p)
{
    json_t *report = p->cli->report;
    uint64_t records = p->writer ? l2_writer_records(p->writer) : p->n_records;
    uint64_t tokens = p->writer ? l2_writer_tokens(p->writer) : p->n_tokens;
    json_object_set_new(report, "records", json_integer((json_int_t)records));
    json_object_set_new(report, "tokens", json_integer((json_int_t)tokens));
    if (l2_pipe_incomplete(p))
        json_object_set_new(report, "complete", json_false());
}

/* An input with fewer segments than the earlier run met is another one; the file stays as it is. */
static void check_segments(struct l2_pipe *p)
{
    struct l2_err err;
    if (!p->resume || !l2_resume_segment(p->resume, p->resumed) || p->output_failed ||
        p->cli->broken || l2_pipe_incomplete(p))
        return;
    (void)l2_err_at(&err, L2_CORRUPT, p->out_name, -1,
                    "cannot resume: it has more segments than the input, which has %zu",
                    p->resumed);
    l2_pipe_fail(p, &err);
    p->output_failed = true;
}

int l2_pipe_close(struct l2_pipe *p)
{
    struct l2_err err;
    if (!p)
        return 0;
    struct l2_cli *cli = p->cli;

    check_segments(p);
    if (p->writer && !p->output_failed && !cli->broken && l2_pipe_end_output(p, &err) < 0)
        l2_pipe_fail(p, &err);
    if (p->out_fd >= 0 && l2_cli_close_output(cli, p->out_fd, p->out_name, &err) < 0)
        l2_pipe_fail(p, &err);
    report_counts(p);
    free_pipe(p);
    return cli->status;
}
