/* The main loop of programs that run records through a model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>

#include "common/run.h"

/* A record that is not in use; its arena keeps its memory. */
struct spare {
    struct l2_record rec; /* first: the worker knows it as a struct l2_record */
    struct spare *next;
};

struct loop {
    struct l2_run *run;
    const struct l2_worker_ops *ops;
    struct spare *spares;
    uint64_t n_in, n_out; /* records */
    bool at_end;          /* nothing more is read */
    bool segment_ending; /* its last record was read; the worker must be empty before the next is */
};

static struct l2_record *get_record(struct loop *l, struct l2_err *err)
{
    struct spare *s = l->spares;
    if (s) {
        l->spares = s->next;
        return &s->rec;
    }
    s = malloc(sizeof *s);
    if (!s) {
        (void)l2_err_memory(err, sizeof *s);
        return NULL;
    }
    l2_record_init(&s->rec);
    return &s->rec;
}

static void put_back(struct loop *l, struct l2_record *rec)
{
    struct spare *s = (struct spare *)rec;
    l2_record_reset(rec);
    s->next = l->spares;
    l->spares = s;
}

static void free_spares(struct loop *l)
{
    while (l->spares) {
        struct spare *s = l->spares;
        l->spares = s->next;
        l2_record_release(&s->rec);
        free(s);
    }
}

/* Takes one event of the input in. L2_AGAIN when there is nothing to take now. */
static int take_in(struct loop *l, bool wait, struct l2_err *err)
{
    enum l2_pipe_event event;
    struct l2_run *run = l->run;
    struct l2_record *rec = get_record(l, err);
    if (!rec)
        return L2_MEMORY;

    int r = l2_pipe_next(run->pipe, wait, &event, rec, err);
    if (r == L2_OK && event == L2_PIPE_RECORD) {
        r = l->ops->add(run->worker, rec, err);
        if (r < 0)
            put_back(l, rec);
        else
            l->n_in++;
        return r;
    }
    put_back(l, rec);
    if (r == L2_END) {
        l->at_end = true;
        return L2_OK;
    }
    if (r == L2_OK && event == L2_PIPE_SEGMENT_END)
        l->segment_ending = true;
    if (r == L2_OK && event == L2_PIPE_HEADER && run->header)
        r = run->header(run->arg, l2_pipe_header(run->pipe), err);
    return r < 0 ? l2_err_in_file(err, l2_pipe_input_name(run->pipe)) : r;
}

/* Puts out what is finished. */
static int put_out(struct loop *l, struct l2_err *err)
{
    struct l2_run *run = l->run;
    struct l2_record *rec;
    int r = L2_OK;
    while (r == L2_OK && (rec = l->ops->take(run->worker))) {
        bool write = true;
        l->n_out++;
        if (run->done)
            r = run->done(run->arg, rec, &write, err);
        if (r == L2_OK && write)
            r = l2_pipe_put(run->pipe, rec, err);
        put_back(l, rec);
    }
    return r;
}

/* Of what was read, that is done which has been put out. */
static void show_progress(struct loop *l)
{
    uint64_t tokens, generated;
    double share = l2_pipe_share(l->run->pipe);
    l->ops->counts(l->run->worker, &tokens, &generated);
    if (share >= 0 && l->n_in > 0)
        share *= (double)l->n_out / (double)l->n_in;
    l2_cli_progress_share(l->run->cli, share, tokens, "tokens");
}

/* Reads while the worker wants records and the input has some; waits only when there is nothing
 * else to do, and everything that is finished has been put out. An input record that the worker
 * refuses ends the reading, and what came before it is finished. */
static int fill(struct loop *l, struct l2_err *err)
{
    const struct l2_worker *w = l->run->worker;
    while (!l->at_end && !l->segment_ending && l->ops->wants(w)) {
        bool idle = !l->ops->busy(w);
        int r = idle ? put_out(l, err) : L2_OK;
        if (r < 0)
            return r;
        r = take_in(l, idle, err);
        if (r == L2_AGAIN)
            break;
        if (r < 0) {
            l2_pipe_fail(l->run->pipe, err);
            l->at_end = true;
        }
    }
    return put_out(l, err);
}

/* L2_END when all is done. */
static int turn(struct loop *l, struct l2_err *err)
{
    struct l2_worker *w = l->run->worker;
    int r = fill(l, err);
    if (r < 0)
        return r;
    if (l->ops->busy(w)) {
        r = l2_pipe_flush(l->run->pipe, err);
        if (r == L2_OK)
            r = l->ops->step(w, err);
        if (r == L2_OK)
            r = put_out(l, err);
        show_progress(l);
        return r;
    }
    if (l->at_end)
        return L2_END;
    if (!l->segment_ending && !l->ops->wants(w))
        return l2_err_set(err, L2_ARGUMENT, "the worker is idle and takes nothing in");
    l->segment_ending = false;
    return L2_OK;
}

static void report_faults(const struct l2_run *run)
{
    char why[1024];
    struct l2_cli *cli = run->cli;
    const struct l2_worker_faults *f = run->worker->ops->faults(run->worker);
    if (f->records == 0)
        return;
    struct l2_err err;
    l2_err_format(&f->first, why, sizeof why);
    (void)l2_err_set(&err, L2_CORRUPT, "record %s: %s (%llu in all went without a result)",
                     f->first_id, why, (unsigned long long)f->records);
    (void)l2_cli_error(cli, &err);
    json_object_set_new(cli->report, "failed_records", json_integer((json_int_t)f->records));
}

int l2_run_worker(struct l2_run *run)
{
    struct l2_err err;
    struct loop l = {.run = run, .ops = run->worker->ops};
    int r;
    run->worker->unordered = run->cli->model.unordered;
    do
        r = turn(&l, &err);
    while (r == L2_OK);
    l2_cli_progress_done(run->cli);
    if (r < 0)
        l2_pipe_fail(run->pipe, &err);
    int status = l2_pipe_close(run->pipe);
    if (!run->cli->broken)
        report_faults(run);
    free_spares(&l);
    return status > run->cli->status ? status : run->cli->status;
}
