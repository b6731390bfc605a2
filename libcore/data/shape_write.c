/* Records as text again, in the shape that they came in. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/shape.h"

#include <stdlib.h>
#include <string.h>

#include "data/hh.h"
#include "data/row.h"
#include "stream/cbor.h"
#include "stream/json.h"

/* ---- texts ---- */

/* Decodes ids to out, the part of a text that d stands in. */
static int decode(struct l2_decoder *d, const struct l2_u32s *ids, struct l2_buf *out,
                  struct l2_err *err)
{
    int r = L2_OK;
    if (ids->n > 0 && !d->vocab)
        return l2_err_set(err, L2_ARGUMENT, "token ids without a vocabulary");
    for (size_t i = 0; i < ids->n && r == L2_OK; i++) {
        if (ids->v[i] >= l2_vocab_size(d->vocab))
            return l2_err_set(err, L2_CORRUPT, "token id %u: want less than %u", ids->v[i],
                              l2_vocab_size(d->vocab));
        r = l2_decode_id(d, ids->v[i], out, err);
    }
    return r;
}

static void start(struct l2_decoder *d, const struct l2_vocab *v)
{
    *d = (struct l2_decoder){0};
    if (v)
        l2_decoder_init(d, v, false);
}

static int decode_prompt(const struct l2_vocab *v, const struct l2_record *rec, struct l2_buf *out,
                         struct l2_err *err)
{
    struct l2_decoder d;
    start(&d, v);
    int r = decode(&d, &rec->prompt, out, err);
    return r == L2_OK ? l2_decode_finish(&d, out, err) : r;
}

/* The completion goes on where the prompt ends: its first space is dropped only where the prompt
 * has no text. */
static int decode_completion(const struct l2_vocab *v, const struct l2_record *rec,
                             const struct l2_completion *c, struct l2_buf *out, struct l2_err *err)
{
    struct l2_decoder d;
    size_t begin = out->len;
    if (c->text.s)
        return l2_buf_append(out, c->text.s, c->text.n, err);
    start(&d, v);
    int r = decode(&d, &rec->prompt, out, err);
    out->len = begin;
    d.n_held = 0;
    if (r == L2_OK)
        r = decode(&d, &c->tokens, out, err);
    return r == L2_OK ? l2_decode_finish(&d, out, err) : r;
}

int l2_shape_to_text(const struct l2_vocab *v, const struct l2_record *rec, size_t i,
                     struct l2_buf *out, struct l2_err *err)
{
    struct l2_decoder d;
    start(&d, v);
    int r = decode(&d, &rec->prompt, out, err);
    if (r == L2_OK && i < rec->n_completions) {
        const struct l2_completion *c = &rec->completions[i];
        /* a text beside the tokens ends inside the token after them */
        r = c->text.s ? l2_buf_append(out, c->text.s, c->text.n, err)
                      : decode(&d, &c->tokens, out, err);
    }
    return r == L2_OK ? l2_decode_finish(&d, out, err) : r;
}

/* The prompt's text as the row had it. */
static int prompt_text(const struct l2_vocab *v, const struct l2_record *rec, enum l2_style style,
                       struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    size_t n = rec->n_messages;
    if (style == L2_STYLE_TURN && n > 0) {
        const struct l2_str *s = &rec->messages[n - 1].content;
        return l2_buf_append(out, s->s, s->n, err);
    }
    if (style != L2_STYLE_HH || n == 0)
        return decode_prompt(v, rec, out, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        const struct l2_message *m = &rec->messages[i];
        if (strcmp(m->role.s, "system") == 0)
            continue; /* put in by --system: these texts have none */
        r = l2_buf_append_str(out, strcmp(m->role.s, "user") ? L2_HH_ASSISTANT : L2_HH_HUMAN, err);
        if (r == L2_OK)
            r = l2_buf_append_byte(out, ' ', err);
        if (r == L2_OK)
            r = l2_buf_append(out, m->content.s, m->content.n, err);
    }
    return r == L2_OK ? l2_buf_append_str(out, L2_HH_ASSISTANT, err) : r;
}

/* ---- lists of messages ---- */

static int put_str(struct l2_buf *out, const struct l2_str *s, struct l2_err *err)
{
    return l2_json_put_str(out, s->s, s->n, err);
}

