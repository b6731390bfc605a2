/* Runs given tokens of records through the engine, the prompt once for all completions. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/feed.h"

#include <assert.h>
#include <stdlib.h>

#include "sample/budget.h"

/* A completion that is being run: behind the prompt in its record's own sequence, or on a fork. */
struct lane {
    struct lane *next; /* in its record's list, or in the list of free ones */
    size_t completion;
    uint32_t n_tokens; /* that count, after truncation */
    uint32_t n_rows;   /* that are run */
    uint32_t fed;
    uint32_t blocks; /* committed for it beyond its record's own */
    struct l2_kv_seq fork;
    struct l2_kv_seq *seq; /* fork, or the record's */
};

/* A record in flight. It holds the blocks of its prompt and of one completion behind it from the
 * start, so that it can always go on by itself, one completion after the other; further ones run
 * beside that on forks where there are blocks left. */
struct flight {
    struct flight *next;
    struct l2_feed_item item;
    uint32_t n_kept, forgotten; /* by truncation: forgotten tokens are left out after n_kept */
    struct l2_kv_seq seq;
    uint32_t n_prompt_rows, prompt_fed;
    uint32_t published;     /* of these, those that were made known to other records */
    size_t next_completion; /* to be started */
    size_t n_finished;
    struct lane *lanes; /* running, oldest first */
    bool seq_taken;     /* by the lane that goes on in seq */
    uint32_t blocks;    /* committed */
    bool faulty;
    bool done;
};

/* Where a row's output goes. */
struct destination {
    struct flight *flight;
    struct lane *lane; /* NULL: the prompt */
    uint32_t position;
};

struct feed {
    struct l2_worker worker;
    struct l2_engine *engine;
    struct l2_feed_visitor visitor;
    enum l2_overlong overlong;
    struct flight *first, *last; /* in input order */
    struct flight *waiting;      /* the last one, when there are no blocks for it yet */
    uint64_t rows_ahead;         /* rows of records taken in that have not been run */
    struct l2_kv_budget budget;
    struct lane *lanes; /* all of them; owned */
    struct lane *free_lanes;
    struct l2_row *rows; /* max_rows */
    struct destination *destinations;
    uint32_t width; /* floats an output */
    uint64_t n_tokens;
    struct l2_worker_faults faults;
};

static struct feed *feed_of(struct l2_worker *w)
{
    return (struct feed *)w;
}

static const struct feed *const_feed_of(const struct l2_worker *w)
{
    return (const struct feed *)w;
}

void l2_worker_fault(struct l2_worker_faults *f, const struct l2_record *rec,
                     const struct l2_err *err)
{
    if (f->records++ == 0) {
        l2_id_format(&rec->id, f->first_id, sizeof f->first_id);
        f->first = *err;
    }
}

/* ---- taking records in ---- */

static int check_ids(const struct l2_record *rec, const struct l2_u32s *ids, const char *where,
                     uint32_t vocab_size, struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    if (!ids->v)
        return l2_err_set(err, L2_FORMAT, "record %s: text, not token ids: l2-tokenize makes them",
                          id);
    for (size_t i = 0; i < ids->n; i++)
        if (ids->v[i] >= vocab_size)
            return l2_err_set(err, L2_CORRUPT,
                              "record %s: token %zu of the %s: want an id below %u, got %u", id, i,
                              where, vocab_size, ids->v[i]);
    return L2_OK;
}

/* The stream's header may not have a vocabulary that bounds ids. */
static int check_tokens(const struct feed *f, const struct l2_record *rec, struct l2_err *err)
{
    uint32_t vocab_size = l2_engine_hparams(f->engine)->vocab_size;
    int r = check_ids(rec, &rec->prompt, "prompt", vocab_size, err);
    for (size_t c = 0; c < rec->n_completions && r == L2_OK; c++)
        r = check_ids(rec, &rec->completions[c].tokens, "completion", vocab_size, err);
    return r;
}

