/* Rows of JSON and texts as records: the texts become token ids, the rest is kept. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/shape.h"

#include <stdlib.h>
#include <string.h>

#include "data/hh.h"
#include "data/row.h"
#include "stream/json.h"

struct l2_shaper {
    struct l2_shape_opts o;
    const struct l2_vocab *vocab; /* the encoder's */
    bool puts_bos;                /* before texts: wanted, and the vocabulary's way */
    struct l2_ids ids, spans;     /* of the part being encoded */
    struct l2_turn *turns;        /* owned */
    size_t turns_cap;
};

int l2_shaper_new(struct l2_shaper **out, const struct l2_shape_opts *opts, struct l2_err *err)
{
    const struct l2_vocab *v = l2_encoder_vocab(opts->encoder);
    *out = NULL;
    if (opts->bos && l2_vocab_bos(v) == L2_NO_ID && !l2_vocab_byte_level(v))
        return l2_err_set(err, L2_FORMAT, "the vocabulary has no BOS piece: say --no-bos");
    if (opts->eos && l2_vocab_eos(v) == L2_NO_ID)
        return l2_err_set(err, L2_FORMAT, "the vocabulary has no EOS piece: say --no-eos");
    struct l2_shaper *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->o = *opts;
    s->puts_bos = opts->bos && l2_vocab_add_bos(v);
    s->vocab = v;
    *out = s;
    return L2_OK;
}

void l2_shaper_free(struct l2_shaper *s)
{
    if (!s)
        return;
    l2_ids_release(&s->ids);
    l2_ids_release(&s->spans);
    free(s->turns);
    free(s);
}

/* Copies ids into the record's arena. */
static int keep(struct l2_record *rec, const struct l2_ids *ids, struct l2_u32s *out,
                struct l2_err *err)
{
    out->v = l2_arena_alloc(&rec->arena, ids->n, sizeof *out->v, err);
    if (!out->v)
        return L2_MEMORY;
    out->n = ids->n;
    if (ids->n > 0)
        memcpy(out->v, ids->v, ids->n * sizeof *out->v);
    return L2_OK;
}

static int begin_part(struct l2_shaper *s, bool bos, struct l2_err *err)
{
    s->ids.n = s->spans.n = 0;
    return bos ? l2_ids_append(&s->ids, l2_vocab_bos(s->vocab), err) : L2_OK;
}

/* ---- texts ---- */

static int put_span(struct l2_shaper *s, size_t begin, struct l2_err *err)
{
    int r = l2_ids_append(&s->spans, (uint32_t)begin, err);
    return r == L2_OK ? l2_ids_append(&s->spans, (uint32_t)s->ids.n, err) : r;
}

static int put_text(struct l2_shaper *s, const char *text, size_t n, bool continuation,
                    struct l2_err *err)
{
    return l2_encode(s->o.encoder, text, n, continuation ? L2_ENCODE_CONTINUE : 0, &s->ids, err);
}

/* An HH dialogue, each answer encoded on its own and noted as a span. */
static int put_hh(struct l2_shaper *s, const char *text, size_t n, bool in_answer,
                  bool continuation, struct l2_err *err)
{
    size_t pos = 0, len = 0;
    bool assistant = in_answer;
    int r = L2_OK;
    while (r == L2_OK && (pos < n || assistant)) {
        bool answer = assistant;
        size_t begin = s->ids.n, end = l2_hh_marker(text, n, pos, &assistant, &len);
        if (answer) {
            assistant = false; /* the marker itself comes next, as other text */
        } else {
            while (end < n && !assistant)
                end = l2_hh_marker(text, n, end + len, &assistant, &len);
            if (end < n)
                end += len;
            else
                assistant = false;
        }
        r = put_text(s, text + pos, end - pos, continuation || pos > 0, err);
        if (r == L2_OK && answer && end > pos)
            r = put_span(s, begin, err);
        pos = end;
    }
    return r;
}

