/* l2-cat: --check and --recover. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <sys/stat.h>

#include "cat.h"

/* ---- --check ---- */

/* Reads all of one input. */
static int check_stream(struct l2_cli *cli, int fd, const char *name, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)cli->max_record};
    struct l2_reader *reader;
    struct l2_record rec;
    enum l2_item item;
    l2_record_init(&rec);
    int r = l2_reader_new(&reader, fd, name, &limits, err);
    while (r == L2_OK && (r = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK) {
        const struct l2_stream_end *end = l2_reader_end_item(reader);
        if (item == L2_ITEM_END && !end->complete)
            r = l2_err_at(err, L2_TRUNCATED, name, -1, "the stream is incomplete%s%s",
                          end->error[0] ? ": " : "", end->error);
    }
    l2_reader_free(reader);
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

int cat_check(struct l2_cli *cli)
{
    struct l2_err err;
    size_t n = cli->operands.n > 0 ? cli->operands.n : 1;
    if (cli->operands.n == 0 && l2_cli_refuse_terminal(0, &err) < 0)
        return l2_cli_error(cli, &err);
    for (size_t i = 0; i < n; i++) {
        const char *name;
        int fd;
        int r = l2_cli_open_input(cli, cli->operands.n > 0 ? cli->operands.v[i] : "-", &fd, &name,
                                  &err);
        if (r == L2_OK) {
            r = check_stream(cli, fd, name, &err);
            l2_cli_close_input(fd);
        }
        if (r < 0)
            (void)l2_cli_error(cli, &err);
        else
            l2_cli_verbose(cli, "%s: whole", name);
    }
    json_decref(cli->report); /* silent when all is well */
    cli->report = NULL;
    return cli->status;
}

/* ---- --recover ---- */

/* Failures that are told one by one; the others are counted. */
enum { MAX_TOLD = 10 };

struct recovery {
    struct l2_cli *cli;
    struct l2_writer *writer;
    uint64_t failures, skipped;
    bool segment_failed;
    char segment_error[512];
    bool in_segment; /* of the input */
};

static void tell(struct recovery *rc, const struct l2_err *err)
{
    if (!rc->segment_failed) {
        rc->segment_failed = true;
        l2_err_format(err, rc->segment_error, sizeof rc->segment_error);
    }
    if (rc->failures++ < MAX_TOLD)
        (void)l2_cli_error(rc->cli, err);
    if (rc->cli->status < 1)
        rc->cli->status = 1;
}

static int begin_segment(struct recovery *rc, const struct l2_header *from, struct l2_err *err)
{
    const struct l2_cli *cli = rc->cli;
    struct l2_header h;
    l2_header_init(&h);
    int r = l2_header_copy(&h, from, err);
    if (r == L2_OK)
        r = l2_pipe_add_history(cli, &h, NULL, err);
    if (r == L2_OK)
        r = l2_writer_header(rc->writer, &h, err);
    l2_header_release(&h);
    rc->in_segment = true;
    return r;
}

/* Ends the output's segment, which mirrors the input's; end is NULL where that has none. */
static int end_segment(struct recovery *rc, const struct l2_stream_end *end, struct l2_err *err)
{
    bool complete = end && end->complete && !rc->segment_failed;
    const char *error = rc->segment_failed ? rc->segment_error : end ? end->error : NULL;
    rc->in_segment = false;
    if (!complete && rc->cli->status < 1)
        rc->cli->status = 1;
    int r = l2_writer_end(rc->writer, complete, error, err);
    rc->segment_failed = false;
    return r;
}

static int take_item(struct recovery *rc, struct l2_reader *reader, enum l2_item item,
                     const struct l2_record *rec, struct l2_err *err)
{
    int r = L2_OK;
    switch (item) {
    case L2_ITEM_HEADER:
        if (rc->in_segment)
            r = end_segment(rc, NULL, err);
        rc->segment_failed = false;
        return r == L2_OK ? begin_segment(rc, l2_reader_header(reader), err) : r;
    case L2_ITEM_RECORD:
        return l2_writer_record(rc->writer, rec, err);
    default:
        if (!l2_reader_end_item(reader)->complete)
            l2_cli_note(rc->cli, "the stream is incomplete: %s", l2_reader_end_item(reader)->error);
        return end_segment(rc, l2_reader_end_item(reader), err);
    }
}

/* Copies what can be found in one input. Failures of reading are told and passed; L2_OK unless the
 * output fails. */
static int recover_stream(struct recovery *rc, int fd, const char *name, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)rc->cli->max_record};
    struct l2_reader *reader;
    struct l2_record rec;
    enum l2_item item;
    uint64_t skipped = 0;
    l2_record_init(&rec);
    int r = l2_reader_new(&reader, fd, name, &limits, err);
    while (r == L2_OK) {
        r = l2_reader_next(reader, true, &item, &rec, err);
        if (r == L2_END)
            break;
        if (r == L2_OK) {
            r = take_item(rc, reader, item, &rec, err);
            continue;
        }
        tell(rc, err);
        bool hopeless = r == L2_SYSTEM || r == L2_MEMORY;
        r = hopeless ? L2_END : l2_reader_recover(reader, &skipped, err);
        rc->skipped += hopeless ? 0 : skipped;
        if (r < 0) {
            tell(rc, err);
            r = L2_END;
        }
    }
    if (r == L2_END)
        r = rc->in_segment ? end_segment(rc, NULL, err) : L2_OK;
    rc->segment_failed = false;
    l2_reader_free(reader);
    l2_record_release(&rec);
    return r;
}