/* Tokens of completion c that count, after the prompt's n_prompt. */
static uint32_t completion_tokens(const struct feed *f, const struct l2_record *rec, size_t c,
                                  uint32_t n_prompt)
{
    uint32_t room = l2_engine_hparams(f->engine)->context - n_prompt;
    size_t n = rec->completions[c].tokens.n;
    return n < room ? (uint32_t)n : room;
}

static size_t longest_completion(const struct l2_record *rec)
{
    size_t most = 0;
    for (size_t c = 0; c < rec->n_completions; c++)
        if (rec->completions[c].tokens.n > most)
            most = rec->completions[c].tokens.n;
    return most;
}

static int overlong_error(const struct feed *f, const struct l2_record *rec, size_t longest,
                          struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    return l2_err_set(
        err, L2_LIMIT,
        "record %s: too long for the context: want at most %u tokens, got a prompt of %zu "
        "and a completion of %zu",
        id, l2_engine_hparams(f->engine)->context, rec->prompt.n, longest);
}

/* Decides how much of a record is run. *drop: nothing. */
static int fit_to_context(struct feed *f, struct flight *t, bool *drop, struct l2_err *err)
{
    const struct l2_record *rec = t->item.rec;
    size_t context = l2_engine_hparams(f->engine)->context;
    size_t n_prompt = rec->prompt.n, longest = longest_completion(rec);
    *drop = false;
    if (n_prompt <= context && longest <= context - n_prompt) {
        t->item.n_prompt = (uint32_t)n_prompt;
        return L2_OK;
    }
    switch (f->overlong) {
    case L2_OVERLONG_ERROR:
        return overlong_error(f, rec, longest, err);
    case L2_OVERLONG_DROP:
        *drop = true;
        f->faults.dropped++;
        return L2_OK;
    case L2_OVERLONG_TRUNCATE_LEFT:
        /* BOS stays; a completion that leaves no room even so is cut at its end */
        t->item.n_prompt = longest < context ? (uint32_t)(context - longest) : 1;
        if (t->item.n_prompt > n_prompt)
            t->item.n_prompt = (uint32_t)n_prompt;
        t->forgotten = (uint32_t)(n_prompt - t->item.n_prompt);
        t->n_kept = n_prompt > 0 && rec->prompt.v[0] == l2_engine_hparams(f->engine)->bos;
        break;
    case L2_OVERLONG_TRUNCATE_RIGHT:
        t->item.n_prompt = (uint32_t)(n_prompt < context ? n_prompt : context);
        break;
    }
    f->faults.truncated++;
    return L2_OK;
}

/* Blocks that a record holds from the start, and the rows that it will run. */
static void plan(struct feed *f, struct flight *t)
{
    const struct l2_feed_visitor *v = &f->visitor;
    uint32_t most = 0, n = t->item.n_prompt;
    t->n_prompt_rows = v->n_rows(v->arg, &t->item, L2_FEED_PROMPT, n);
    f->rows_ahead += t->n_prompt_rows;
    for (size_t c = 0; c < t->item.rec->n_completions; c++) {
        uint32_t rows = v->n_rows(v->arg, &t->item, c, completion_tokens(f, t->item.rec, c, n));
        most = rows > most ? rows : most;
        f->rows_ahead += rows;
    }
    t->blocks = l2_kv_blocks_for(t->n_prompt_rows + most);
}

static bool feed_wants(const struct l2_worker *w)
{
    const struct feed *f = const_feed_of(w);
    return !f->waiting && f->rows_ahead < 2 * (uint64_t)l2_engine_max_rows(f->engine);
}

