/* Ghost Attention as a worker around the generator: a turn that is answered makes room for the next
 * turn of its dialogue, among the turns of many others. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/gatt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rlhf/gatt_state.h"

static struct l2_gatt *gatt_of(struct l2_worker *w)
{
    return (struct l2_gatt *)w;
}

static const struct l2_gatt *const_gatt_of(const struct l2_worker *w)
{
    return (const struct l2_gatt *)w;
}

static const struct l2_worker_ops *ops_of(const struct l2_gatt *g)
{
    return g->generator->ops;
}

/* ---- asking ---- */

static void asked_free(struct l2_gatt_asked *a)
{
    if (!a)
        return;
    l2_record_release(&a->rec);
    free(a);
}

/* Renders question number t and queues it. *fits is false, and nothing done, where the context has
 * no room for it and the dialogue ends with what it has. */
static int ask(struct l2_gatt *g, struct l2_gatt_flight *f, size_t t, bool *fits,
               struct l2_err *err)
{
    enum l2_overlong overlong = g->opts.generate.overlong;
    bool cuts = overlong == L2_OVERLONG_TRUNCATE_LEFT || overlong == L2_OVERLONG_TRUNCATE_RIGHT;
    struct l2_record *rec = &f->asked->rec;
    int r = l2_gatt_render(g, f, t, g->opts.every_turn ? L2_GATT_EVERY : L2_GATT_ONCE, err);
    *fits = t == 0 || g->ids.n < g->context || cuts;
    if (r != L2_OK || !*fits)
        return r;
    l2_record_reset(rec);
    rec->id = f->rec->id;
    rec->prompt.v = l2_arena_alloc(&rec->arena, g->ids.n, sizeof *rec->prompt.v, err);
    if (!rec->prompt.v)
        return L2_MEMORY;
    memcpy(rec->prompt.v, g->ids.v, g->ids.n * sizeof *rec->prompt.v);
    rec->prompt.n = g->ids.n;
    if (t > 0) { /* so that the answer is completion k = t */
        struct l2_completion *before = l2_record_add_completion(rec, err);
        if (!before)
            return L2_MEMORY;
        before->gen.present = before->gen.has_k = true;
        before->gen.k = t - 1;
    }
    r = ops_of(g)->add(g->generator, rec, err);
    if (r == L2_OK)
        f->asked = NULL;
    return r;
}

/* ---- answers ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The answer's text, without the white space around it that templates put there. */
static int set_text(struct l2_gatt *g, struct l2_gatt_flight *f, const struct l2_completion *c,
                    struct l2_str *out, struct l2_err *err)
{
    const char *s = c->text.s;
    size_t begin = 0, end = c->text.n;
    if (!s) {
        g->text.len = 0;
        int r = l2_decode(g->opts.generate.vocab, c->tokens.v, c->tokens.n, true, &g->text, err);
        if (r != L2_OK)
            return r;
        s = (const char *)g->text.data;
        end = g->text.len;
    }
    while (begin < end && is_blank((uint8_t)s[begin]))
        begin++;
    while (end > begin && is_blank((uint8_t)s[end - 1]))
        end--;
    return l2_record_str(f->rec, end > begin ? s + begin : "", end - begin, out, err);
}

/* Copies an answer from the record that was asked to the dialogue's. */
static int keep_answer(struct l2_gatt *g, struct l2_gatt_flight *f,
                       const struct l2_completion *from, struct l2_err *err)
{
    struct l2_record *rec = f->rec;
    struct l2_completion *c = &f->d.answers[f->d.n];
    size_t n = from->tokens.n;
    int r = L2_OK;
    *c = *from;
    c->tokens.v = l2_arena_grow(&rec->arena, from->tokens.v, n, n, sizeof *c->tokens.v, err);
    if (!c->tokens.v)
        return L2_MEMORY;
    for (int i = 0; i < L2_N_SERIES; i++) {
        struct l2_f32s *v = &c->series[i];
        if (v->v && !(v->v = l2_arena_grow(&rec->arena, v->v, v->n, v->n, sizeof *v->v, err)))
            return L2_MEMORY;
    }
    if (from->gen.model.s)
        r = l2_record_str(rec, from->gen.model.s, from->gen.model.n, &c->gen.model, err);
    if (r == L2_OK && from->text.s)
        r = l2_record_str(rec, from->text.s, from->text.n, &c->text, err);
    if (r == L2_OK)
        r = set_text(g, f, from, &f->d.texts[f->d.n], err);
    if (r == L2_OK)
        f->d.n++;
    return r;
}

/* A turn is through the generator, with an answer behind the t that stand for the earlier ones, or
 * without one. */
static int take_turn(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err)
{
    const struct l2_record *rec = &f->asked->rec;
    bool answered = rec->n_completions > (f->d.n > 0), fits = false;
    int r = answered ? keep_answer(g, f, &rec->completions[rec->n_completions - 1], err) : L2_OK;
    if (r == L2_OK && answered && f->d.n < f->n_turns) {
        r = ask(g, f, f->d.n, &fits, err);
        if (r != L2_OK || fits)
            return r;
    }
    if (r == L2_OK && f->d.n > 0) {
        r = l2_gatt_finish(g, f, err);
        g->counts.dialogues++;
        g->counts.answers += f->d.n;
        g->counts.ended_early += f->d.n < f->n_turns;
    }
    f->finished = true;
    asked_free(f->asked);
    f->asked = NULL;
    return r;
}

