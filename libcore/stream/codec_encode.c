/* Records, headers and ENDs to CBOR. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/codec.h"

#include <math.h>
#include <string.h>

#include "util/utf8.h"

bool l2_spans_valid(const struct l2_u32s *spans, size_t n)
{
    uint32_t last = 0;
    for (size_t i = 0; i < spans->n; i++) {
        if (spans->v[i] < last || spans->v[i] > n)
            return false;
        last = spans->v[i];
    }
    return spans->n % 2 == 0;
}

/* The first failure of checking what the caller gave. */
static void refuse(struct l2_cbor_out *o, const char *field, const char *why)
{
    if (o->rc == L2_OK)
        o->rc = l2_err_set(o->err, L2_ARGUMENT, "%s: %s", field, why);
}

static void put_fields(struct l2_cbor_out *o, const struct l2_fields *f)
{
    l2_cbor_put_raw(o, f->data, f->len);
}

static void put_map_field(struct l2_cbor_out *o, const char *key, const struct l2_fields *f)
{
    l2_cbor_put_str(o, key);
    l2_cbor_put_map(o, f->n);
    put_fields(o, f);
}

static void put_u32s_field(struct l2_cbor_out *o, const char *key, const struct l2_u32s *a)
{
    l2_cbor_put_str(o, key);
    l2_cbor_put_u32s(o, a->v, a->n);
}

static void put_spans_field(struct l2_cbor_out *o, const struct l2_u32s *a, size_t n)
{
    if (!l2_spans_valid(a, n))
        refuse(o, "spans", "not pairs in order within the ids");
    put_u32s_field(o, "spans", a);
}

static void put_text_field(struct l2_cbor_out *o, const char *key, const struct l2_str *s)
{
    l2_cbor_put_str(o, key);
    l2_cbor_put_text(o, s->s, s->n);
}

static void put_finite_f32s(struct l2_cbor_out *o, const char *key, const struct l2_f32s *a)
{
    bool bad = false;
    for (size_t i = 0; i < a->n; i++)
        bad |= !isfinite(a->v[i]);
    if (bad)
        refuse(o, key, "a number is not finite");
    l2_cbor_put_f32s(o, a->v, a->n);
}

static void put_finite_f64(struct l2_cbor_out *o, const char *key, double v)
{
    if (!isfinite(v))
        refuse(o, key, "not finite");
    l2_cbor_put_f64(o, v);
}

static void put_embedding(struct l2_cbor_out *o, const struct l2_f32s *a, size_t rows)
{
    l2_cbor_put_str(o, "embedding");
    if (rows > 0) {
        if (a->n == 0 || a->n % rows != 0)
            refuse(o, "embedding", "not a whole number of rows");
        l2_cbor_put_tag(o, L2_TAG_MATRIX);
        l2_cbor_put_array(o, 2);
        l2_cbor_put_array(o, 2);
        l2_cbor_put_uint(o, rows);
        l2_cbor_put_uint(o, a->n / rows);
    }
    put_finite_f32s(o, "embedding", a);
}

static void put_gen(struct l2_cbor_out *o, const struct l2_gen *g)
{
    l2_cbor_put_str(o, "gen");
    l2_cbor_put_map(o, (size_t)g->has_k + g->has_seed + g->has_temperature + (g->model.s != NULL) +
                           g->has_round + g->other.n);
    if (g->has_k) {
        l2_cbor_put_str(o, "k");
        l2_cbor_put_uint(o, g->k);
    }
    if (g->has_seed) {
        l2_cbor_put_str(o, "seed");
        l2_cbor_put_uint(o, g->seed);
    }
    if (g->has_temperature) {
        l2_cbor_put_str(o, "temperature");
        put_finite_f64(o, "temperature", g->temperature);
    }
    if (g->model.s)
        put_text_field(o, "model", &g->model);
    if (g->has_round) {
        l2_cbor_put_str(o, "round");
        l2_cbor_put_int(o, g->round);
    }
    put_fields(o, &g->other);
}

