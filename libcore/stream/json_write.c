/* Records, headers and ENDs as lines of JSON. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "stream/json.h"

/* Appends to out; the first failure sticks. first: no field of the open object has been written. */
struct json_out {
    struct l2_buf *out;
    struct l2_err *err;
    int rc;
    bool first;
};

static void put(struct json_out *o, const char *s)
{
    if (o->rc == L2_OK)
        o->rc = l2_buf_append_str(o->out, s, o->err);
}

static void comma(struct json_out *o)
{
    if (!o->first)
        put(o, ",");
    o->first = false;
}

/* A known key, which needs no escapes. */
static void put_key(struct json_out *o, const char *key)
{
    comma(o);
    put(o, "\"");
    put(o, key);
    put(o, "\":");
}

static void open_object(struct json_out *o)
{
    put(o, "{");
    o->first = true;
}

static void close_object(struct json_out *o)
{
    put(o, "}");
    o->first = false;
}

static void put_fields(struct json_out *o, const struct l2_fields *f)
{
    if (o->rc == L2_OK)
        o->rc = l2_json_put_fields(o->out, f, &o->first, o->err);
}

static void put_str(struct json_out *o, const struct l2_str *s)
{
    if (o->rc == L2_OK)
        o->rc = l2_json_put_str(o->out, s->s, s->n, o->err);
}

static void put_u64(struct json_out *o, uint64_t v)
{
    if (o->rc == L2_OK)
        o->rc = l2_json_put_u64(o->out, v, o->err);
}

static void put_i64(struct json_out *o, int64_t v)
{
    if (o->rc == L2_OK)
        o->rc = l2_json_put_i64(o->out, v, o->err);
}

static void put_f64(struct json_out *o, double v)
{
    if (o->rc == L2_OK)
        o->rc = l2_json_put_f64(o->out, v, o->err);
}

static void put_u32s(struct json_out *o, const struct l2_u32s *a)
{
    put(o, "[");
    for (size_t i = 0; i < a->n && o->rc == L2_OK; i++) {
        if (i > 0)
            put(o, ",");
        put_u64(o, a->v[i]);
    }
    put(o, "]");
}

static void put_floats(struct json_out *o, const float *v, size_t n)
{
    put(o, "[");
    for (size_t i = 0; i < n && o->rc == L2_OK; i++) {
        if (i > 0)
            put(o, ",");
        if (o->rc == L2_OK)
            o->rc = l2_json_put_f32(o->out, v[i], o->err);
    }
    put(o, "]");
}

static void put_embedding(struct json_out *o, const struct l2_f32s *a, size_t rows)
{
    put_key(o, "embedding");
    if (rows == 0) {
        put_floats(o, a->v, a->n);
        return;
    }
    put(o, "[");
    for (size_t i = 0; i < rows && o->rc == L2_OK; i++) {
        if (i > 0)
            put(o, ",");
        put_floats(o, a->v + i * (a->n / rows), a->n / rows);
    }
    put(o, "]");
}

static void put_map(struct json_out *o, const char *key, const struct l2_fields *f)
{
    put_key(o, key);
    open_object(o);
    put_fields(o, f);
    close_object(o);
}

static void put_gen(struct json_out *o, const struct l2_gen *g)
{
    put_key(o, "gen");
    open_object(o);
    if (g->has_k) {
        put_key(o, "k");
        put_u64(o, g->k);
    }
    if (g->has_seed) {
        put_key(o, "seed");
        put_u64(o, g->seed);
    }
    if (g->has_temperature) {
        put_key(o, "temperature");
        put_f64(o, g->temperature);
    }
    if (g->model.s) {
        put_key(o, "model");
        put_str(o, &g->model);
    }
    if (g->has_round) {
        put_key(o, "round");
        put_i64(o, g->round);
    }
    put_fields(o, &g->other);
    close_object(o);
}

static void put_scores(struct json_out *o, const struct l2_completion *c)
{
    put_key(o, "scores");
    open_object(o);
    for (size_t i = 0; i < c->n_scores; i++) {
        comma(o);
        put_str(o, &c->scores[i].name);
        put(o, ":");
        put_f64(o, c->scores[i].value);
    }
    close_object(o);
}

