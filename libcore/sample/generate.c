/* Generation as a worker: prompts are run in chunks beside the decoding rows of completions, and
 * finished completions give their place to the next ones. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/generate_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sample/admit.h"

static struct l2_generator *generator_of(struct l2_worker *w)
{
    return (struct l2_generator *)w;
}

static const struct l2_generator *const_generator_of(const struct l2_worker *w)
{
    return (const struct l2_generator *)w;
}

/* ---- taking records in ---- */

static bool generator_wants(const struct l2_worker *w)
{
    const struct l2_generator *g = const_generator_of(w);
    return g->waiting < g->n_lanes && g->n_flights < 4 * (size_t)g->n_lanes + 16;
}

/* Makes room for a completion. *drop: the record passes without one. */
static int fit_prompt(struct l2_generator *g, struct l2_record *rec, bool *drop, struct l2_err *err)
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

static int prepare(struct l2_generator *g, struct l2_gen_flight *t, struct l2_err *err)
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
    struct l2_generator *g = generator_of(w);
    struct l2_gen_flight *t = calloc(1, sizeof *t);
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

/* ---- giving records back ---- */

static bool generator_busy(const struct l2_worker *w)
{
    for (const struct l2_gen_flight *t = const_generator_of(w)->head; t; t = t->next)
        if (!t->finished)
            return true;
    return false;
}

static struct l2_record *generator_take(struct l2_worker *w)
{
    struct l2_generator *g = generator_of(w);
    struct l2_gen_flight **link = &g->head, *t;
    struct l2_record *rec;
    while (w->unordered && *link && !(*link)->finished)
        link = &(*link)->next;
    t = *link;
    if (!t || !t->finished)
        return NULL;
    rec = t->rec;
    *link = t->next;
    if (!t->next)
        g->tail = link;
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
    struct l2_generator *g = generator_of(w);
    if (!g)
        return;
    for (uint32_t i = 0; g->lanes && i < g->n_lanes; i++) {
        l2_kv_seq_release(g->kv, &g->lanes[i].own);
        l2_growing_release(&g->lanes[i].text);
    }
    while (g->head) {
        struct l2_gen_flight *t = g->head;
        g->head = t->next;
        l2_kv_seq_release(g->kv, &t->seq);
        l2_record_release(t->rec);
        free(t->rec);
        free(t->first);
        free(t);
    }
    for (uint32_t i = 0; g->samplers && i < g->n_samplers; i++)
        l2_sampler_free(g->samplers[i]);
    free(g->samplers);
    free(g->lanes);
    free(g->rows);
    free(g->destinations);
    free(g);
}

static const struct l2_worker_ops generator_ops = {
    .wants = generator_wants,
    .add = generator_add,
    .busy = generator_busy,
    .step = l2_gen_step,
    .take = generator_take,
    .counts = generator_counts,
    .faults = generator_faults,
    .free = generator_free,
};

static int allocate(struct l2_generator *g, struct l2_err *err)
{
    int rc = L2_OK;
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
    g->n_samplers = g->opts.pool ? (uint32_t)l2_pool_threads(g->opts.pool) : 1;
    g->samplers = calloc(g->n_samplers, sizeof *g->samplers);
    if (!g->samplers)
        return l2_err_memory(err, g->n_samplers * sizeof *g->samplers);
    for (uint32_t i = 0; i < g->n_samplers && rc == L2_OK; i++)
        rc = l2_sampler_new(&g->samplers[i], &g->opts.sampler, g->hp->vocab_size, err);
    return rc;
}

int l2_generator_new(struct l2_worker **out, struct l2_engine *e,
                     const struct l2_generate_opts *opts, struct l2_err *err)
{
    const struct l2_hparams *hp = l2_engine_hparams(e);
    struct l2_generator *g;
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
    if (opts->sampler.repetition_penalty != 1)
        g->opts.lookup = 0; /* draws depend on the tokens before, which would be guesses */
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
    struct l2_generator *g = generator_of(w);
    g->vocab_size = n < g->hp->vocab_size ? n : g->hp->vocab_size;
}

const struct l2_generate_counts *l2_generator_results(const struct l2_worker *w)
{
    return &const_generator_of(w)->results;
}
