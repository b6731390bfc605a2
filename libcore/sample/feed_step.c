/* Running given tokens: what goes into one forward pass, and where its outputs go. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/feed_state.h"

static int finish_completion(struct l2_feed *f, struct l2_feed_flight *t, size_t completion,
                             uint32_t n, struct l2_err *err)
{
    int r = f->visitor.finish(f->visitor.arg, &t->item, completion, n, err);
    if (r == L2_CORRUPT) {
        if (!t->faulty)
            l2_worker_fault(&f->faults, t->item.rec, err);
        t->faulty = true;
        r = L2_OK;
    }
    t->n_finished++;
    return r;
}

void l2_feed_end_lane(struct l2_feed *f, struct l2_feed_flight *t, struct l2_feed_lane **link)
{
    struct l2_feed_lane *lane = *link;
    *link = lane->next;
    if (lane->seq == &t->seq) {
        l2_kv_seq_truncate(l2_engine_kv(f->engine), &t->seq, t->n_prompt_rows);
        t->seq_taken = false;
    } else {
        l2_kv_seq_release(l2_engine_kv(f->engine), &lane->fork);
        l2_kv_budget_return(&f->budget, lane->blocks);
    }
    lane->next = f->free_lanes;
    f->free_lanes = lane;
}

/* Gives a record's blocks back once nothing of it is left to run. */
static void end_flight_if_done(struct l2_feed *f, struct l2_feed_flight *t)
{
    size_t n = t->item.rec->n_completions;
    if (t->done || t->n_finished < (n > 0 ? n : 1))
        return;
    l2_kv_seq_release(l2_engine_kv(f->engine), &t->seq);
    l2_kv_budget_return(&f->budget, t->blocks);
    t->done = true;
}

/* Starts the next completion of t; *started is false when there is no lane or no memory for it now.
 */
static int start_lane(struct l2_feed *f, struct l2_feed_flight *t, bool *started,
                      struct l2_err *err)
{
    const struct l2_feed_visitor *v = &f->visitor;
    size_t c = t->next_completion;
    uint32_t n = l2_feed_completion_tokens(f, t->item.rec, c, t->item.n_prompt);
    uint32_t n_rows = v->n_rows(v->arg, &t->item, c, n);
    *started = true;
    if (n_rows == 0) {
        t->next_completion++;
        return finish_completion(f, t, c, n, err);
    }
    struct l2_feed_lane *lane = f->free_lanes;
    uint32_t n_prompt = t->n_prompt_rows;
    uint32_t blocks = t->seq_taken ? l2_kv_blocks_for_fork(n_prompt, n_rows) : 0;
    if (!lane || !l2_kv_budget_commit(&f->budget, blocks)) {
        *started = false;
        return L2_OK;
    }
    f->free_lanes = lane->next;
    *lane =
        (struct l2_feed_lane){.completion = c, .n_tokens = n, .n_rows = n_rows, .blocks = blocks};
    lane->seq = t->seq_taken ? &lane->fork : &t->seq;
    t->seq_taken = true;
    t->next_completion++;
    struct l2_feed_lane **link = &t->lanes;
    while (*link)
        link = &(*link)->next;
    *link = lane;
    int r = L2_OK;
    if (lane->seq == &lane->fork)
        r = l2_kv_seq_fork(l2_engine_kv(f->engine), &lane->fork, &t->seq, n_prompt, err);
    if (r == L2_OK)
        r = l2_kv_seq_reserve(l2_engine_kv(f->engine), lane->seq, n_prompt + n_rows, err);
    return r;
}

/* The batch that is being put together. */
struct batch {
    size_t n_rows, n_outputs;
};

/* Adds rows of one part from *fed on, as far as the batch has room. */
static void add_rows(struct l2_feed *f, struct batch *b, struct l2_feed_flight *t,
                     struct l2_feed_lane *lane)
{
    const struct l2_feed_visitor *v = &f->visitor;
    const struct l2_record *rec = t->item.rec;
    size_t completion = lane ? lane->completion : L2_FEED_PROMPT;
    uint32_t *fed = lane ? &lane->fed : &t->prompt_fed;
    uint32_t n = lane ? lane->n_rows : t->n_prompt_rows;
    while (*fed < n && b->n_rows < l2_engine_max_rows(f->engine)) {
        bool wants = v->wants(v->arg, &t->item, completion, *fed, n);
        if (wants && b->n_outputs == l2_engine_max_outputs(f->engine))
            return;
        uint32_t token = lane ? rec->completions[completion].tokens.v[*fed]
                              : rec->prompt.v[*fed < t->n_kept ? *fed : *fed + t->forgotten];
        f->rows[b->n_rows] = (struct l2_row){
            .token = token, .seq = lane ? lane->seq : &t->seq, .wants_output = wants};
        if (wants)
            f->destinations[b->n_outputs++] = (struct l2_feed_destination){t, lane, *fed};
        b->n_rows++;
        (*fed)++;
        f->rows_ahead--;
    }
}

/* Rows of t's prompt that may be taken from another record: those before the first that wants an
 * output. */
static uint32_t sharable(const struct l2_feed *f, const struct l2_feed_flight *t)
{
    const struct l2_feed_visitor *v = &f->visitor;
    uint32_t n = 0;
    if (!l2_engine_shares_prefixes(f->engine) || t->forgotten > 0)
        return 0;
    while (n < t->n_prompt_rows && !v->wants(v->arg, &t->item, L2_FEED_PROMPT, n, t->n_prompt_rows))
        n++;
    return n;
}

/* Whether the batch runs more of the first n tokens of t's prompt, for another record, than is
 * known: then t does better to wait for the next one. */
