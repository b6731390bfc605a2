/* Generation: completions from their first token to their place in the record. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/generate_state.h"

#include <stdlib.h>
#include <string.h>

#include "sample/feed.h"

/* The next token of completion number index of t, or that behind so many more; text is NULL for its
 * first. */
static int draw(const struct l2_generator *g, struct l2_sampler *sampler,
                const struct l2_gen_flight *t, uint32_t index, const struct l2_growing *text,
                uint32_t ahead, const float *logits, struct l2_draw *out, struct l2_err *err)
{
    const uint32_t *seen = text ? text->tokens.v : t->rec->prompt.v;
    size_t n_seen = text ? text->tokens.n : t->rec->prompt.n, position = text ? text->n + ahead : 0;
    double u = l2_philox_uniform(t->key, t->first_k + index, position);
    int rc = l2_sampler_draw(sampler, logits, seen, n_seen, u, out, err);
    if (rc == L2_OK && out->id >= g->vocab_size)
        rc = l2_err_set(err, L2_CORRUPT, "token %u was drawn: the vocabulary has %u",
                        (unsigned)out->id, (unsigned)g->vocab_size);
    return rc;
}

/* Draws that several threads make: each takes every n_samplers-th with its own sampler. A draw that
 * fails leaves the id L2_NO_ID; the error is found by making it again. */
struct draws {
    const struct l2_generator *g;
    /* first draws of t, from logits; or else those of the destinations */
    struct l2_gen_flight *t;
    const float *logits;
};

static void draw_firsts_slice(void *arg, size_t slice)
{
    const struct draws *w = arg;
    struct l2_gen_flight *t = w->t;
    for (uint32_t i = (uint32_t)slice; i < w->g->opts.n_completions; i += w->g->n_samplers)
        if (draw(w->g, w->g->samplers[slice], t, i, NULL, 0, w->logits, &t->first[i], NULL) < 0)
            t->first[i].id = L2_NO_ID;
}

static void draw_all_slice(void *arg, size_t slice)
{
    const struct draws *w = arg;
    for (uint32_t i = (uint32_t)slice; i < w->g->n_outputs; i += w->g->n_samplers) {
        struct l2_gen_destination *d = &w->g->destinations[i];
        if (d->lane && draw(w->g, w->g->samplers[slice], d->flight, d->lane->index, &d->lane->text,
                            d->ahead, d->logits, &d->draw, NULL) < 0)
            d->draw.id = L2_NO_ID;
    }
}

void l2_gen_draw_all(struct l2_generator *g)
{
    struct draws w = {.g = g};
    l2_pool_run(g->opts.pool, draw_all_slice, &w, g->n_samplers);
}

/* Completion number index of t will not be. */
static void fail_completion(struct l2_gen_flight *t, const struct l2_err *err)
{
    if (t->failed++ == 0)
        t->fault = *err;
    t->done++;
}

static int describe(const struct l2_generator *g, const struct l2_gen_flight *t, uint32_t index,
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
static int finish_flight(struct l2_generator *g, struct l2_gen_flight *t, struct l2_err *err)
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
static int end_lane(struct l2_generator *g, struct l2_gen_lane **link, struct l2_err *err)
{
    struct l2_gen_lane *lane = *link;
    struct l2_gen_flight *t = lane->flight;
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
static bool find_sequence(struct l2_generator *g, struct l2_gen_flight *t, struct l2_gen_lane *lane)
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

int l2_gen_start(struct l2_generator *g, struct l2_gen_flight *t, bool *started, struct l2_err *err)
{
    struct l2_gen_lane *lane = g->idle, **link = &g->active;
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
        rc = l2_kv_seq_reserve(g->kv, lane->seq, l2_gen_positions(t), err);
    return rc;
}

int l2_gen_draw_firsts(struct l2_generator *g, struct l2_gen_flight *t, const float *logits,
                       struct l2_err *err)
{
    uint32_t n = g->opts.n_completions;
    struct draws w = {.g = g, .t = t, .logits = logits};
    t->first = malloc(n * sizeof *t->first);
    if (!t->first)
        return l2_err_memory(err, n * sizeof *t->first);
    l2_pool_run(g->opts.pool, draw_firsts_slice, &w, g->n_samplers);
    for (uint32_t i = 0; i < n; i++) {
        struct l2_draw again;
        if (t->first[i].id == L2_NO_ID &&
            draw(g, g->samplers[0], t, i, NULL, 0, logits, &again, err) < 0)
            fail_completion(t, err);
    }
    return t->done < n ? L2_OK : finish_flight(g, t, err);
}

/* Adds one draw; *ended: the lane is no more. */
static int add_draw(struct l2_generator *g, const struct l2_gen_destination *d, bool *ended,
                    struct l2_err *err)
{
    struct l2_gen_lane *lane = d->lane, **link = &g->active;
    struct l2_draw again;
    *ended = false;
    if (d->draw.id != L2_NO_ID) {
        g->n_generated++;
        int rc = l2_growing_push(&lane->text, &g->rules, &d->draw, err);
        if (rc != L2_OK || lane->text.finish == L2_FINISH_NONE)
            return rc;
    } else if (draw(g, g->samplers[0], d->flight, lane->index, &lane->text, 0, d->logits, &again,
                    err) < 0) {
        fail_completion(d->flight, err);
    }
    while (*link != lane)
        link = &(*link)->next;
    *ended = true;
    return end_lane(g, link, err);
}

int l2_gen_advance(struct l2_generator *g, const struct l2_gen_destination *d, uint32_t n,
                   struct l2_err *err)
{
    struct l2_gen_lane *lane = d->lane;
    bool ended = false;
    uint32_t i = 0;
    int rc = add_draw(g, d, &ended, err);
    while (rc == L2_OK && !ended && i + 1 < n && d[i].draw.id == d[i + 1].token)
        rc = add_draw(g, &d[++i], &ended, err);
    g->results.guessed += n - 1;
    g->results.right += i;
    g->n_tokens -= n - 1 - i;
    if (rc != L2_OK || ended || i + 1 == n)
        return rc;
    /* the cache forgets what was guessed wrong, and keeps the room */
    l2_kv_seq_truncate(g->kv, lane->seq, lane->seq->len - (n - 1 - i));
    return l2_kv_seq_reserve(g->kv, lane->seq, l2_gen_positions(d->flight), err);
}
