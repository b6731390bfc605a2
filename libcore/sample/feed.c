/* Runs given tokens of records through the engine, the prompt once for all completions. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/feed_state.h"

#include <stdlib.h>

static struct l2_feed *feed_of(struct l2_worker *w)
{
    return (struct l2_feed *)w;
}

static const struct l2_feed *const_feed_of(const struct l2_worker *w)
{
    return (const struct l2_feed *)w;
}

void l2_worker_fault(struct l2_worker_faults *f, const struct l2_record *rec,
                     const struct l2_err *err)
{
    if (f->records++ == 0) {
        l2_id_format(&rec->id, f->first_id, sizeof f->first_id);
        f->first = *err;
    }
}

static bool feed_wants(const struct l2_worker *w)
{
    const struct l2_feed *f = const_feed_of(w);
    return !f->waiting && f->rows_ahead < 2 * (uint64_t)l2_engine_max_rows(f->engine);
}

static bool feed_busy(const struct l2_worker *w)
{
    for (const struct l2_feed_flight *t = const_feed_of(w)->first; t; t = t->next)
        if (!t->done)
            return true;
    return false;
}

static int feed_add(struct l2_worker *w, struct l2_record *rec, struct l2_err *err)
{
    return l2_feed_add(feed_of(w), rec, err);
}

static int feed_step(struct l2_worker *w, struct l2_err *err)
{
    return l2_feed_step(feed_of(w), err);
}

static void flight_free(struct l2_feed *f, struct l2_feed_flight *t)
{
    while (t->lanes)
        l2_feed_end_lane(f, t, &t->lanes);
    l2_kv_seq_release(l2_engine_kv(f->engine), &t->seq);
    free(t);
}

static struct l2_record *feed_take(struct l2_worker *w)
{
    struct l2_feed *f = feed_of(w);
    struct l2_feed_flight *t = f->first, *before = NULL;
    while (w->unordered && t && !t->done) {
        before = t;
        t = t->next;
    }
    if (!t || !t->done)
        return NULL;
    struct l2_record *rec = t->item.rec;
    *(before ? &before->next : &f->first) = t->next;
    if (!t->next)
        f->last = before;
    flight_free(f, t);
    return rec;
}

static void feed_counts(const struct l2_worker *w, uint64_t *tokens, uint64_t *generated)
{
    *tokens = const_feed_of(w)->n_tokens;
    *generated = 0;
}

static const struct l2_worker_faults *feed_faults(const struct l2_worker *w)
{
    return &const_feed_of(w)->faults;
}

struct l2_worker_faults *l2_feed_faults(struct l2_worker *w)
{
    return &feed_of(w)->faults;
}

static void feed_free(struct l2_worker *w)
{
    struct l2_feed *f = feed_of(w);
    if (!w)
        return;
    while (f->first) {
        struct l2_feed_flight *t = f->first;
        f->first = t->next;
        l2_record_release(t->item.rec);
        free(t->item.rec);
        flight_free(f, t);
    }
    f->visitor.free(f->visitor.arg);
    free(f->lanes);
    free(f->rows);
    free(f->destinations);
    free(f);
}

static const struct l2_worker_ops feed_ops = {
    .wants = feed_wants,
    .add = feed_add,
    .busy = feed_busy,
    .step = feed_step,
    .take = feed_take,
    .counts = feed_counts,
    .faults = feed_faults,
    .free = feed_free,
};

static uint32_t output_width(const struct l2_hparams *hp, enum l2_output output)
{
    if (output == L2_OUT_HIDDEN)
        return hp->dim;
    return hp->head == L2_HEAD_LABELS ? hp->n_labels : hp->vocab_size;
}

int l2_feed_new(struct l2_worker **out, struct l2_engine *e, const struct l2_feed_visitor *visitor,
                enum l2_overlong overlong, struct l2_err *err)
{
    uint32_t n = l2_engine_max_rows(e);
    *out = NULL;
    struct l2_feed *f = calloc(1, sizeof *f);
    if (!f) {
        visitor->free(visitor->arg);
        return l2_err_memory(err, sizeof *f);
    }
    f->worker.ops = &feed_ops;
    f->engine = e;
    f->visitor = *visitor;
    l2_kv_budget_init(&f->budget, l2_engine_kv(e));
    f->overlong = overlong;
    f->width = output_width(l2_engine_hparams(e), visitor->output);
    f->lanes = calloc(n, sizeof *f->lanes);
    f->rows = calloc(n, sizeof *f->rows);
    f->destinations = calloc(n, sizeof *f->destinations);
    if (!f->lanes || !f->rows || !f->destinations) {
        feed_free(&f->worker);
        return l2_err_memory(err, n * sizeof *f->lanes);
    }
    for (uint32_t i = 0; i < n; i++) {
        f->lanes[i].next = f->free_lanes;
        f->free_lanes = &f->lanes[i];
    }
    *out = &f->worker;
    return L2_OK;
}