static bool is_being_run(const struct l2_feed *f, const struct l2_feed_flight *t, uint32_t n,
                         uint32_t known)
{
    for (const struct l2_feed_flight *u = f->first; u != t; u = u->next) {
        uint32_t fed = u->prompt_fed < n ? u->prompt_fed : n;
        if (!u->done && u->forgotten == 0 && u->prompt_fed > u->seq.len &&
            l2_prefix_common(&t->item.rec->prompt, &u->item.rec->prompt, fed) > known)
            return true;
    }
    return false;
}

/* Takes what is known of t's prompt and makes room for all of it. *waits: nothing was done. */
static int begin_prompt(struct l2_feed *f, struct l2_feed_flight *t, bool *waits,
                        struct l2_err *err)
{
    struct l2_kv_pool *kv = l2_engine_kv(f->engine);
    const uint32_t *tokens = t->item.rec->prompt.v;
    uint32_t n = sharable(f, t);
    int r = L2_OK;
    *waits = is_being_run(f, t, n, l2_kv_prefix_find(kv, tokens, n));
    if (*waits)
        return L2_OK;
    r = l2_kv_prefix_share(kv, &t->seq, tokens, n, err);
    if (r != L2_OK)
        return r;
    t->prompt_fed = t->published = t->seq.len;
    f->rows_ahead -= t->seq.len;
    return l2_kv_seq_reserve(kv, &t->seq, t->n_prompt_rows, err);
}

/* After the pass: makes known what it ran of t's prompt. */
static int publish_prompt(struct l2_feed *f, struct l2_feed_flight *t, struct l2_err *err)
{
    if (!l2_engine_shares_prefixes(f->engine) || t->forgotten > 0 || t->prompt_fed <= t->published)
        return L2_OK;
    t->published = t->prompt_fed;
    return l2_kv_prefix_publish(l2_engine_kv(f->engine), &t->seq, t->item.rec->prompt.v,
                                t->prompt_fed, err);
}

/* Rows of a record: its prompt first; its completions when the prompt was run by an earlier batch.
 */
static int add_flight(struct l2_feed *f, struct batch *b, struct l2_feed_flight *t,
                      struct l2_err *err)
{
    if (t->prompt_fed < t->n_prompt_rows) {
        bool waits = false;
        int r = L2_OK;
        if (t->seq.n_blocks == 0)
            r = begin_prompt(f, t, &waits, err);
        if (r == L2_OK && !waits)
            add_rows(f, b, t, NULL);
        if (r != L2_OK || t->seq.len < t->n_prompt_rows)
            return r;
    }
    if (t->seq.len < t->n_prompt_rows)
        return L2_OK;
    for (struct l2_feed_lane *lane = t->lanes; lane; lane = lane->next)
        add_rows(f, b, t, lane);
    bool started = true;
    while (started && t->next_completion < t->item.rec->n_completions &&
           b->n_rows < l2_engine_max_rows(f->engine) &&
           b->n_outputs < l2_engine_max_outputs(f->engine)) {
        struct l2_feed_lane *last = t->lanes;
        while (last && last->next)
            last = last->next;
        int r = start_lane(f, t, &started, err);
        if (r != L2_OK)
            return r;
        struct l2_feed_lane *lane = last ? last->next : t->lanes;
        if (started && lane)
            add_rows(f, b, t, lane);
    }
    return L2_OK;
}

/* After a batch: ends what is finished in t. */
static int settle(struct l2_feed *f, struct l2_feed_flight *t, struct l2_err *err)
{
    int r = publish_prompt(f, t, err);
    for (struct l2_feed_lane **link = &t->lanes; *link && r == L2_OK;) {
        struct l2_feed_lane *lane = *link;
        if (lane->fed < lane->n_rows) {
            link = &lane->next;
            continue;
        }
        r = finish_completion(f, t, lane->completion, lane->n_tokens, err);
        l2_feed_end_lane(f, t, link);
    }
    if (r == L2_OK && t->item.rec->n_completions == 0 && t->prompt_fed == t->n_prompt_rows &&
        !t->done && t->n_finished == 0)
        r = finish_completion(f, t, L2_FEED_PROMPT, t->item.n_prompt, err);
    if (r == L2_OK)
        end_flight_if_done(f, t);
    return r;
}

static int deliver(struct l2_feed *f, size_t n_outputs, const float *values, struct l2_err *err)
{
    const struct l2_feed_visitor *v = &f->visitor;
    int r = L2_OK;
    for (size_t i = 0; i < n_outputs && r == L2_OK; i++) {
        struct l2_feed_destination *d = &f->destinations[i];
        size_t completion = d->lane ? d->lane->completion : L2_FEED_PROMPT;
        r = v->output_row(v->arg, &d->flight->item, completion, d->position, values + i * f->width,
                          f->width, err);
    }
    return r;
}

int l2_feed_step(struct l2_feed *f, struct l2_err *err)
{
    struct batch b = {0};
    int r = L2_OK;
    if (f->waiting && l2_kv_budget_commit(&f->budget, f->waiting->blocks))
        f->waiting = NULL;
    for (struct l2_feed_flight *t = f->first;
         t && r == L2_OK && b.n_rows < l2_engine_max_rows(f->engine); t = t->next)
        if (!t->done && t != f->waiting)
            r = add_flight(f, &b, t, err);
    const float *values = NULL;
    if (r == L2_OK && b.n_rows > 0)
        r = l2_engine_forward(f->engine, f->rows, b.n_rows, f->visitor.output, &values, err);
    if (r == L2_OK)
        r = deliver(f, b.n_outputs, values, err);
    f->n_tokens += b.n_rows;
    for (struct l2_feed_flight *t = f->first; t && r == L2_OK; t = t->next)
        if (!t->done && t != f->waiting)
            r = settle(f, t, err);
    return r;
}
