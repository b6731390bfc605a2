/* A filter's two ends: inputs one after the other, an output that mirrors or merges their segments.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/pipe.h"
#include "common/wanted.h"

struct l2_pipe {
    struct l2_cli *cli;
    bool merge;
    const char *kernels;

    /* input */
    size_t next_operand, n_operands; /* of standard input alone where there are no operands */
    struct l2_reader *reader;        /* NULL between inputs */
    int in_fd;
    const char *in_name;
    bool in_segment;
    uint64_t bytes_before, bytes_total; /* of inputs done; of all, 0: not known */
    uint64_t n_records, n_tokens;       /* read */

    /* output */
    struct l2_writer *writer; /* NULL: none */
    int out_fd;
    const char *out_name;
    struct l2_header header; /* of the output segment */
    bool has_header;
    bool has_own_history; /* header's history ends with this run */
    bool header_pending;  /* to be written before anything else */
    bool end_pending;     /* the mirrored segment's END is due at the next call of l2_pipe_next */
    bool output_failed;
    struct l2_idle idle;
    uint8_t (*joined)[L2_SHA256_SIZE]; /* hashes of the histories that header has */
    size_t n_joined;

    /* which records */
    struct l2_shard shard;
    struct l2_resume *resume; /* what an earlier run has written; or NULL */
    size_t resumed;           /* of its segments, how many have been met again */
    bool writing;             /* past what was there: the file has been cut to that */
    enum { FRESH, GOING_ON, SKIPPING } segment; /* the earlier run has nothing, a part, all of it */

    /* failures */
    bool segment_failed;
    char segment_error[512]; /* the first one's text, for END */
    bool own_error, input_error;
};

/* ---- output ---- */

/* Remembers that the output is of no more use, and whether its reader just went away. */
static int output_result(struct l2_pipe *p, int r, const struct l2_err *err)
{
    if (r == L2_SYSTEM) {
        p->output_failed = true;
        if (err->sys_errno == EPIPE)
            p->cli->broken = true;
    }
    return r;
}

int l2_pipe_add_history(const struct l2_cli *cli, struct l2_header *h, const char *kernels,
                        struct l2_err *err)
{
    struct l2_history_entry e = {.program = cli->program->name,
                                 .version = PACKAGE_VERSION,
                                 .arguments = cli->argv + 1,
                                 .n_arguments = cli->argc > 0 ? (size_t)cli->argc - 1 : 0,
                                 .settings = cli->settings,
                                 .model = cli->model_id[0] ? cli->model_id : NULL,
                                 .kernels = kernels};
    return cli->no_history ? L2_OK : l2_header_add_history(h, &e, err);
}

static int add_own_history(struct l2_pipe *p, struct l2_err *err)
{
    if (p->has_own_history)
        return L2_OK;
    p->has_own_history = true;
    return l2_pipe_add_history(p->cli, &p->header, p->kernels, err);
}

/* Cuts the output to what is whole of it, before anything is written behind that. */
static int begin_writing(struct l2_pipe *p, struct l2_err *err)
{
    if (p->writing || !p->resume)
        return L2_OK;
    off_t end = (off_t)l2_resume_offset(p->resume);
    p->writing = true;
    if (ftruncate(p->out_fd, end) != 0 || lseek(p->out_fd, end, SEEK_SET) != end) {
        p->output_failed = true;
        return l2_err_sys(err, errno, p->out_name, "cannot cut to what is whole");
    }
    return L2_OK;
}

static int settle_header(struct l2_pipe *p, struct l2_err *err)
{
    if (!p->header_pending)
        return L2_OK;
    p->header_pending = false;
    int r = add_own_history(p, err);
    if (r == L2_OK)
        r = begin_writing(p, err);
    return r == L2_OK ? output_result(p, l2_writer_header(p->writer, &p->header, err), err) : r;
}

/* A segment begins: where the earlier run has it, it is passed over or gone on with. */
static int resume_segment(struct l2_pipe *p, struct l2_err *err)
{
    const struct l2_resume_segment *old =
        p->resume ? l2_resume_segment(p->resume, p->resumed) : NULL;
    p->segment = FRESH;
    if (!old)
        return L2_OK;
    int r = add_own_history(p, err);
    if (r == L2_OK)
        r = l2_resume_check(&old->header, &p->header, p->out_name, err);
    if (r != L2_OK) {
        p->output_failed = true; /* the file stays as it is */
        return r;
    }
    p->resumed++;
    p->header_pending = false;
    p->segment = old->complete ? SKIPPING : GOING_ON;
    if (old->complete) {
        l2_writer_count_earlier(p->writer, old->records, old->tokens);
        return L2_OK;
    }
    l2_writer_resume(p->writer, &old->header, old->records, old->tokens);
    return begin_writing(p, err);
}

