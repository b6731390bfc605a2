/* Ghost Attention: dialogues as turns, and as records to train on. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/gatt_state.h"

#include <string.h>

#include "stream/cbor.h"

/* ---- what a record asks ---- */

static bool has_role(const struct l2_message *m, const char *role)
{
    return m->role.n == strlen(role) && memcmp(m->role.s, role, m->role.n) == 0;
}

/* Counts the user's turns: a system turn or none, then user and assistant. Messages that one side
 * says in a row, as there are in HH data, are one turn. */
static int count_users(const struct l2_record *rec, size_t *n, struct l2_err *err)
{
    const struct l2_message *m = rec->messages;
    size_t first = rec->n_messages > 0 && has_role(&m[0], "system");
    if (!m)
        return l2_err_set(err, L2_FORMAT,
                          "want messages, got none: l2-tokenize keeps those of dialogues with "
                          "--template");
    *n = 0;
    for (size_t i = first; i < rec->n_messages; i++) {
        bool user = has_role(&m[i], "user");
        if (!user && (i == first || !has_role(&m[i], "assistant")))
            return l2_err_set(err, L2_CORRUPT, "message %zu: want role user%s, got %.64s", i + 1,
                              i == first ? "" : " or assistant", m[i].role.s);
        *n += user && (i == first || !has_role(&m[i - 1], "user"));
    }
    return *n > 0 ? L2_OK : l2_err_set(err, L2_CORRUPT, "no message of a user");
}

/* Two texts with something between them, in arena. */
static int join(struct l2_arena *arena, const struct l2_str *a, const char *between,
                const struct l2_str *b, struct l2_str *out, struct l2_err *err)
{
    struct l2_buf all = {0};
    int r = l2_buf_append(&all, a->s, a->n, err);
    if (r == L2_OK)
        r = l2_buf_append_str(&all, between, err);
    if (r == L2_OK)
        r = l2_buf_append(&all, b->s, b->n, err);
    if (r == L2_OK) {
        out->n = all.len;
        out->s = l2_arena_strdup(arena, all.data, all.len, err);
        r = out->s ? L2_OK : L2_MEMORY;
    }
    l2_buf_release(&all);
    return r;
}

/* The first n turns of the record's user; those of several messages are joined as l2-tokenize does
 * it. */
static int set_own_questions(struct l2_gatt_flight *f, size_t n, struct l2_err *err)
{
    struct l2_record *rec = f->rec;
    size_t k = 0;
    int r = L2_OK;
    for (size_t i = f->system ? 1 : 0; i < rec->n_messages && r == L2_OK; i++) {
        struct l2_message *m = &rec->messages[i];
        if (!has_role(m, "user"))
            continue;
        if (i > 0 && has_role(m - 1, "user")) {
            struct l2_str *q = &f->d.questions[k - 1];
            r = join(&rec->arena, q, "\n\n", &m->content, q, err);
        } else if (k == n) {
            break;
        } else {
            f->users[k] = m;
            f->d.questions[k++] = m->content;
        }
    }
    return r;
}

/* The questions of f, of which the record has n_users: as many as are wanted, as far as there are
 * some. */
static int set_questions(const struct l2_gatt *g, struct l2_gatt_flight *f, size_t n_users,
                         struct l2_philox_key key, struct l2_err *err)
{
    const struct l2_constraints *c = g->opts.constraints;
    struct l2_arena *arena = &f->rec->arena;
    size_t n = g->opts.n_turns > 0 ? g->opts.n_turns : n_users;
    uint32_t *order = l2_arena_alloc(arena, c->n_questions, sizeof *order, err);
    if (n > n_users && n - n_users > c->n_questions)
        n = n_users + c->n_questions;
    f->users = l2_arena_alloc(arena, n, sizeof(struct l2_message *), err);
    f->d.questions = l2_arena_alloc(arena, n, sizeof *f->d.questions, err);
    f->d.answers = l2_arena_alloc(arena, n, sizeof *f->d.answers, err);
    f->d.texts = l2_arena_alloc(arena, n, sizeof *f->d.texts, err);
    f->turns = l2_arena_alloc(arena, 2 * n + 1, sizeof *f->turns, err);
    if (!order || !f->users || !f->d.questions || !f->d.answers || !f->d.texts || !f->turns)
        return L2_MEMORY;
    l2_constraints_questions(c, key, order);
    for (size_t i = n_users; i < n; i++) {
        const char *s = c->questions[order[i - n_users]];
        f->users[i] = NULL;
        f->d.questions[i] = (struct l2_str){s, strlen(s)};
    }
    f->n_turns = n;
    return set_own_questions(f, n < n_users ? n : n_users, err);
}