/* ---- turns ---- */

static int set_turn(struct l2_turn *t, const json_t *turn)
{
    const json_t *content = json_object_get(turn, "content");
    *t = (struct l2_turn){.role = json_string_value(json_object_get(turn, "role")),
                          .content = json_string_value(content),
                          .content_len = json_string_length(content)};
    return L2_OK;
}

/* Joins the text of b behind that of a, with an empty line between. */
static int join_turns(struct l2_record *rec, struct l2_turn *a, const struct l2_turn *b,
                      struct l2_err *err)
{
    size_t n = a->content_len + 2 + b->content_len;
    char *s = l2_arena_alloc(&rec->arena, n + 1, 1, err);
    if (!s)
        return L2_MEMORY;
    memcpy(s, a->content, a->content_len);
    memcpy(s + a->content_len, "\n\n", 2);
    memcpy(s + a->content_len + 2, b->content, b->content_len);
    s[n] = '\0';
    a->content = s;
    a->content_len = n;
    return L2_OK;
}

/* Fills s->turns; *n is their number. HH data has dialogues in which one side speaks twice in a
 * row; templates have no form for that, so those turns are joined. */
static int load_turns(struct l2_shaper *s, struct l2_record *rec, const json_t *list, bool join,
                      size_t *n, struct l2_err *err)
{
    size_t want = json_array_size(list);
    *n = 0;
    if (want > s->turns_cap) {
        struct l2_turn *t = realloc(s->turns, want * sizeof *t);
        if (!t)
            return l2_err_memory(err, want * sizeof *t);
        s->turns = t;
        s->turns_cap = want;
    }
    for (size_t i = 0; i < want; i++) {
        struct l2_turn turn;
        int r = set_turn(&turn, json_array_get(list, i));
        if (r == L2_OK && join && *n > 0 && strcmp(s->turns[*n - 1].role, turn.role) == 0)
            r = join_turns(rec, &s->turns[*n - 1], &turn, err);
        else
            s->turns[(*n)++] = turn;
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* ---- the two sides ---- */

static int encode_prompt(struct l2_shaper *s, const struct l2_row *row, struct l2_record *rec,
                         struct l2_err *err)
{
    const struct l2_side *p = &row->prompt;
    size_t n;
    int r = begin_part(s, row->style == L2_STYLE_PLAIN && s->puts_bos, err);
    if (r == L2_OK && row->style != L2_STYLE_PLAIN) {
        r = load_turns(s, rec, p->turns, row->style == L2_STYLE_HH, &n, err);
        if (r == L2_OK)
            r = l2_template_prompt(s->o.dialogues, s->o.encoder, s->turns, n, &s->ids, &s->spans,
                                   err);
        if (r == L2_OK && !s->o.bos && s->ids.n > 0 && s->ids.v[0] == l2_vocab_bos(s->vocab)) {
            s->ids.n--;
            memmove(s->ids.v, s->ids.v + 1, s->ids.n * sizeof *s->ids.v);
            for (size_t i = 0; i < s->spans.n; i++)
                s->spans.v[i]--;
        }
    } else if (r == L2_OK && l2_hh_is(p->s, p->n)) {
        r = put_hh(s, p->s, p->n, false, false, err);
    } else if (r == L2_OK) {
        r = put_text(s, p->s, p->n, false, err);
    }
    if (r == L2_OK)
        r = keep(rec, &s->ids, &rec->prompt, err);
    return r == L2_OK && s->spans.n > 0 ? keep(rec, &s->spans, &rec->spans, err) : r;
}

/* An answer that was cut off has no EOS. */
static bool wants_eos(const struct l2_shaper *s, const struct l2_completion *c)
{
    return s->o.eos && c->finish != L2_FINISH_LENGTH && c->finish != L2_FINISH_STOP;
}

static int put_plain(struct l2_shaper *s, const struct l2_row *row, const struct l2_side *side,
                     bool eos, struct l2_err *err)
{
    const struct l2_side *p = &row->prompt;
    int r = l2_hh_is(p->s, p->n) ? put_hh(s, side->s, side->n, true, true, err)
                                 : put_text(s, side->s, side->n, p->n > 0, err);
    size_t end = s->ids.n;
    if (r == L2_OK && eos)
        r = l2_ids_append(&s->ids, l2_vocab_eos(s->vocab), err);
    if (s->spans.n > 0 && s->spans.v[s->spans.n - 1] == end)
        s->spans.v[s->spans.n - 1] = (uint32_t)s->ids.n;
    return r;
}

static int encode_completion(struct l2_shaper *s, const struct l2_row *row,
                             const struct l2_side *side, struct l2_record *rec,
                             struct l2_completion *c, struct l2_err *err)
{
    bool eos = wants_eos(s, c);
    size_t n;
    int r = begin_part(s, false, err);
    if (r == L2_OK && row->style == L2_STYLE_PLAIN) {
        r = put_plain(s, row, side, eos, err);
    } else if (r == L2_OK) {
        r = load_turns(s, rec, side->turns, row->style == L2_STYLE_HH, &n, err);
        if (r == L2_OK)
            r = l2_template_completion(s->o.dialogues, s->o.encoder, s->turns, n, eos, &s->ids,
                                       &s->spans, err);
    }
    if (r == L2_OK)
        r = keep(rec, &s->ids, &c->tokens, err);
    /* one answer is all of it, and needs no span */
    bool several = s->spans.n > 2 || (s->spans.n == 2 && s->spans.v[1] < s->ids.n);
    return r == L2_OK && several ? keep(rec, &s->spans, &c->spans, err) : r;
}

/* ---- everything but the ids ---- */

/* Fields of a completion that only ids give a meaning to. */
static int refuse_token_fields(const json_t *notes, size_t i, struct l2_err *err)
{
    static const char *const more[] = {"tokens", "embedding", "spans"};
    for (size_t k = 0; k < L2_N_SERIES + sizeof more / sizeof *more; k++) {
        const char *key = k < L2_N_SERIES ? l2_series_names[k] : more[k - L2_N_SERIES];
        if (json_object_get(notes, key))
            return l2_err_set(err, L2_FORMAT,
                              "completions[%zu].%s: records with token ids are read by l2-cat "
                              "--from-json",
                              i, key);
    }
    return L2_OK;
}

/* A completion as the stream has it, without its ids. */
static json_t *wire_completion(const struct l2_row *row, size_t i, struct l2_err *err)
{
    const struct l2_side *side = &row->completions[i];
    json_t *c = json_object();
    if (side->notes && refuse_token_fields(side->notes, i, err) != L2_OK) {
        json_decref(c);
        return NULL;
    }
    int bad = !c;
    if (side->notes)
        bad |= json_object_update(c, side->notes);
    bad |= json_object_del(c, "text") > 0 || json_object_del(c, "messages") > 0;
    if (row->style != L2_STYLE_PLAIN && side->s)
        bad |= json_object_set_new(c, "text", json_stringn(side->s, side->n));
    else if (side->turns)
        bad |= json_object_set(c, "messages", side->turns);
    if (bad) {
        json_decref(c);
        (void)l2_err_memory(err, side->n);
        return NULL;
    }
    return c;
}

/* The record in the stream's JSON form, without ids. Owned. */
static json_t *wire_record(const struct l2_row *row, json_t *id, struct l2_err *err)
{
    char shape[L2_SHAPE_MAX];
    json_t *w = json_object(), *list = json_array();
    l2_shape_format(row->form, row->style, shape);
    (void)l2_err_memory(err, 1); /* until something else is said */
    int bad = json_object_set(w, "id", id);
    if (row->prompt.turns)
        bad |= json_object_set(w, "messages", row->prompt.turns);
    bad |= json_object_set(w, "completions", list);
    for (size_t i = 0; i < row->n_completions && !bad; i++) {
        json_t *c = wire_completion(row, i, err);
        bad |= !c || json_array_append_new(list, c);
    }
    if (row->margin)
        bad |= json_object_set(w, "margin", row->margin);
    bad |= json_object_set_new(w, "shape", json_string(shape));
    if (row->meta)
        bad |= json_object_set(w, "meta", row->meta);
    json_decref(list);
    if (bad) {
        json_decref(w);
        return NULL;
    }
    return w;
}

static json_t *id_to_json(const struct l2_id *id)
{
    return id->is_text ? json_stringn(id->text.s, id->text.n)
                       : json_integer((json_int_t)id->number);
}

/* Puts the system prompt before dialogues that have none. */
static int add_system(const struct l2_shaper *s, struct l2_row *row, struct l2_err *err)
{
    json_t *turns = row->prompt.turns;
    const char *first = json_string_value(json_object_get(json_array_get(turns, 0), "role"));
    if (!s->o.system || !turns || (first && strcmp(first, "system") == 0))
        return L2_OK;
    json_t *system = json_object();
    if (json_object_set_new(system, "role", json_string("system")) != 0 ||
        json_object_set_new(system, "content", json_string(s->o.system)) != 0) {
        json_decref(system);
        return l2_err_memory(err, strlen(s->o.system));
    }
    return json_array_insert_new(turns, 0, system) == 0 ? L2_OK : l2_err_memory(err, 1);
}

int l2_shape_from_json(struct l2_shaper *s, const json_t *j, const struct l2_id *otherwise,
                       struct l2_record *rec, struct l2_err *err)
{
    struct l2_row row;
    json_t *id = NULL, *wire = NULL;
    int r = l2_row_parse(&row, j, s->o.dialogues != NULL, err);
    if (r == L2_OK)
        r = add_system(s, &row, err);
    if (r != L2_OK)
        goto out;
    id = json_object_get(j, "id") ? json_incref(json_object_get(j, "id")) : id_to_json(otherwise);
    wire = wire_record(&row, id, err);
    if (!wire) {
        r = err ? (int)err->code : L2_FORMAT;
        goto out;
    }
    r = l2_record_from_json(wire, rec, err);
    if (r == L2_OK)
        r = encode_prompt(s, &row, rec, err);
    for (size_t i = 0; i < row.n_completions && r == L2_OK; i++)
        r = encode_completion(s, &row, &row.completions[i], rec, &rec->completions[i], err);
out:
    json_decref(id);
    json_decref(wire);
    l2_row_release(&row);
    return r;
}

int l2_shape_from_text(struct l2_shaper *s, const char *text, size_t n, const char *shape,
                       const struct l2_id *id, struct l2_record *rec, struct l2_err *err)
{
    l2_record_reset(rec);
    rec->id = *id;
    if (id->is_text) {
        int r = l2_record_str(rec, id->text.s, id->text.n, &rec->id.text, err);
        if (r != L2_OK)
            return r;
    }
    struct l2_completion *c = l2_record_add_completion(rec, err);
    if (!c)
        return L2_MEMORY;
    int r = l2_record_str(rec, shape, strlen(shape), &rec->shape, err);
    if (r == L2_OK)
        r = begin_part(s, s->puts_bos, err);
    if (r == L2_OK)
        r = keep(rec, &s->ids, &rec->prompt, err);
    if (r == L2_OK)
        r = begin_part(s, false, err);
    if (r == L2_OK)
        r = put_text(s, text, n, false, err);
    if (r == L2_OK && s->o.eos)
        r = l2_ids_append(&s->ids, l2_vocab_eos(s->vocab), err);
    return r == L2_OK ? keep(rec, &s->ids, &c->tokens, err) : r;
}