/* ---- the worker ---- */

static bool gatt_wants(const struct l2_worker *w)
{
    const struct l2_gatt *g = const_gatt_of(w);
    return g->n_flights < g->most_flights && ops_of(g)->wants(g->generator);
}

static void flight_free(struct l2_gatt_flight *f)
{
    if (f)
        asked_free(f->asked);
    free(f);
}

static int gatt_add(struct l2_worker *w, struct l2_record *rec, struct l2_err *err)
{
    struct l2_gatt *g = gatt_of(w);
    struct l2_gatt_flight *f = calloc(1, sizeof *f);
    struct l2_gatt_asked *a = malloc(sizeof *a);
    bool fits;
    if (!f || !a) {
        free(f);
        free(a);
        return l2_err_memory(err, sizeof *f);
    }
    l2_record_init(&a->rec);
    a->flight = f;
    f->asked = a;
    f->rec = rec;
    int r = l2_gatt_begin(g, f, err);
    if (r == L2_OK)
        r = ask(g, f, 0, &fits, err);
    if (r != L2_OK) {
        flight_free(f);
        return l2_record_fault(rec, r, err);
    }
    *g->tail = f;
    g->tail = &f->next;
    g->n_flights++;
    return L2_OK;
}

static bool gatt_busy(const struct l2_worker *w)
{
    for (const struct l2_gatt_flight *f = const_gatt_of(w)->head; f; f = f->next)
        if (!f->finished)
            return true;
    return false;
}

static int gatt_step(struct l2_worker *w, struct l2_err *err)
{
    struct l2_gatt *g = gatt_of(w);
    struct l2_record *rec;
    int r = ops_of(g)->busy(g->generator) ? ops_of(g)->step(g->generator, err) : L2_OK;
    while (r == L2_OK && (rec = ops_of(g)->take(g->generator))) {
        struct l2_gatt_asked *a = (struct l2_gatt_asked *)rec;
        a->flight->asked = a;
        r = take_turn(g, a->flight, err);
    }
    return r;
}

static struct l2_record *gatt_take(struct l2_worker *w)
{
    struct l2_gatt *g = gatt_of(w);
    struct l2_gatt_flight **link = &g->head, *f;
    while (w->unordered && *link && !(*link)->finished)
        link = &(*link)->next;
    f = *link;
    if (!f || !f->finished)
        return NULL;
    *link = f->next;
    if (!f->next)
        g->tail = link;
    g->n_flights--;
    flight_free(g->taken);
    g->taken = f;
    return f->rec;
}

static void gatt_counts(const struct l2_worker *w, uint64_t *tokens, uint64_t *generated)
{
    const struct l2_gatt *g = const_gatt_of(w);
    ops_of(g)->counts(g->generator, tokens, generated);
}

static const struct l2_worker_faults *gatt_faults(const struct l2_worker *w)
{
    const struct l2_gatt *g = const_gatt_of(w);
    return ops_of(g)->faults(g->generator);
}

static void gatt_free(struct l2_worker *w)
{
    struct l2_gatt *g = gatt_of(w);
    if (!g)
        return;
    if (g->generator)
        ops_of(g)->free(g->generator); /* with the turns that are in it */
    while (g->head) {
        struct l2_gatt_flight *f = g->head;
        g->head = f->next;
        l2_record_release(f->rec);
        free(f->rec);
        flight_free(f);
    }
    flight_free(g->taken);
    l2_encoder_free(g->encoder);
    l2_ids_release(&g->ids);
    l2_buf_release(&g->text);
    free(g);
}

static const struct l2_worker_ops gatt_ops = {
    .wants = gatt_wants,
    .add = gatt_add,
    .busy = gatt_busy,
    .step = gatt_step,
    .take = gatt_take,
    .counts = gatt_counts,
    .faults = gatt_faults,
    .free = gatt_free,
};

int l2_gatt_new(struct l2_worker **out, struct l2_engine *e, const struct l2_gatt_opts *opts,
                struct l2_err *err)
{
    struct l2_gatt *g = calloc(1, sizeof *g);
    *out = NULL;
    assert(opts->generate.n_completions == 1 && opts->generate.vocab && opts->constraints->n > 0);
    if (!g)
        return l2_err_memory(err, sizeof *g);
    g->worker.ops = &gatt_ops;
    g->opts = *opts;
    g->tail = &g->head;
    g->context = l2_engine_hparams(e)->context;
    g->most_flights = 4 * (size_t)l2_engine_max_rows(e) + 16;
    int r = l2_generator_new(&g->generator, e, &opts->generate, err);
    if (r == L2_OK)
        r = l2_encoder_new(&g->encoder, opts->generate.vocab, err);
    if (r != L2_OK) {
        gatt_free(&g->worker);
        return r;
    }
    g->generator->unordered = true;
    l2_generator_set_vocab_size(g->generator, l2_vocab_size(opts->generate.vocab));
    *out = &g->worker;
    return L2_OK;
}

struct l2_worker *l2_gatt_generator(struct l2_worker *w)
{
    return gatt_of(w)->generator;
}

const struct l2_gatt_counts *l2_gatt_results(const struct l2_worker *w)
{
    return &const_gatt_of(w)->counts;
}

const struct l2_gatt_dialogue *l2_gatt_taken(const struct l2_worker *w)
{
    return &const_gatt_of(w)->taken->d;
}
