/* Generation: prompts are run in chunks beside the decoding rows of completions, and finished
 * completions give their place to the next ones. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/generate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sample/admit.h"
#include "sample/budget.h"
#include "sample/feed.h"
#include "sample/growing.h"
#include "util/philox.h"

/* A record in flight. Its own sequence holds the prompt, and the tokens of one completion at a time
 * behind it; it has the blocks for both from admission on, so that a record can always finish by
 * itself, one completion after the other. Further completions fork the prompt where the cache has
 * room for them. */
struct flight {
    struct flight *next;
    struct l2_record *rec;
    struct l2_philox_key key;
    uint64_t first_k;
    uint32_t max_new;  /* tokens of a completion, as far as the context has room */
    bool continuation; /* for the decoder */
    struct l2_kv_seq seq;
    bool seq_taken;         /* by the completion that goes on in seq */
    uint32_t blocks;        /* committed; 0 before admission */
    size_t prompt_fed;      /* rows of the prompt that were put into batches */
    struct l2_draw *first;  /* the first draw of each completion; NULL before the prompt was run */
    uint32_t started, done; /* completions */
    struct l2_completion *results; /* one each; those without tokens failed */
    struct l2_err fault;           /* where failed > 0: why the first one did */
    uint32_t failed;
    bool finished;
};

/* A completion that is decoded: one row a step. */
struct lane {
    struct lane *next; /* among the active ones, oldest first, or the free ones */
    struct flight *flight;
    uint32_t index; /* of the completion in its flight */
    struct l2_kv_seq own;
    struct l2_kv_seq *seq; /* own, or the flight's */
    uint32_t blocks;       /* committed for own */
    struct l2_growing text;
};

/* Where an output goes. */
struct destination {
    struct lane *lane; /* NULL: the last row of flight's prompt */
    struct flight *flight;
};

struct generator {
    struct l2_worker worker;
    struct l2_engine *engine;
    const struct l2_hparams *hp;
    struct l2_kv_pool *kv;
    struct l2_generate_opts opts;
    struct l2_growing_rules rules;
    struct l2_sampler *sampler;
    uint32_t vocab_size;         /* ids that the stream may hold */
    struct flight *head, **tail; /* in input order */
    size_t n_flights;
    uint64_t waiting; /* completions of records that are not admitted */
    uint64_t pending; /* completions of admitted records that have not been started */
    struct l2_kv_budget budget;
    struct lane *lanes; /* all of them; owned */
    uint32_t n_lanes, n_active;
    struct lane *active, *idle;
    struct l2_row *rows;
    struct destination *destinations;
    uint32_t max_rows, max_outputs;
    uint32_t n_rows, n_outputs; /* of the batch that is being made */
    uint64_t n_tokens, n_generated;
    struct l2_generate_counts results;
    struct l2_worker_faults faults;
};

static struct generator *generator_of(struct l2_worker *w)
{
    return (struct generator *)w;
}

static const struct generator *const_generator_of(const struct l2_worker *w)
{
    return (const struct generator *)w;
}

/* Positions that a completion of t may come to use: its last token is never fed. */
static uint32_t positions_of(const struct flight *t)
{
    return (uint32_t)t->rec->prompt.n + t->max_new - 1;
}

/* ---- taking records in ---- */

static bool generator_wants(const struct l2_worker *w)
{
    const struct generator *g = const_generator_of(w);
    return g->waiting < g->n_lanes && g->n_flights < 4 * (size_t)g->n_lanes + 16;
}

/* Makes room for a completion. *drop: the record passes without one. */
static int fit_prompt(struct generator *g, struct l2_record *rec, bool *drop, struct l2_err *err)
{
    uint32_t context = g->hp->context, room = g->opts.max_new_tokens;
    bool left = g->opts.overlong == L2_OVERLONG_TRUNCATE_LEFT;
    *drop = false;
    if (rec->prompt.n < context)
        return L2_OK;
    if (g->opts.overlong == L2_OVERLONG_ERROR)
        return l2_admit_overlong(rec, context, err);
    *drop = g->opts.overlong == L2_OVERLONG_DROP;
    if (*drop) {
        g->faults.dropped++;
        return L2_OK;
    }
    g->faults.truncated++;
    if (room == 0 || room > context / 2)
        room = context / 2;
    return l2_admit_truncate(rec, context - room, left, g->hp->bos, err);
}