/* What the earlier run wrote of this segment and the input does not have makes no whole. */
static void check_left(struct l2_pipe *p)
{
    struct l2_err err;
    uint64_t left = p->segment == GOING_ON ? l2_resume_left(p->resume) : 0;
    if (left == 0 || p->segment_failed)
        return;
    (void)l2_err_at(&err, L2_CORRUPT, p->out_name, -1,
                    "%llu records of the earlier run are not in the input",
                    (unsigned long long)left);
    l2_pipe_fail(p, &err);
}

static int end_segment(struct l2_pipe *p, struct l2_err *err)
{
    p->end_pending = false;
    int r = settle_header(p, err);
    if (r != L2_OK || !l2_writer_in_segment(p->writer))
        return r;
    check_left(p);
    const char *error = p->segment_failed ? p->segment_error : NULL;
    r = output_result(p, l2_writer_end(p->writer, !error, error, err), err);
    p->segment_failed = false;
    return r;
}

/* Ends the output. A failure after the last segment's END gets an empty segment of its own to be
 * told in, so that no later stage takes what it has for all. */
static int end_output(struct l2_pipe *p, struct l2_err *err)
{
    bool open = p->header_pending || l2_writer_in_segment(p->writer);
    if (!open && p->segment_failed && p->has_header)
        p->header_pending = true;
    return end_segment(p, err);
}

static int idle_due(void *arg)
{
    const struct l2_pipe *p = arg;
    return p->output_failed ? -1 : l2_writer_due(p->writer);
}

static int idle_flush(void *arg, struct l2_err *err)
{
    return l2_pipe_flush(arg, err);
}

/* Reads what the output file holds of an earlier run. */
static int scan_output(struct l2_pipe *p, bool by_prompt, struct l2_err *err)
{
    struct l2_stream_limits limits = {.max_record = (size_t)p->cli->max_record};
    int r = l2_resume_scan(&p->resume, p->out_fd, p->out_name, by_prompt, &limits, err);
    if (r < 0)
        return r;
    uint64_t n = l2_resume_records(p->resume);
    l2_cli_verbose(p->cli, "%s: goes on after %llu records", p->out_name, (unsigned long long)n);
    json_object_set_new(p->cli->report, "resumed", json_integer((json_int_t)n));
    return L2_OK;
}

static int open_output(struct l2_pipe *p, bool by_prompt, struct l2_err *err)
{
    struct stat st;
    struct l2_cli *cli = p->cli;
    bool resumes;
    int r = l2_cli_open_resumed(cli, &p->out_fd, &p->out_name, &resumes, err);
    if (r < 0)
        return r;
    bool file = fstat(p->out_fd, &st) == 0 && S_ISREG(st.st_mode);
    int level = cli->level != INT64_MIN ? (int)cli->level : file ? 3 : -5;
    r = l2_writer_new(&p->writer, p->out_fd, p->out_name, level, err);
    if (r == L2_OK && cli->max_record != 0)
        l2_writer_set_max_record(p->writer, (size_t)cli->max_record);
    p->idle = (struct l2_idle){idle_due, idle_flush, p};
    return r == L2_OK && resumes ? scan_output(p, by_prompt, err) : r;
}

int l2_pipe_put(struct l2_pipe *p, const struct l2_record *rec, struct l2_err *err)
{
    assert(p->writer && p->has_header);
    int r = settle_header(p, err);
    return r == L2_OK ? output_result(p, l2_writer_record(p->writer, rec, err), err) : r;
}

int l2_pipe_flush(struct l2_pipe *p, struct l2_err *err)
{
    if (!p->writer)
        return L2_OK;
    int r = settle_header(p, err);
    return r == L2_OK ? output_result(p, l2_writer_flush(p->writer, err), err) : r;
}

const struct l2_idle *l2_pipe_idle(const struct l2_pipe *p)
{
    return p->writer ? &p->idle : NULL;
}

/* ---- headers ---- */

/* Begins the output segment's header with from's; it is written when something follows, or at the
 * latest when the pipe is closed. */
static int begin_header(struct l2_pipe *p, const struct l2_header *from, struct l2_err *err)
{
    int r = l2_header_copy(&p->header, from, err);
    p->has_own_history = false;
    if (r == L2_OK)
        p->has_header = p->header_pending = true;
    return r;
}