static int comma(struct l2_buf *out, bool *first, struct l2_err *err)
{
    bool was_first = *first;
    *first = false;
    return was_first ? L2_OK : l2_buf_append_byte(out, ',', err);
}

/* The elements of the prompt's list. */
static int put_messages(struct l2_buf *out, const struct l2_record *rec, bool *first,
                        struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < rec->n_messages && r == L2_OK; i++) {
        const struct l2_message *m = &rec->messages[i];
        bool first_key = false;
        r = comma(out, first, err);
        if (r == L2_OK)
            r = l2_buf_append_str(out, "{\"role\":", err);
        if (r == L2_OK)
            r = put_str(out, &m->role, err);
        if (r == L2_OK)
            r = l2_buf_append_str(out, ",\"content\":", err);
        if (r == L2_OK)
            r = put_str(out, &m->content, err);
        if (r == L2_OK)
            r = l2_json_put_fields(out, &m->other, &first_key, err);
        if (r == L2_OK)
            r = l2_buf_append_byte(out, '}', err);
    }
    return r;
}

/* The value of key among a completion's unknown fields, as bytes of CBOR; NULL: none. rest gets the
 * other fields, in buf. */
static int split_field(const struct l2_fields *f, const char *key, const uint8_t **value, size_t *n,
                       struct l2_fields *rest, struct l2_buf *buf, struct l2_err *err)
{
    struct l2_cbor c = {.data = f->data, .n = f->len};
    int r = L2_OK;
    *value = NULL;
    *n = 0;
    buf->len = 0;
    *rest = (struct l2_fields){0};
    for (size_t i = 0; i < f->n && r == L2_OK; i++) {
        struct l2_cbor_item name, item;
        size_t begin = c.pos;
        r = l2_cbor_next(&c, &name, err);
        size_t at = c.pos;
        if (r == L2_OK)
            r = l2_cbor_next(&c, &item, err);
        if (r == L2_OK)
            r = l2_cbor_skip(&c, &item, err);
        if (r != L2_OK)
            break;
        if (name.n == strlen(key) && memcmp(name.bytes, key, name.n) == 0) {
            *value = f->data + at;
            *n = c.pos - at;
        } else {
            r = l2_buf_append(buf, f->data + begin, c.pos - begin, err);
            rest->n++;
        }
    }
    rest->data = buf->data;
    rest->len = buf->len;
    l2_buf_release(&c.keys);
    return r;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The elements of a completion's list: as they came, or one answer without the white space around
 * it that templates put there. */
static int put_answer(const struct l2_vocab *v, const struct l2_record *rec,
                      const struct l2_completion *c, struct l2_buf *out, bool *first,
                      struct l2_err *err)
{
    struct l2_buf text = {0};
    struct l2_fields rest;
    const uint8_t *value;
    size_t n;
    int r = split_field(&c->other, "messages", &value, &n, &rest, &text, err);
    if (r == L2_OK)
        r = comma(out, first, err);
    if (r == L2_OK && value) {
        text.len = 0;
        r = l2_json_put_items(&text, value, n, err);
        if (r == L2_OK && text.len > 2) /* without its brackets */
            r = l2_buf_append(out, text.data + 1, text.len - 2, err);
    } else if (r == L2_OK) {
        text.len = 0;
        r = decode_completion(v, rec, c, &text, err);
        size_t begin = 0, end = text.len;
        while (begin < end && is_blank(text.data[begin]))
            begin++;
        while (end > begin && is_blank(text.data[end - 1]))
            end--;
        if (r == L2_OK)
            r = l2_buf_append_str(out, "{\"role\":\"assistant\",\"content\":", err);
        if (r == L2_OK)
            r = l2_json_put_str(out, end > 0 ? (char *)text.data + begin : "", end - begin, err);
        if (r == L2_OK)
            r = l2_buf_append_byte(out, '}', err);
    }
    l2_buf_release(&text);
    return r;
}

/* ---- fields ---- */

/* Which parts a field has. */
enum { PROMPT = 1, COMPLETION = 2 };

/* ,"key":value with the prompt, a completion, or one after the other. */
static int put_field(const struct l2_vocab *v, const struct l2_record *rec, enum l2_style style,
                     const char *key, unsigned parts, const struct l2_completion *c,
                     struct l2_buf *out, struct l2_err *err)
{
    struct l2_buf text = {0};
    bool first = true;
    int r = l2_buf_printf(out, err, ",\"%s\":", key);
    if (r == L2_OK && style == L2_STYLE_MESSAGES) {
        r = l2_buf_append_byte(out, '[', err);
        if (r == L2_OK && parts & PROMPT)
            r = put_messages(out, rec, &first, err);
        if (r == L2_OK && parts & COMPLETION)
            r = put_answer(v, rec, c, out, &first, err);
        if (r == L2_OK)
            r = l2_buf_append_byte(out, ']', err);
    } else if (r == L2_OK) {
        if (parts & PROMPT)
            r = prompt_text(v, rec, style, &text, err);
        if (r == L2_OK && parts & COMPLETION)
            r = decode_completion(v, rec, c, &text, err);
        if (r == L2_OK)
            r = l2_json_put_str(out, text.len > 0 ? (char *)text.data : "", text.len, err);
    }
    l2_buf_release(&text);
    return r;
}

/* ---- the form ---- */

static bool has_messages(const struct l2_completion *c)
{
    struct l2_buf buf = {0};
    struct l2_fields rest;
    const uint8_t *value;
    size_t n;
    struct l2_err err;
    int r = split_field(&c->other, "messages", &value, &n, &rest, &buf, &err);
    l2_buf_release(&buf);
    return r == L2_OK && value;
}

/* The form that the record still has: its shape's, where it has as many completions as that. */
static void choose_form(const struct l2_record *rec, enum l2_form *form, enum l2_style *style)
{
    static const size_t n[L2_N_FORMS] = {
        [L2_FORM_TEXT] = 1,        [L2_FORM_PROMPT] = 0, [L2_FORM_PROMPT_COMPLETION] = 1,
        [L2_FORM_PROMPT_PAIR] = 2, [L2_FORM_PAIR] = 2,
    };
    *form = L2_FORM_PROMPT_COMPLETIONS;
    *style = L2_STYLE_PLAIN;
    if (!l2_shape_parse(rec->shape.s, rec->shape.n, form, style))
        return;
    if (*style == L2_STYLE_MESSAGES && rec->n_messages == 0)
        *style = L2_STYLE_PLAIN; /* somebody took them away */
    bool kept = *form == L2_FORM_MESSAGES
                    ? rec->n_completions == 0 ||
                          (rec->n_completions == 1 && has_messages(&rec->completions[0]))
                    : rec->n_completions == n[*form];
    if (!kept || (*form == L2_FORM_MESSAGES && *style != L2_STYLE_MESSAGES))
        *form = L2_FORM_PROMPT_COMPLETIONS;
}

static int put_form(const struct l2_vocab *v, const struct l2_record *rec, enum l2_form form,
                    enum l2_style style, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_completion *c = rec->completions;
    unsigned pair = form == L2_FORM_PAIR ? PROMPT | COMPLETION : COMPLETION;
    int r = L2_OK;
    switch (form) {
    case L2_FORM_TEXT:
        return put_field(v, rec, style, "text", PROMPT | COMPLETION, c, out, err);
    case L2_FORM_MESSAGES:
        return put_field(v, rec, style, "messages",
                         PROMPT | (c && rec->n_completions ? COMPLETION : 0), c, out, err);
    case L2_FORM_PROMPT_COMPLETION:
        r = put_field(v, rec, style, "prompt", PROMPT, NULL, out, err);
        return r == L2_OK ? put_field(v, rec, style, "completion", COMPLETION, c, out, err) : r;
    case L2_FORM_PROMPT_PAIR:
    case L2_FORM_PAIR:
        if (form == L2_FORM_PROMPT_PAIR)
            r = put_field(v, rec, style, "prompt", PROMPT, NULL, out, err);
        if (r == L2_OK)
            r = put_field(v, rec, style, "chosen", pair, c, out, err);
        return r == L2_OK ? put_field(v, rec, style, "rejected", pair, c + 1, out, err) : r;
    default:
        return put_field(v, rec, style, "prompt", PROMPT, NULL, out, err);
    }
}

/* ---- the rest ---- */

/* What is left of a record when its texts are in other fields. Owned. */
struct reduced {
    struct l2_record rec;
    struct l2_buf *bufs; /* what the completions' fields point to; n of them each */
    size_t n;
    bool notes; /* some completion says more than its text */
};

static void release_reduced(struct reduced *d)
{
    for (size_t i = 0; d->bufs && i < d->n; i++)
        l2_buf_release(&d->bufs[i]);
    free(d->bufs);
    free(d->rec.completions);
}

static bool has_notes(const struct l2_completion *c)
{
    return c->finish != L2_FINISH_NONE || c->n_scores > 0 || c->has_labels || c->gen.present ||
           c->other.n > 0;
}

/* Completion i without what only ids give a meaning to. */
static int reduce_completion(struct reduced *d, const struct l2_vocab *v,
                             const struct l2_record *rec, size_t i, bool with_text,
                             struct l2_err *err)
{
    const struct l2_completion *c = &rec->completions[i];
    struct l2_completion *to = &d->rec.completions[i];
    const uint8_t *value;
    size_t n;
    *to = (struct l2_completion){.finish = c->finish,
                                 .scores = c->scores,
                                 .n_scores = c->n_scores,
                                 .has_labels = c->has_labels,
                                 .labels = c->labels,
                                 .gen = c->gen,
                                 .other = c->other};
    int r = L2_OK;
    if (!with_text) {
        r = split_field(&c->other, "messages", &value, &n, &to->other, &d->bufs[i], err);
    } else if (!has_messages(c)) {
        r = decode_completion(v, rec, c, &d->bufs[i], err);
        if (r == L2_OK)
            r = l2_buf_append_byte(&d->bufs[i], '\0', err);
        if (r == L2_OK)
            to->text = (struct l2_str){(char *)d->bufs[i].data, d->bufs[i].len - 1};
    }
    d->notes = d->notes || has_notes(to);
    return r;
}

static int reduce(struct reduced *d, const struct l2_vocab *v, const struct l2_record *rec,
                  bool with_text, struct l2_err *err)
{
    size_t n = rec->n_completions;
    *d = (struct reduced){.n = n};
    d->rec = (struct l2_record){.id = rec->id,
                                .n_completions = n,
                                .has_margin = rec->has_margin,
                                .margin = rec->margin,
                                .has_meta = rec->has_meta && rec->meta.n > 0,
                                .meta = rec->meta};
    d->rec.completions = calloc(n > 0 ? n : 1, sizeof *d->rec.completions);
    d->bufs = calloc(n > 0 ? n : 1, sizeof *d->bufs);
    if (!d->rec.completions || !d->bufs)
        return l2_err_memory(err, n * sizeof *d->rec.completions);
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = reduce_completion(d, v, rec, i, with_text, err);
    return r;
}

/* Id, texts, and then what the stream's JSON form has for the rest of the record. */
int l2_shape_to_json(const struct l2_vocab *v, const struct l2_record *rec, struct l2_buf *out,
                     struct l2_err *err)
{
    static const char no_completions[] = ",\"completions\":[]";
    struct reduced d = {0};
    struct l2_buf rest = {0};
    enum l2_form form;
    enum l2_style style;
    size_t begin = out->len;
    choose_form(rec, &form, &style);
    bool group = form == L2_FORM_PROMPT_COMPLETIONS;
    int r = reduce(&d, v, rec, group, err);
    if (r == L2_OK && !group && !d.notes)
        d.rec.n_completions = 0;
    if (r == L2_OK)
        r = l2_record_to_json(&rest, &d.rec, err);
    if (r == L2_OK)
        r = l2_buf_append_str(out, "{\"id\":", err);
    if (r == L2_OK)
        r = l2_json_put_id(out, &rec->id, err);
    size_t head = out->len - begin; /* rest begins with the same bytes */
    if (r == L2_OK)
        r = put_form(v, rec, form, style, out, err);
    if (r == L2_OK && !group && d.rec.n_completions == 0 &&
        rest.len - head > sizeof no_completions - 1 &&
        memcmp(rest.data + head, no_completions, sizeof no_completions - 1) == 0)
        head += sizeof no_completions - 1;
    if (r == L2_OK)
        r = l2_buf_append(out, rest.data + head, rest.len - head, err);
    if (r != L2_OK)
        out->len = begin;
    l2_buf_release(&rest);
    release_reduced(&d);
    return r;
}