static int prepare(struct generator *g, struct flight *t, struct l2_err *err)
{
    struct l2_record *rec = t->rec;
    uint32_t n = g->opts.n_completions;
    size_t room = g->hp->context - rec->prompt.n;
    uint8_t id_hash[32];
    l2_id_hash(&rec->id, id_hash);
    t->key = l2_philox_key_for(g->opts.seed, id_hash);
    t->max_new = g->opts.max_new_tokens;
    if (t->max_new == 0 || t->max_new > room)
        t->max_new = (uint32_t)room;
    t->continuation = l2_admit_has_text(g->opts.vocab, &rec->prompt);
    t->results = l2_arena_alloc(&rec->arena, n, sizeof *t->results, err);
    if (!t->results)
        return L2_MEMORY;
    memset(t->results, 0, n * sizeof *t->results);
    return L2_OK;
}

static int generator_add(struct l2_worker *w, struct l2_record *rec, struct l2_err *err)
{
    struct generator *g = generator_of(w);
    struct flight *t = calloc(1, sizeof *t);
    bool drop = false;
    int rc;
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->rec = rec;
    if ((rc = l2_admit_check(rec, g->hp->vocab_size, err)) < 0 ||
        (rc = l2_admit_first_k(rec, g->opts.n_completions, &t->first_k, err)) < 0 ||
        (rc = fit_prompt(g, rec, &drop, err)) < 0 || (!drop && (rc = prepare(g, t, err)) < 0)) {
        free(t);
        return rc;
    }
    t->finished = drop;
    if (!drop)
        g->waiting += g->opts.n_completions;
    *g->tail = t;
    g->tail = &t->next;
    g->n_flights++;
    return L2_OK;
}

/* ---- completions ---- */

static int draw(struct generator *g, const struct flight *t, uint32_t index,
                const struct l2_growing *text, const float *logits, struct l2_draw *out,
                struct l2_err *err)
{
    const uint32_t *seen = text ? text->tokens.v : t->rec->prompt.v;
    size_t n_seen = text ? text->tokens.n : t->rec->prompt.n, position = text ? text->n : 0;
    double u = l2_philox_uniform(t->key, t->first_k + index, position);
    int rc = l2_sampler_draw(g->sampler, logits, seen, n_seen, u, out, err);
    if (rc == L2_OK && out->id >= g->vocab_size)
        rc = l2_err_set(err, L2_CORRUPT, "token %u was drawn: the vocabulary has %u",
                        (unsigned)out->id, (unsigned)g->vocab_size);
    return rc;
}

/* Completion number index of t will not be. */
static void fail_completion(struct flight *t, const struct l2_err *err)
{
    if (t->failed++ == 0)
        t->fault = *err;
    t->done++;
}

static int describe(const struct generator *g, const struct flight *t, uint32_t index,
                    struct l2_completion *c, struct l2_err *err)
{
    struct l2_gen *gen = &c->gen;
    gen->present = gen->has_k = gen->has_seed = gen->has_temperature = true;
    gen->k = t->first_k + index;
    gen->seed = g->opts.seed;
    gen->temperature = g->opts.sampler.temperature;
    gen->has_round = g->opts.has_round;
    gen->round = g->opts.round;
    if (!g->opts.model_name)
        return L2_OK;
    return l2_record_str(t->rec, g->opts.model_name, strlen(g->opts.model_name), &gen->model, err);
}

/* The completions that came about, in order of k, at the end of the record's. */
static int finish_flight(struct generator *g, struct flight *t, struct l2_err *err)
{
    for (uint32_t i = 0; i < g->opts.n_completions; i++) {
        struct l2_completion *c;
        if (!t->results[i].tokens.v)
            continue;
        c = l2_record_add_completion(t->rec, err);
        if (!c)
            return L2_MEMORY;
        *c = t->results[i];
    }
    if (t->failed > 0)
        l2_worker_fault(&g->faults, t->rec, &t->fault);
    l2_kv_seq_release(g->kv, &t->seq);
    l2_kv_budget_return(&g->budget, t->blocks);
    g->pending -= g->opts.n_completions - t->started; /* failed before they were started */
    free(t->first);
    t->first = NULL;
    t->finished = true;
    return L2_OK;
}

/* Takes the lane that *link points at out of the active ones; what it has grown, if it has ended
 * well, becomes the result. */
