/* A pipe's output: its segments and their ENDs, going on with what an earlier run wrote. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/pipe_state.h"

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

int l2_pipe_settle_header(struct l2_pipe *p, struct l2_err *err)
{
    if (!p->header_pending)
        return L2_OK;
    p->header_pending = false;
    int r = add_own_history(p, err);
    if (r == L2_OK)
        r = begin_writing(p, err);
    return r == L2_OK ? output_result(p, l2_writer_header(p->writer, &p->header, err), err) : r;
}

int l2_pipe_resume_segment(struct l2_pipe *p, struct l2_err *err)
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

int l2_pipe_end_segment(struct l2_pipe *p, struct l2_err *err)
{
    p->end_pending = false;
    int r = l2_pipe_settle_header(p, err);
    if (r != L2_OK || !l2_writer_in_segment(p->writer))
        return r;
    check_left(p);
    const char *error = p->segment_failed ? p->segment_error : NULL;
    r = output_result(p, l2_writer_end(p->writer, !error, error, err), err);
    p->segment_failed = false;
    return r;
}

int l2_pipe_end_output(struct l2_pipe *p, struct l2_err *err)
{
    bool open = p->header_pending || l2_writer_in_segment(p->writer);
    if (!open && p->segment_failed && p->has_header)
        p->header_pending = true;
    return l2_pipe_end_segment(p, err);
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

int l2_pipe_open_writer(struct l2_pipe *p, bool by_prompt, struct l2_err *err)
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
    int r = l2_pipe_settle_header(p, err);
    return r == L2_OK ? output_result(p, l2_writer_record(p->writer, rec, err), err) : r;
}

int l2_pipe_flush(struct l2_pipe *p, struct l2_err *err)
{
    if (!p->writer)
        return L2_OK;
    int r = l2_pipe_settle_header(p, err);
    return r == L2_OK ? output_result(p, l2_writer_flush(p->writer, err), err) : r;
}

const struct l2_idle *l2_pipe_idle(const struct l2_pipe *p)
{
    return p->writer ? &p->idle : NULL;
}