static void put_completion(struct json_out *o, const struct l2_completion *c)
{
    open_object(o);
    if (c->tokens.v) {
        put_key(o, "tokens");
        put_u32s(o, &c->tokens);
    }
    for (int i = 0; i < L2_N_SERIES; i++) {
        if (c->series[i].v) {
            put_key(o, l2_series_names[i]);
            put_floats(o, c->series[i].v, c->series[i].n);
        }
    }
    if (c->finish != L2_FINISH_NONE) {
        put_key(o, "finish");
        put(o, "\"");
        put(o, l2_finish_names[c->finish]);
        put(o, "\"");
    }
    if (c->n_scores > 0)
        put_scores(o, c);
    if (c->has_labels)
        put_map(o, "labels", &c->labels);
    if (c->gen.present)
        put_gen(o, &c->gen);
    if (c->embedding.v)
        put_embedding(o, &c->embedding, c->embedding_rows);
    if (c->spans.v) {
        put_key(o, "spans");
        put_u32s(o, &c->spans);
    }
    if (c->text.s) {
        put_key(o, "text");
        put_str(o, &c->text);
    }
    put_fields(o, &c->other);
    close_object(o);
}

static void put_messages(struct json_out *o, const struct l2_record *r)
{
    put_key(o, "messages");
    put(o, "[");
    for (size_t i = 0; i < r->n_messages; i++) {
        const struct l2_message *m = &r->messages[i];
        if (i > 0)
            put(o, ",");
        open_object(o);
        put_key(o, "role");
        put_str(o, &m->role);
        put_key(o, "content");
        put_str(o, &m->content);
        put_fields(o, &m->other);
        close_object(o);
    }
    put(o, "]");
}

static void put_completions(struct json_out *o, const struct l2_record *r)
{
    put_key(o, "completions");
    put(o, "[");
    for (size_t i = 0; i < r->n_completions && o->rc == L2_OK; i++) {
        if (i > 0)
            put(o, ",");
        put_completion(o, &r->completions[i]);
    }
    put(o, "]");
}

int l2_record_to_json(struct l2_buf *out, const struct l2_record *r, struct l2_err *err)
{
    struct json_out o = {out, err, L2_OK, true};
    open_object(&o);
    put_key(&o, "id");
    if (o.rc == L2_OK)
        o.rc = l2_json_put_id(out, &r->id, err);
    if (r->prompt.v) {
        put_key(&o, "prompt");
        put_u32s(&o, &r->prompt);
    }
    if (r->messages)
        put_messages(&o, r);
    put_completions(&o, r);
    if (r->spans.v) {
        put_key(&o, "spans");
        put_u32s(&o, &r->spans);
    }
    if (r->has_margin) {
        put_key(&o, "margin");
        if (o.rc == L2_OK)
            o.rc = l2_json_put_f32(out, r->margin, err);
    }
    if (r->shape.s) {
        put_key(&o, "shape");
        put_str(&o, &r->shape);
    }
    if (r->has_meta)
        put_map(&o, "meta", &r->meta);
    if (r->embedding.v)
        put_embedding(&o, &r->embedding, r->embedding_rows);
    put_fields(&o, &r->other);
    close_object(&o);
    return o.rc;
}

static void put_history(struct json_out *o, const struct l2_fields *history)
{
    put(o, "[");
    if (o->rc == L2_OK)
        o->rc = l2_json_put_items(o->out, history->data, history->len, o->err);
    put(o, "]");
}

int l2_header_to_json(struct l2_buf *out, const struct l2_header *h, struct l2_err *err)
{
    struct json_out o = {out, err, L2_OK, true};
    char hash[65];
    put(&o, "{\"magic\":\"l2s\",\"version\":");
    put_u64(&o, L2_STREAM_VERSION);
    put(&o, ",\"vocabulary\":");
    if (h->has_vocab) {
        put(&o, "{\"size\":");
        put_u64(&o, h->vocab_size);
        put(&o, ",\"hash\":\"");
        l2_sha256_hex(h->vocab_hash, hash);
        put(&o, hash);
        put(&o, "\"}");
    } else {
        put(&o, "null");
    }
    put(&o, ",\"history\":");
    put_history(&o, &h->history);
    o.first = false;
    put_fields(&o, &h->other);
    close_object(&o);
    return o.rc;
}

int l2_stream_end_to_json(struct l2_buf *out, const struct l2_stream_end *end, struct l2_err *err)
{
    struct json_out o = {out, err, L2_OK, true};
    put(&o, end->complete ? "{\"complete\":true,\"records\":" : "{\"complete\":false,\"records\":");
    put_u64(&o, end->records);
    put(&o, ",\"tokens\":");
    put_u64(&o, end->tokens);
    if (end->error[0] != '\0') {
        struct l2_str error = {end->error, strlen(end->error)};
        put(&o, ",\"error\":");
        put_str(&o, &error);
    }
    put(&o, "}");
    return o.rc;
}