/* Joins from's history, once: the parts of one run in several files have equal histories. */
static int join_once(struct l2_pipe *p, const struct l2_header *from, bool join, struct l2_err *err)
{
    struct l2_sha256 s;
    uint8_t hash[L2_SHA256_SIZE];
    l2_sha256_init(&s);
    l2_sha256_update(&s, from->history.data, from->history.len);
    l2_sha256_final(&s, hash);
    for (size_t i = 0; i < p->n_joined; i++)
        if (memcmp(p->joined[i], hash, sizeof hash) == 0)
            return L2_OK;
    void *v = realloc(p->joined, (p->n_joined + 1) * sizeof *p->joined);
    if (!v)
        return l2_err_memory(err, (p->n_joined + 1) * sizeof *p->joined);
    p->joined = v;
    memcpy(p->joined[p->n_joined++], hash, sizeof hash);
    return join ? l2_header_join_history(&p->header, from, err) : L2_OK;
}

/* Joins the history that the file at path begins with. What is wrong with the file is said when its
 * turn comes. */
static int join_ahead(struct l2_pipe *p, const char *path, struct l2_err *err)
{
    struct stat st;
    const char *name;
    struct l2_reader *reader = NULL;
    struct l2_record rec;
    enum l2_item item;
    int fd, r = L2_OK;

    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        l2_cli_open_input(p->cli, path, &fd, &name, err) < 0)
        return L2_OK;
    l2_record_init(&rec);
    r = l2_reader_new(&reader, fd, name, NULL, err);
    if (r == L2_OK)
        r = l2_reader_next(reader, true, &item, &rec, err);
    if (r == L2_OK)
        r = join_once(p, l2_reader_header(reader), true, err);
    else if (r != L2_SYSTEM && r != L2_MEMORY)
        r = L2_OK;
    l2_record_release(&rec);
    l2_reader_free(reader);
    l2_cli_close_input(fd);
    return r;
}

/* The output segment of a merge takes the first header; histories of the others are joined as far
 * as they are known before it is written: those of files are read ahead. */
static int merge_header(struct l2_pipe *p, const struct l2_header *h, struct l2_err *err)
{
    int r;
    if (p->has_header) {
        r = l2_header_check_vocab(&p->header, h, p->in_name, err);
        if (r == L2_OK && p->header_pending)
            r = join_once(p, h, true, err);
        return r;
    }
    r = begin_header(p, h, err);
    if (r == L2_OK)
        r = join_once(p, h, false, err);
    for (size_t i = p->next_operand; i < p->cli->operands.n && r == L2_OK; i++)
        r = join_ahead(p, p->cli->operands.v[i], err);
    return r;
}

static int take_header(struct l2_pipe *p, struct l2_err *err)
{
    const struct l2_header *h = l2_reader_header(p->reader);
    p->in_segment = true;
    if (!p->writer)
        return L2_OK;
    if (p->merge)
        return merge_header(p, h, err);
    int r = begin_header(p, h, err);
    return r == L2_OK ? resume_segment(p, err) : r;
}

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

/* Adds up the sizes of the inputs; 0 when one is not a file. */
static uint64_t total_bytes(const struct l2_cli *cli)
{
    struct stat st;
    uint64_t total = 0;
    if (cli->operands.n == 0)
        return fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    for (size_t i = 0; i < cli->operands.n; i++) {
        if (stat(cli->operands.v[i], &st) != 0 || !S_ISREG(st.st_mode))
            return 0;
        total += (uint64_t)st.st_size;
    }
    return total;
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
    int r = p->end_pending ? end_segment(p, err) : L2_OK;

    if (r == L2_OK && p->writer && !p->merge)
        r = settle_header(p, err);
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
            return take_header(p, err);
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
    p->bytes_total = p->cli->progress ? total_bytes(p->cli) : 0;
    int r = l2_shard_parse(&p->shard, p->cli->shard, err);
    if (r < 0)
        return r;
    return p->cli->operands.n > 0 ? L2_OK : l2_cli_refuse_terminal(STDIN_FILENO, err);
}

int l2_pipe_open(struct l2_pipe **out, struct l2_cli *cli, bool merge, const char *kernels,
                 struct l2_err *err)
{
    struct l2_pipe *p = new_pipe(cli, err);
    *out = NULL;
    if (!p)
        return L2_MEMORY;
    p->merge = merge;
    p->kernels = kernels;
    int r = set_up_input(p, err);
    if (r == L2_OK)
        r = open_output(p, true, err);
    if (r < 0) {
        free_pipe(p);
        return r;
    }
    *out = p;
    return L2_OK;
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
        r = open_output(p, false, err);
    if (r == L2_OK)
        r = begin_header(p, h, err);
    if (r == L2_OK)
        r = resume_segment(p, err);
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
    if (p->writer && !p->output_failed && !cli->broken && end_output(p, &err) < 0)
        l2_pipe_fail(p, &err);
    if (p->out_fd >= 0 && l2_cli_close_output(cli, p->out_fd, p->out_name, &err) < 0)
        l2_pipe_fail(p, &err);
    report_counts(p);
    free_pipe(p);
    return cli->status;
}
