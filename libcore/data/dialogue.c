/* Dialogues of records, rendered again after their messages were edited. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "data/row.h"
#include "util/grow.h"

struct l2_dialogue {
    struct l2_encoder *encoder;
    const struct l2_template *t;
    struct l2_turn *turns; /* owned */
    size_t n, cap;
    struct l2_ids ids, spans;
    bool no_bos; /* the record that was checked last has none */
};

int l2_dialogue_new(struct l2_dialogue **out, struct l2_encoder *e, const struct l2_template *t,
                    struct l2_err *err)
{
    struct l2_dialogue *d = calloc(1, sizeof *d);
    *out = d;
    if (!d)
        return l2_err_memory(err, sizeof *d);
    d->encoder = e;
    d->t = t;
    return L2_OK;
}

void l2_dialogue_free(struct l2_dialogue *d)
{
    if (!d)
        return;
    l2_ids_release(&d->ids);
    l2_ids_release(&d->spans);
    free(d->turns);
    free(d);
}

/* ---- turns ---- */

static bool is_hh(const struct l2_record *rec)
{
    enum l2_form form;
    enum l2_style style;
    return rec->shape.s && l2_shape_parse(rec->shape.s, rec->shape.n, &form, &style) &&
           style == L2_STYLE_HH;
}

/* Joins the message behind the turn, with an empty line between, as l2-tokenize does. */
static int join(struct l2_record *rec, struct l2_turn *turn, const struct l2_message *m,
                struct l2_err *err)
{
    size_t n = turn->content_len;
    char *s = l2_arena_alloc(&rec->arena, n + m->content.n + 3, 1, err);
    if (!s)
        return L2_MEMORY;
    memcpy(s, turn->content, n);
    memcpy(s + n, "\n\n", 2);
    memcpy(s + n + 2, m->content.s, m->content.n);
    turn->content = s;
    turn->content_len = n + 2 + m->content.n;
    s[turn->content_len] = '\0';
    return L2_OK;
}

static int load(struct l2_dialogue *d, struct l2_record *rec, struct l2_err *err)
{
    bool hh = is_hh(rec);
    int r = L2_OK;
    d->n = 0;
    for (size_t i = 0; i < rec->n_messages && r == L2_OK; i++) {
        const struct l2_message *m = &rec->messages[i];
        struct l2_turn *last = d->n > 0 ? &d->turns[d->n - 1] : NULL;
        if (hh && last && strcmp(last->role, m->role.s) == 0) {
            r = join(rec, last, m, err);
            continue;
        }
        r = l2_grow(&d->turns, d->n, &d->cap, 1, sizeof *d->turns, err);
        if (r == L2_OK)
            d->turns[d->n++] = (struct l2_turn){
                .role = m->role.s, .content = m->content.s, .content_len = m->content.n};
    }
    return r;
}

/* Gives the answers among the turns the ids that the prompt has for them. */
static void splice_answers(struct l2_dialogue *d, const struct l2_record *rec)
{
    size_t answers = 0;
    for (size_t i = 0; i < d->n; i++)
        answers += strcmp(d->turns[i].role, "assistant") == 0;
    if (rec->spans.n != answers * 2)
        return;
    for (size_t i = 0, k = 0; i < d->n; i++) {
        if (strcmp(d->turns[i].role, "assistant") != 0)
            continue;
        d->turns[i].ids = rec->prompt.v + rec->spans.v[k];
        d->turns[i].n_ids = rec->spans.v[k + 1] - rec->spans.v[k];
        k += 2;
    }
}

/* ---- ids ---- */

/* Into d->ids and d->spans. */
static int render(struct l2_dialogue *d, struct l2_record *rec, struct l2_err *err)
{
    int r = load(d, rec, err);
    d->ids.n = d->spans.n = 0;
    if (r != L2_OK)
        return r;
    splice_answers(d, rec);
    return l2_template_prompt(d->t, d->encoder, d->turns, d->n, &d->ids, &d->spans, err);
}

static bool equal(const uint32_t *a, const uint32_t *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

int l2_dialogue_check(struct l2_dialogue *d, struct l2_record *rec, struct l2_err *err)
{
    const struct l2_u32s *p = &rec->prompt;
    int r = render(d, rec, err);
    if (r != L2_OK)
        return r;
    d->no_bos = false;
    if (d->ids.n == p->n && equal(d->ids.v, p->v, p->n))
        return L2_OK;
    if (d->ids.n > 0 && d->ids.v[0] == l2_vocab_bos(l2_encoder_vocab(d->encoder)) &&
        d->ids.n - 1 == p->n && equal(d->ids.v + 1, p->v, p->n)) {
        d->no_bos = true;
        return L2_OK;
    }
    return l2_err_set(err, L2_FORMAT,
                      "its prompt is not what the template %s makes of its messages",
                      l2_template_name(d->t));
}

static int keep(struct l2_record *rec, const struct l2_ids *ids, size_t skip, struct l2_u32s *out,
                struct l2_err *err)
{
    out->n = ids->n - skip;
    out->v = l2_arena_alloc(&rec->arena, out->n, sizeof *out->v, err);
    if (!out->v)
        return L2_MEMORY;
    if (out->n > 0)
        memcpy(out->v, ids->v + skip, out->n * sizeof *out->v);
    return L2_OK;
}

int l2_dialogue_render(struct l2_dialogue *d, struct l2_record *rec, struct l2_err *err)
{
    int r = render(d, rec, err);
    bool bos =
        r == L2_OK && d->ids.n > 0 && d->ids.v[0] == l2_vocab_bos(l2_encoder_vocab(d->encoder));
    size_t skip = d->no_bos && bos ? 1 : 0;
    if (r == L2_OK)
        r = keep(rec, &d->ids, skip, &rec->prompt, err);
    if (r != L2_OK)
        return r;
    for (size_t i = 0; i < d->spans.n; i++)
        d->spans.v[i] -= (uint32_t)skip;
    rec->spans = (struct l2_u32s){0};
    return d->spans.n > 0 ? keep(rec, &d->spans, 0, &rec->spans, err) : L2_OK;
}