static int end_lane(struct generator *g, struct lane **link, struct l2_err *err)
{
    struct lane *lane = *link;
    struct flight *t = lane->flight;
    struct l2_completion *c = &t->results[lane->index];
    int rc = L2_OK;
    *link = lane->next;
    lane->next = g->idle;
    g->idle = lane;
    g->n_active--;
    if (lane->seq == &t->seq) {
        l2_kv_seq_truncate(g->kv, &t->seq, (uint32_t)t->rec->prompt.n);
        t->seq_taken = false;
    } else {
        l2_kv_seq_release(g->kv, &lane->own);
        l2_kv_budget_return(&g->budget, lane->blocks);
    }
    if (lane->text.finish != L2_FINISH_NONE) {
        t->done++;
        rc = l2_growing_result(&lane->text, &g->rules, &t->rec->arena, c, err);
        if (rc == L2_OK)
            rc = describe(g, t, lane->index, c, err);
        g->results.completions[lane->text.finish]++;
        g->results.tokens += c->tokens.n;
    }
    if (rc == L2_OK && t->done == g->opts.n_completions)
        rc = finish_flight(g, t, err);
    return rc;
}

/* A sequence for the lane: the flight's own, or a fork of its prompt. False when neither is to be
 * had now. */
static bool find_sequence(struct generator *g, struct flight *t, struct lane *lane)
{
    if (!t->seq_taken) {
        lane->seq = &t->seq;
        lane->blocks = 0;
        t->seq_taken = true;
        return true;
    }
    lane->seq = &lane->own;
    lane->blocks = l2_kv_blocks_for_fork((uint32_t)t->rec->prompt.n, t->max_new - 1);
    return l2_kv_budget_commit(&g->budget, lane->blocks);
}

/* Starts t's next completion in an idle lane with the token that was drawn from the prompt's
 * logits. *started is false when it has to wait. */
static int start_completion(struct generator *g, struct flight *t, bool *started,
                            struct l2_err *err)
{
    struct lane *lane = g->idle, **link = &g->active;
    uint32_t index = t->started;
    const uint32_t *before = g->opts.sampler.repetition_penalty != 1 ? t->rec->prompt.v : NULL;
    int rc = L2_OK;
    *started = find_sequence(g, t, lane);
    if (!*started)
        return L2_OK;
    t->started++;
    g->pending--;
    g->idle = lane->next;
    lane->next = NULL;
    lane->flight = t;
    lane->index = index;
    while (*link)
        link = &(*link)->next;
    *link = lane;
    g->n_active++;
    lane->text.finish = L2_FINISH_NONE;
    rc = l2_growing_begin(&lane->text, &g->rules, before, t->rec->prompt.n, t->continuation,
                          t->max_new, err);
    if (rc == L2_OK)
        rc = l2_growing_push(&lane->text, &g->rules, &t->first[index], err);
    if (rc == L2_OK)
        g->n_generated++;
    if (rc != L2_OK || lane->text.finish != L2_FINISH_NONE)
        return rc == L2_OK ? end_lane(g, link, err) : rc;
    if (lane->seq == &lane->own)
        rc = l2_kv_seq_fork(g->kv, &lane->own, &t->seq, (uint32_t)t->rec->prompt.n, err);
    if (rc == L2_OK)
        rc = l2_kv_seq_reserve(g->kv, lane->seq, positions_of(t), err);
    return rc;
}

/* ---- one step ---- */

/* Starts completions of records whose prompt was run, earlier records first. */
static int fill_lanes(struct generator *g, struct l2_err *err)
{
    struct flight *next;
    for (struct flight *t = g->head; t && g->pending > 0; t = next) {
        bool started = true;
        next = t->next;
        while (started && g->idle && t->first && t->started < g->opts.n_completions) {
            int rc;
            if (t->first[t->started].id == L2_NO_ID) { /* its first draw failed */
                t->started++;
                g->pending--;
                continue;
            }
            if ((rc = start_completion(g, t, &started, err)) < 0)
                return rc;
        }
    }
    return L2_OK;
}

/* Admits records in order while there are fewer completions in sight than lanes, and one record
 * more, so that lanes that fall free find a prompt that was run. */
static int admit(struct generator *g, struct l2_err *err)
{
    for (struct flight *t = g->head; t && g->n_active + g->pending <= g->n_lanes; t = t->next) {
        int rc;
        if (t->finished || t->blocks > 0)
            continue;
        if (!l2_kv_budget_commit(&g->budget, l2_kv_blocks_for(positions_of(t))))
            break;
        t->blocks = l2_kv_blocks_for(positions_of(t));
        g->waiting -= g->opts.n_completions;
        g->pending += g->opts.n_completions;
        rc = l2_kv_seq_reserve(g->kv, &t->seq, (uint32_t)t->rec->prompt.n, err);
        if (rc < 0)
            return rc;
    }
    return L2_OK;
}

static bool prompt_waits(const struct flight *t)
{
    return !t->finished && t->blocks > 0 && t->prompt_fed < t->rec->prompt.n;
}