static int feed_add(struct l2_worker *w, struct l2_record *rec, struct l2_err *err)
{
    struct feed *f = feed_of(w);
    bool drop = false;
    struct flight *t = calloc(1, sizeof *t);
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->item.rec = rec;
    int r = check_tokens(f, rec, err);
    if (r == L2_OK)
        r = fit_to_context(f, t, &drop, err);
    if (r == L2_OK && !drop)
        r = f->visitor.begin(f->visitor.arg, &t->item, err);
    if (r != L2_OK) {
        free(t);
        return r;
    }
    if (drop)
        t->done = true;
    else
        plan(f, t);
    /* the pool holds a whole context */
    assert(t->blocks <= f->budget.total);
    if (!drop && !l2_kv_budget_commit(&f->budget, t->blocks))
        f->waiting = t;
    if (f->last)
        f->last->next = t;
    else
        f->first = t;
    f->last = t;
    return L2_OK;
}

/* ---- one step ---- */

static int finish_completion(struct feed *f, struct flight *t, size_t completion, uint32_t n,
                             struct l2_err *err)
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

static void end_lane(struct feed *f, struct flight *t, struct lane **link)
{
    struct lane *lane = *link;
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
static void end_flight_if_done(struct feed *f, struct flight *t)
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
static int start_lane(struct feed *f, struct flight *t, bool *started, struct l2_err *err)
{
    const struct l2_feed_visitor *v = &f->visitor;
    size_t c = t->next_completion;
    uint32_t n = completion_tokens(f, t->item.rec, c, t->item.n_prompt);
    uint32_t n_rows = v->n_rows(v->arg, &t->item, c, n);
    *started = true;
    if (n_rows == 0) {
        t->next_completion++;
        return finish_completion(f, t, c, n, err);
    }
    struct lane *lane = f->free_lanes;
    uint32_t n_prompt = t->n_prompt_rows;
    uint32_t blocks = t->seq_taken ? l2_kv_blocks_for_fork(n_prompt, n_rows) : 0;
    if (!lane || !l2_kv_budget_commit(&f->budget, blocks)) {
        *started = false;
        return L2_OK;
    }
    f->free_lanes = lane->next;
    *lane = (struct lane){.completion = c, .n_tokens = n, .n_rows = n_rows, .blocks = blocks};
    lane->seq = t->seq_taken ? &lane->fork : &t->seq;
    t->seq_taken = true;
    t->next_completion++;
    struct lane **link = &t->lanes;
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
static void add_rows(struct feed *f, struct batch *b, struct flight *t, struct lane *lane)
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
            f->destinations[b->n_outputs++] = (struct destination){t, lane, *fed};
        b->n_rows++;
        (*fed)++;
        f->rows_ahead--;
    }
}

/* Rows of t's prompt that may be taken from another record: those before the first that wants an
 * output. */
static uint32_t sharable(const struct feed *f, const struct flight *t)
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
static bool is_being_run(const struct feed *f, const struct flight *t, uint32_t n, uint32_t known)
{
    for (const struct flight *u = f->first; u != t; u = u->next) {
        uint32_t fed = u->prompt_fed < n ? u->prompt_fed : n;
        if (!u->done && u->forgotten == 0 && u->prompt_fed > u->seq.len &&
            l2_prefix_common(&t->item.rec->prompt, &u->item.rec->prompt, fed) > known)
            return true;
    }
    return false;
}

/* Takes what is known of t's prompt and makes room for all of it. *waits: nothing was done. */
static int begin_prompt(struct feed *f, struct flight *t, bool *waits, struct l2_err *err)
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
static int publish_prompt(struct feed *f, struct flight *t, struct l2_err *err)
{
    if (!l2_engine_shares_prefixes(f->engine) || t->forgotten > 0 || t->prompt_fed <= t->published)
        return L2_OK;
    t->published = t->prompt_fed;
    return l2_kv_prefix_publish(l2_engine_kv(f->engine), &t->seq, t->item.rec->prompt.v,
                                t->prompt_fed, err);
}

/* Rows of a record: its prompt first; its completions when the prompt was run by an earlier batch.
 */