static void put_scores(struct l2_cbor_out *o, const struct l2_completion *c)
{
    l2_cbor_put_str(o, "scores");
    l2_cbor_put_map(o, c->n_scores);
    for (size_t i = 0; i < c->n_scores; i++) {
        const struct l2_score *s = &c->scores[i];
        if (memchr(s->name.s, 0, s->name.n))
            refuse(o, "scores", "a name with a NUL");
        l2_cbor_put_text(o, s->name.s, s->name.n);
        put_finite_f64(o, "scores", s->value);
    }
}

static size_t completion_fields(const struct l2_completion *c)
{
    size_t n = c->other.n;
    n += c->tokens.v != NULL;
    for (int i = 0; i < L2_N_SERIES; i++)
        n += c->series[i].v != NULL;
    n += c->finish != L2_FINISH_NONE;
    n += c->n_scores > 0;
    n += c->has_labels;
    n += c->gen.present;
    n += c->embedding.v != NULL;
    n += c->spans.v != NULL;
    n += c->text.s != NULL;
    return n;
}

static void put_completion(struct l2_cbor_out *o, const struct l2_completion *c)
{
    l2_cbor_put_map(o, completion_fields(c));
    if (c->tokens.v)
        put_u32s_field(o, "tokens", &c->tokens);
    for (int i = 0; i < L2_N_SERIES; i++) {
        if (!c->series[i].v)
            continue;
        if (c->series[i].n != c->tokens.n)
            refuse(o, l2_series_names[i], "not as many numbers as tokens");
        l2_cbor_put_str(o, l2_series_names[i]);
        put_finite_f32s(o, l2_series_names[i], &c->series[i]);
    }
    if (c->finish != L2_FINISH_NONE) {
        l2_cbor_put_str(o, "finish");
        l2_cbor_put_str(o, l2_finish_names[c->finish]);
    }
    if (c->n_scores > 0)
        put_scores(o, c);
    if (c->has_labels)
        put_map_field(o, "labels", &c->labels);
    if (c->gen.present)
        put_gen(o, &c->gen);
    if (c->embedding.v)
        put_embedding(o, &c->embedding, c->embedding_rows);
    if (c->spans.v)
        put_spans_field(o, &c->spans, c->tokens.n);
    if (c->text.s)
        put_text_field(o, "text", &c->text);
    put_fields(o, &c->other);
}

static void put_messages(struct l2_cbor_out *o, const struct l2_record *r)
{
    l2_cbor_put_str(o, "messages");
    l2_cbor_put_array(o, r->n_messages);
    for (size_t i = 0; i < r->n_messages; i++) {
        const struct l2_message *m = &r->messages[i];
        l2_cbor_put_map(o, 2 + m->other.n);
        put_text_field(o, "role", &m->role);
        put_text_field(o, "content", &m->content);
        put_fields(o, &m->other);
    }
}

static size_t record_fields(const struct l2_record *r)
{
    size_t n = 2 + r->other.n; /* id and completions are always there */
    n += r->prompt.v != NULL;
    n += r->messages != NULL;
    n += r->spans.v != NULL;
    n += r->has_margin;
    n += r->shape.s != NULL;
    n += r->has_meta;
    n += r->embedding.v != NULL;
    return n;
}