static int recover_inputs(struct recovery *rc, int out, struct l2_err *err)
{
    struct l2_cli *cli = rc->cli;
    size_t n = cli->operands.n > 0 ? cli->operands.n : 1;
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        const char *name;
        int fd;
        r = l2_cli_open_input(cli, cli->operands.n > 0 ? cli->operands.v[i] : "-", &fd, &name, err);
        if (r == L2_OK)
            r = l2_cli_refuse_same_file(fd, name, out, err);
        if (r < 0) {
            tell(rc, err);
            r = L2_OK;
            continue;
        }
        r = recover_stream(rc, fd, name, err);
        l2_cli_close_input(fd);
    }
    return r;
}

int cat_recover(struct l2_cli *cli)
{
    struct recovery rc = {.cli = cli};
    const char *name;
    struct l2_err err;
    struct stat st;
    int fd;
    if (cli->operands.n == 0 && l2_cli_refuse_terminal(0, &err) < 0)
        return l2_cli_error(cli, &err);
    if (l2_cli_open_output(cli, true, &fd, &name, &err) < 0)
        return l2_cli_error(cli, &err);
    bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    int level = cli->level != INT64_MIN ? (int)cli->level : file ? 3 : -5;
    int r = l2_writer_new(&rc.writer, fd, name, level, &err);
    if (r == L2_OK && cli->max_record > 0)
        l2_writer_set_max_record(rc.writer, (size_t)cli->max_record);
    if (r == L2_OK)
        r = recover_inputs(&rc, fd, &err);
    if (r == L2_OK)
        r = l2_cli_close_output(cli, fd, name, &err);
    if (r < 0)
        (void)l2_cli_error(cli, &err);
    if (rc.failures > MAX_TOLD)
        l2_cli_note(cli, "%llu failures more", (unsigned long long)(rc.failures - MAX_TOLD));
    if (rc.failures > 0)
        l2_cli_note(cli, "%llu bytes were passed over", (unsigned long long)rc.skipped);
    if (rc.writer) {
        json_object_set_new(cli->report, "records",
                            json_integer((json_int_t)l2_writer_records(rc.writer)));
        json_object_set_new(cli->report, "tokens",
                            json_integer((json_int_t)l2_writer_tokens(rc.writer)));
    }
    json_object_set_new(cli->report, "failures", json_integer((json_int_t)rc.failures));
    json_object_set_new(cli->report, "skipped_bytes", json_integer((json_int_t)rc.skipped));
    l2_writer_free(rc.writer);
    return cli->status;
}