static int add_flight(struct feed *f, struct batch *b, struct flight *t, struct l2_err *err)
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
    for (struct lane *lane = t->lanes; lane; lane = lane->next)
        add_rows(f, b, t, lane);
    bool started = true;
    while (started && t->next_completion < t->item.rec->n_completions &&
           b->n_rows < l2_engine_max_rows(f->engine) &&
           b->n_outputs < l2_engine_max_outputs(f->engine)) {
        struct lane *last = t->lanes;
        while (last && last->next)
            last = last->next;
        int r = start_lane(f, t, &started, err);
        if (r != L2_OK)
            return r;
        struct lane *lane = last ? last->next : t->lanes;
        if (started && lane)
            add_rows(f, b, t, lane);
    }
    return L2_OK;
}

/* After a batch: ends what is finished in t. */
static int settle(struct feed *f, struct flight *t, struct l2_err *err)
{
    int r = publish_prompt(f, t, err);
    for (struct lane **link = &t->lanes; *link && r == L2_OK;) {
        struct lane *lane = *link;
        if (lane->fed < lane->n_rows) {
            link = &lane->next;
            continue;
        }
        r = finish_completion(f, t, lane->completion, lane->n_tokens, err);
        end_lane(f, t, link);
    }
    if (r == L2_OK && t->item.rec->n_completions == 0 && t->prompt_fed == t->n_prompt_rows &&
        !t->done && t->n_finished == 0)
        r = finish_completion(f, t, L2_FEED_PROMPT, t->item.n_prompt, err);
    if (r == L2_OK)
        end_flight_if_done(f, t);
    return r;
}

static int deliver(struct feed *f, size_t n_outputs, const float *values, struct l2_err *err)
{
    const struct l2_feed_visitor *v = &f->visitor;
    int r = L2_OK;
    for (size_t i = 0; i < n_outputs && r == L2_OK; i++) {
        struct destination *d = &f->destinations[i];
        size_t completion = d->lane ? d->lane->completion : L2_FEED_PROMPT;
        r = v->output_row(v->arg, &d->flight->item, completion, d->position, values + i * f->width,
                          f->width, err);
    }
    return r;
}

static bool feed_busy(const struct l2_worker *w)
{
    for (const struct flight *t = const_feed_of(w)->first; t; t = t->next)
        if (!t->done)
            return true;
    return false;
}

static int feed_step(struct l2_worker *w, struct l2_err *err)
{
    struct feed *f = feed_of(w);
    struct batch b = {0};
    int r = L2_OK;
    if (f->waiting && l2_kv_budget_commit(&f->budget, f->waiting->blocks))
        f->waiting = NULL;
    for (struct flight *t = f->first; t && r == L2_OK && b.n_rows < l2_engine_max_rows(f->engine);
         t = t->next)
        if (!t->done && t != f->waiting)
            r = add_flight(f, &b, t, err);
    const float *values = NULL;
    if (r == L2_OK && b.n_rows > 0)
        r = l2_engine_forward(f->engine, f->rows, b.n_rows, f->visitor.output, &values, err);
    if (r == L2_OK)
        r = deliver(f, b.n_outputs, values, err);
    f->n_tokens += b.n_rows;
    for (struct flight *t = f->first; t && r == L2_OK; t = t->next)
        if (!t->done && t != f->waiting)
            r = settle(f, t, err);
    return r;
}

/* ---- giving records back ---- */

static void flight_free(struct feed *f, struct flight *t)
{
    while (t->lanes)
        end_lane(f, t, &t->lanes);
    l2_kv_seq_release(l2_engine_kv(f->engine), &t->seq);
    free(t);
}

static struct l2_record *feed_take(struct l2_worker *w)
{
    struct feed *f = feed_of(w);
    struct flight *t = f->first, *before = NULL;
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
    struct feed *f = feed_of(w);
    if (!w)
        return;
    while (f->first) {
        struct flight *t = f->first;
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
    struct feed *f = calloc(1, sizeof *f);
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