static void put_record(struct l2_cbor_out *o, const struct l2_record *r)
{
    l2_cbor_put_map(o, record_fields(r));
    l2_cbor_put_str(o, "id");
    if (r->id.is_text)
        l2_cbor_put_text(o, r->id.text.s, r->id.text.n);
    else
        l2_cbor_put_int(o, r->id.number);
    if (r->prompt.v)
        put_u32s_field(o, "prompt", &r->prompt);
    if (r->messages)
        put_messages(o, r);
    l2_cbor_put_str(o, "completions");
    l2_cbor_put_array(o, r->n_completions);
    if (r->n_completions > L2_MAX_COMPLETIONS)
        refuse(o, "completions", "more than 65536");
    for (size_t i = 0; i < r->n_completions && o->rc == L2_OK; i++)
        put_completion(o, &r->completions[i]);
    if (r->spans.v)
        put_spans_field(o, &r->spans, r->prompt.n);
    if (r->has_margin) {
        if (!isfinite(r->margin))
            refuse(o, "margin", "not finite");
        l2_cbor_put_str(o, "margin");
        l2_cbor_put_f32(o, r->margin);
    }
    if (r->shape.s)
        put_text_field(o, "shape", &r->shape);
    if (r->has_meta)
        put_map_field(o, "meta", &r->meta);
    if (r->embedding.v)
        put_embedding(o, &r->embedding, r->embedding_rows);
    put_fields(o, &r->other);
}

int l2_encode_record(struct l2_buf *out, const struct l2_record *r, struct l2_err *err)
{
    struct l2_cbor_out o = {out, err, L2_OK};
    size_t before = out->len;
    put_record(&o, r);
    if (o.rc == L2_ARGUMENT && err) {
        char id[64], text[sizeof err->text];
        l2_id_format(&r->id, id, sizeof id);
        memcpy(text, err->text, sizeof text);
        o.rc = l2_err_set(err, L2_ARGUMENT, "record %s: %s", id, text);
    }
    if (o.rc != L2_OK)
        out->len = before;
    return o.rc;
}

int l2_encode_header(struct l2_buf *out, const struct l2_header *h, struct l2_err *err)
{
    struct l2_cbor_out o = {out, err, L2_OK};
    size_t before = out->len;
    l2_cbor_put_map(&o, 4 + h->other.n);
    l2_cbor_put_str(&o, "magic");
    l2_cbor_put_str(&o, "l2s");
    l2_cbor_put_str(&o, "version");
    l2_cbor_put_uint(&o, L2_STREAM_VERSION);
    l2_cbor_put_str(&o, "vocabulary");
    if (h->has_vocab) {
        if (h->vocab_size == 0)
            refuse(&o, "vocabulary", "no pieces");
        l2_cbor_put_map(&o, 2);
        l2_cbor_put_str(&o, "size");
        l2_cbor_put_uint(&o, h->vocab_size);
        l2_cbor_put_str(&o, "hash");
        l2_cbor_put_bytes(&o, h->vocab_hash, sizeof h->vocab_hash);
    } else {
        l2_cbor_put_null(&o);
    }
    l2_cbor_put_str(&o, "history");
    l2_cbor_put_array(&o, h->history.n);
    put_fields(&o, &h->history);
    put_fields(&o, &h->other);
    if (o.rc == L2_OK && out->len - before > L2_MAX_FRAME)
        o.rc = l2_err_set(err, L2_LIMIT, "header of %zu bytes: want at most %zu (a long history?)",
                          out->len - before, L2_MAX_FRAME);
    if (o.rc != L2_OK)
        out->len = before;
    return o.rc;
}

int l2_encode_end(struct l2_buf *out, const struct l2_stream_end *end, struct l2_err *err)
{
    struct l2_cbor_out o = {out, err, L2_OK};
    size_t before = out->len;
    bool has_error = !end->complete && end->error[0] != '\0';
    l2_cbor_put_map(&o, has_error ? 4 : 3);
    l2_cbor_put_str(&o, "complete");
    l2_cbor_put_bool(&o, end->complete);
    l2_cbor_put_str(&o, "records");
    l2_cbor_put_uint(&o, end->records);
    l2_cbor_put_str(&o, "tokens");
    l2_cbor_put_uint(&o, end->tokens);
    if (has_error) {
        l2_cbor_put_str(&o, "error");
        l2_cbor_put_str(&o, end->error);
    }
    if (o.rc != L2_OK)
        out->len = before;
    return o.rc;
}