static bool any_prompt_waits(const struct generator *g)
{
    for (const struct flight *t = g->head; t; t = t->next)
        if (prompt_waits(t))
            return true;
    return false;
}

/* While prompts wait they get a quarter of the rows at least, and all that decoding leaves. Lanes
 * beyond the others sit a batch out, which changes nothing in what they become. */
static void add_lanes(struct generator *g, bool prompts_wait)
{
    uint32_t rows = g->max_rows, outputs = g->max_outputs;
    if (prompts_wait) {
        rows -= rows / 4 > 0 ? rows / 4 : 1;
        outputs -= 1;
    }
    for (struct lane *lane = g->active; lane && g->n_rows < rows && g->n_outputs < outputs;
         lane = lane->next) {
        const struct l2_growing *text = &lane->text;
        g->rows[g->n_rows++] = (struct l2_row){
            .token = text->tokens.v[text->tokens.n - 1], .seq = lane->seq, .wants_output = true};
        g->destinations[g->n_outputs++] = (struct destination){lane, lane->flight};
    }
}

static void add_prompts(struct generator *g)
{
    for (struct flight *t = g->head; t && g->n_rows < g->max_rows; t = t->next) {
        while (prompt_waits(t) && g->n_rows < g->max_rows) {
            bool last = t->prompt_fed + 1 == t->rec->prompt.n;
            if (last && g->n_outputs == g->max_outputs)
                return;
            g->rows[g->n_rows++] = (struct l2_row){
                .token = t->rec->prompt.v[t->prompt_fed++], .seq = &t->seq, .wants_output = last};
            if (last)
                g->destinations[g->n_outputs++] = (struct destination){NULL, t};
        }
    }
}

/* The first tokens of all completions of t, from the logits of its prompt's last row. */
static int draw_firsts(struct generator *g, struct flight *t, const float *logits,
                       struct l2_err *err)
{
    uint32_t n = g->opts.n_completions;
    t->first = malloc(n * sizeof *t->first);
    if (!t->first)
        return l2_err_memory(err, n * sizeof *t->first);
    for (uint32_t i = 0; i < n; i++) {
        int rc = draw(g, t, i, NULL, logits, &t->first[i], err);
        if (rc == L2_CORRUPT) {
            t->first[i].id = L2_NO_ID;
            fail_completion(t, err);
        } else if (rc < 0) {
            return rc;
        }
    }
    return t->done < n ? L2_OK : finish_flight(g, t, err);
}

/* The next token of a lane, which stays active unless that ends it. */
static int advance(struct generator *g, struct lane *lane, const float *logits, struct l2_err *err)
{
    struct l2_draw d;
    struct lane **link = &g->active;
    int rc = draw(g, lane->flight, lane->index, &lane->text, logits, &d, err);
    if (rc == L2_OK) {
        g->n_generated++;
        rc = l2_growing_push(&lane->text, &g->rules, &d, err);
        if (rc != L2_OK || lane->text.finish == L2_FINISH_NONE)
            return rc;
    } else if (rc == L2_CORRUPT) {
        fail_completion(lane->flight, err);
    } else {
        return rc;
    }
    while (*link != lane)
        link = &(*link)->next;
    return end_lane(g, link, err);
}

static int deliver(struct generator *g, const float *values, struct l2_err *err)
{
    int rc = L2_OK;
    for (uint32_t i = 0; i < g->n_outputs && rc == L2_OK; i++) {
        const float *logits = values + (size_t)i * g->hp->vocab_size;
        const struct destination *d = &g->destinations[i];
        rc = d->lane ? advance(g, d->lane, logits, err) : draw_firsts(g, d->flight, logits, err);
    }
    return rc;
}

static bool generator_busy(const struct l2_worker *w)
{
    for (const struct flight *t = const_generator_of(w)->head; t; t = t->next)
        if (!t->finished)
            return true;
    return false;
}

static int generator_step(struct l2_worker *w, struct l2_err *err)
{
    struct generator *g = generator_of(w);
    const float *values = NULL;
    int rc;
    g->n_rows = 0;
    g->n_outputs = 0;
    if ((rc = fill_lanes(g, err)) < 0 || (rc = admit(g, err)) < 0)
        return rc;
    add_lanes(g, any_prompt_waits(g));
    add_prompts(g);
    if (g->n_rows == 0) /* all that was started has ended with its first token */
        return L2_OK;
    rc = l2_engine_forward(g->engine, g->rows, g->n_rows, L2_OUT_HEAD, &values, err);
    g->n_tokens += g->n_rows;
    return rc == L2_OK ? deliver(g, values, err) : rc;
}