/* What was put into g->text, as a string of the record. */
static int keep_text(struct l2_gatt *g, struct l2_record *rec, struct l2_str *out,
                     struct l2_err *err)
{
    int r = l2_record_str(rec, (const char *)g->text.data, g->text.len, out, err);
    g->text.len = 0;
    return r;
}

int l2_gatt_begin(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err)
{
    const struct l2_constraints *c = g->opts.constraints;
    struct l2_gatt_dialogue *d = &f->d;
    uint8_t id_hash[32];
    size_t n_users = 0;
    int r = count_users(f->rec, &n_users, err);
    if (r != L2_OK)
        return r;
    l2_id_hash(&f->rec->id, id_hash);
    struct l2_philox_key key = l2_philox_key_for(g->opts.generate.seed, id_hash);
    f->system = has_role(&f->rec->messages[0], "system") ? &f->rec->messages[0] : NULL;
    l2_constraints_choose(c, g->opts.combine, g->opts.brief_share, key, &d->choice);
    r = set_questions(g, f, n_users, key, err);
    g->text.len = 0;
    if (r == L2_OK)
        r = l2_constraints_text(c, &d->choice, false, &g->text, err);
    if (r == L2_OK)
        r = keep_text(g, f->rec, &f->full, err);
    if (r == L2_OK)
        r = l2_constraints_text(c, &d->choice, d->choice.brief, &g->text, err);
    if (r == L2_OK)
        r = keep_text(g, f->rec, &d->instruction, err);
    if (r == L2_OK)
        r = l2_constraints_label(c, &d->choice, &g->text, err);
    return r == L2_OK ? keep_text(g, f->rec, &d->label, err) : r;
}

/* ---- rendering ---- */

static struct l2_turn turn_of(const char *role, const struct l2_str *s)
{
    return (struct l2_turn){.role = role, .content = s->s, .content_len = s->n};
}

/* The turns up to question number t in f->turns; what is put together for that is in arena. */
static int make_turns(const struct l2_gatt *g, struct l2_gatt_flight *f, size_t t,
                      enum l2_gatt_form form, struct l2_arena *arena, size_t *n, struct l2_err *err)
{
    const struct l2_gatt_dialogue *d = &f->d;
    bool in_system = form == L2_GATT_ONCE && g->opts.system;
    const struct l2_str *instruction = form == L2_GATT_EVERY ? &f->full : &d->instruction;
    struct l2_str text = f->system ? f->system->content : *instruction;
    int r = L2_OK;
    *n = 0;
    if (f->system && in_system)
        r = join(arena, &f->system->content, "\n", instruction, &text, err);
    if (f->system || in_system)
        f->turns[(*n)++] = turn_of("system", &text);
    for (size_t i = 0; i <= t && r == L2_OK; i++) {
        text = d->questions[i];
        if (form == L2_GATT_EVERY || (i == 0 && !in_system))
            r = join(arena, instruction, "\n", &d->questions[i], &text, err);
        f->turns[(*n)++] = turn_of("user", &text);
        if (i == t)
            break;
        f->turns[*n] = turn_of("assistant", &d->texts[i]);
        f->turns[*n].ids = d->answers[i].tokens.v;
        f->turns[(*n)++].n_ids = d->answers[i].tokens.n;
    }
    return r;
}

int l2_gatt_render(struct l2_gatt *g, struct l2_gatt_flight *f, size_t t, enum l2_gatt_form form,
                   struct l2_err *err)
{
    struct l2_arena scratch;
    size_t n;
    l2_arena_init(&scratch);
    g->ids.n = 0;
    int r = make_turns(g, f, t, form, &scratch, &n, err);
    if (r == L2_OK)
        r = l2_template_prompt(g->opts.dialogues, g->encoder, f->turns, n, &g->ids, NULL, err);
    l2_arena_release(&scratch);
    return r;
}