/* ---- giving records back ---- */

static struct l2_record *generator_take(struct l2_worker *w)
{
    struct generator *g = generator_of(w);
    struct flight *t = g->head;
    struct l2_record *rec;
    if (!t || !t->finished)
        return NULL;
    rec = t->rec;
    g->head = t->next;
    if (!g->head)
        g->tail = &g->head;
    g->n_flights--;
    free(t);
    return rec;
}

static void generator_counts(const struct l2_worker *w, uint64_t *tokens, uint64_t *generated)
{
    *tokens = const_generator_of(w)->n_tokens;
    *generated = const_generator_of(w)->n_generated;
}

static const struct l2_worker_faults *generator_faults(const struct l2_worker *w)
{
    return &const_generator_of(w)->faults;
}

static void generator_free(struct l2_worker *w)
{
    struct generator *g = generator_of(w);
    if (!g)
        return;
    for (uint32_t i = 0; g->lanes && i < g->n_lanes; i++) {
        l2_kv_seq_release(g->kv, &g->lanes[i].own);
        l2_growing_release(&g->lanes[i].text);
    }
    while (g->head) {
        struct flight *t = g->head;
        g->head = t->next;
        l2_kv_seq_release(g->kv, &t->seq);
        l2_record_release(t->rec);
        free(t->rec);
        free(t->first);
        free(t);
    }
    l2_sampler_free(g->sampler);
    free(g->lanes);
    free(g->rows);
    free(g->destinations);
    free(g);
}

static const struct l2_worker_ops generator_ops = {
    .wants = generator_wants,
    .add = generator_add,
    .busy = generator_busy,
    .step = generator_step,
    .take = generator_take,
    .counts = generator_counts,
    .faults = generator_faults,
    .free = generator_free,
};

static int allocate(struct generator *g, struct l2_err *err)
{
    g->max_rows = l2_engine_max_rows(g->engine);
    g->max_outputs = l2_engine_max_outputs(g->engine);
    g->n_lanes = g->max_rows < g->max_outputs ? g->max_rows : g->max_outputs;
    g->lanes = calloc(g->n_lanes, sizeof *g->lanes);
    g->rows = calloc(g->max_rows, sizeof *g->rows);
    g->destinations = calloc(g->max_outputs, sizeof *g->destinations);
    if (!g->lanes || !g->rows || !g->destinations)
        return l2_err_memory(err, g->n_lanes * sizeof *g->lanes);
    for (uint32_t i = g->n_lanes; i-- > 0;) {
        g->lanes[i].next = g->idle;
        g->idle = &g->lanes[i];
    }
    return l2_sampler_new(&g->sampler, &g->opts.sampler, g->hp->vocab_size, err);
}

int l2_generator_new(struct l2_worker **out, struct l2_engine *e,
                     const struct l2_generate_opts *opts, struct l2_err *err)
{
    const struct l2_hparams *hp = l2_engine_hparams(e);
    struct generator *g;
    int rc;
    *out = NULL;
    assert(opts->n_completions > 0 && (!opts->stop || opts->vocab));
    if (hp->head != L2_HEAD_VOCAB)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "generation wants a vocabulary head, got a score head");
    if (hp->context < 2)
        return l2_err_set(err, L2_UNSUPPORTED, "a context of %u has no room for a completion",
                          (unsigned)hp->context);
    g = calloc(1, sizeof *g);
    if (!g)
        return l2_err_memory(err, sizeof *g);
    g->worker.ops = &generator_ops;
    g->engine = e;
    g->hp = hp;
    g->kv = l2_engine_kv(e);
    l2_kv_budget_init(&g->budget, g->kv);
    g->opts = *opts;
    g->rules = (struct l2_growing_rules){.eos = opts->eos,
                                         .n_eos = opts->n_eos,
                                         .stop = opts->stop,
                                         .vocab = opts->vocab,
                                         .keep_logprobs = opts->keep_logprobs,
                                         .keep_sampled = !l2_sampler_is_neutral(&opts->sampler)};
    g->vocab_size = hp->vocab_size;
    g->tail = &g->head;
    if ((rc = allocate(g, err)) < 0) {
        generator_free(&g->worker);
        return rc;
    }
    *out = &g->worker;
    return L2_OK;
}

void l2_generator_set_vocab_size(struct l2_worker *w, uint32_t n)
{
    struct generator *g = generator_of(w);
    g->vocab_size = n < g->hp->vocab_size ? n : g->hp->vocab_size;
}

const struct l2_generate_counts *l2_generator_results(const struct l2_worker *w)
{
    return &const_generator_of(w)->results;
}