/* ---- the record ---- */

static int set_prompt(struct l2_record *rec, const struct l2_ids *ids, struct l2_err *err)
{
    uint32_t *v = l2_arena_alloc(&rec->arena, ids->n, sizeof *v, err);
    if (!v)
        return L2_MEMORY;
    if (ids->n > 0)
        memcpy(v, ids->v, ids->n * sizeof *v);
    rec->prompt = (struct l2_u32s){v, ids->n};
    return L2_OK;
}

/* The messages are what was rendered; those of the user keep the other fields that they had. */
static int set_messages(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err)
{
    struct l2_record *rec = f->rec;
    size_t n, user = 0;
    int r = make_turns(g, f, f->d.n - 1, L2_GATT_ONCE, &rec->arena, &n, err);
    struct l2_message *m = r == L2_OK ? l2_arena_alloc(&rec->arena, n, sizeof *m, err) : NULL;
    if (!m)
        return L2_MEMORY;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        const struct l2_turn *turn = &f->turns[i];
        const struct l2_message *from = NULL;
        if (turn->role[0] == 's')
            from = f->system;
        else if (turn->role[0] == 'u')
            from = f->users[user++];
        m[i] = (struct l2_message){.role = {turn->role, strlen(turn->role)}};
        if (from)
            m[i].other = from->other;
        r = l2_record_str(rec, turn->content, turn->content_len, &m[i].content, err);
    }
    rec->messages = m;
    rec->n_messages = n;
    return r;
}

/* The constraints and the number of the turn, as labels of the answer. */
static int set_labels(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_completion *c,
                      struct l2_err *err)
{
    struct l2_cbor_out o = {.out = &g->text, .err = err};
    g->text.len = 0;
    l2_cbor_put_str(&o, "constraint");
    l2_cbor_put_text(&o, f->d.label.s, f->d.label.n);
    l2_cbor_put_str(&o, "turn");
    l2_cbor_put_uint(&o, f->d.n);
    if (o.rc != L2_OK)
        return o.rc;
    char *data = l2_arena_strdup(&f->rec->arena, g->text.data, g->text.len, err);
    if (!data)
        return L2_MEMORY;
    c->has_labels = true;
    c->labels = (struct l2_fields){(const uint8_t *)data, g->text.len, 2};
    return L2_OK;
}

/* Of the forms that l2-tokenize -d writes, lists of messages for prompt and completion. */
static const struct l2_str shape = {"prompt+completion:messages", 26};

int l2_gatt_finish(struct l2_gatt *g, struct l2_gatt_flight *f, struct l2_err *err)
{
    struct l2_record *rec = f->rec;
    int r = l2_gatt_render(g, f, f->d.n - 1, L2_GATT_ONCE, err);
    if (r == L2_OK)
        r = set_prompt(rec, &g->ids, err);
    if (r == L2_OK)
        r = set_messages(g, f, err);
    rec->completions = NULL;
    rec->n_completions = 0;
    struct l2_completion *c = r == L2_OK ? l2_record_add_completion(rec, err) : NULL;
    if (!c)
        return r == L2_OK ? L2_MEMORY : r;
    *c = f->d.answers[f->d.n - 1];
    rec->spans = (struct l2_u32s){NULL, 0};
    rec->has_margin = false;
    rec->embedding = (struct l2_f32s){NULL, 0};
    rec->embedding_rows = 0;
    rec->shape = shape;
    return set_labels(g, f, c, err);
}

int l2_gatt_turn(struct l2_worker *w, size_t t, struct l2_record *rec, struct l2_err *err)
{
    struct l2_gatt *g = (struct l2_gatt *)w;
    struct l2_gatt_flight *f = g->taken;
    l2_record_reset(rec);
    int r = l2_gatt_render(g, f, t, L2_GATT_ONCE, err);
    if (r == L2_OK)
        r = set_prompt(rec, &g->ids, err);
    struct l2_completion *c = r == L2_OK ? l2_record_add_completion(rec, err) : NULL;
    if (!c)
        return r == L2_OK ? L2_MEMORY : r;
    c->tokens = f->d.answers[t].tokens;
    c->finish = f->d.answers[t].finish;
    rec->id = f->rec->id;
    return L2_OK;
}
