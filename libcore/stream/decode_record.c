/* Records from CBOR. Nothing of the input is trusted; see l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <string.h>

#include "stream/codec.h"
#include "stream/decode.h"

/* ---- completions ---- */

static const char *const gen_names[] = {"k", "seed", "temperature", "model", "round"};

static int gen_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_gen *g = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        g->has_k = true;
        return l2_dec_uint(d, "k", &g->k);
    case 1:
        g->has_seed = true;
        return l2_dec_uint(d, "seed", &g->seed);
    case 2:
        g->has_temperature = true;
        return l2_dec_f64(d, "temperature", &g->temperature);
    case 3:
        return l2_dec_text(d, "model", &g->model);
    default:
        g->has_round = true;
        r = l2_cbor_next(d->c, &item, d->err);
        return r == L2_OK ? l2_dec_to_int(d, "round", &item, &g->round) : r;
    }
}

static int get_gen(struct l2_decoder *d, struct l2_gen *g)
{
    static const struct l2_decoder_map map = {"gen", gen_names, 5, gen_field};
    struct l2_cbor_item item;
    unsigned seen;
    g->present = true;
    int r = l2_cbor_next(d->c, &item, d->err);
    return r == L2_OK ? l2_dec_map(d, &item, &map, g, &seen, &g->other) : r;
}

static int get_finish(struct l2_decoder *d, enum l2_finish *out)
{
    struct l2_cbor_item item;
    int r = l2_dec_next_of(d, L2_CBOR_TEXT, "finish", "text", &item);
    if (r != L2_OK)
        return r;
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++) {
        if (l2_dec_is_text(&item, l2_finish_names[i])) {
            *out = (enum l2_finish)i;
            return L2_OK;
        }
    }
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)item.at,
                     "finish: want eos, length or stop, got '%.*s'",
                     (int)(item.n < 32 ? item.n : 32), (const char *)item.bytes);
}

static int get_scores(struct l2_decoder *d, struct l2_completion *c)
{
    struct l2_cbor_item item, key;
    struct l2_cbor_seq seq;
    size_t cap = 0, n = 0;
    int r = l2_dec_next_of(d, L2_CBOR_MAP, "scores", "a map", &item);
    if (r != L2_OK)
        return r;
    l2_cbor_open(d->c, &item, &seq);
    while ((r = l2_cbor_key(d->c, &seq, &key, d->err)) == L2_OK) {
        if (n == cap) {
            cap = cap == 0 ? 4 : 2 * cap;
            c->scores = l2_arena_grow(d->arena, c->scores, n, cap, sizeof *c->scores, d->err);
            if (!c->scores)
                return L2_MEMORY;
        }
        char *name = l2_arena_strdup(d->arena, key.bytes, key.n, d->err);
        if (!name)
            return L2_MEMORY;
        c->scores[n].name = (struct l2_str){name, key.n};
        if ((r = l2_dec_f64(d, "scores", &c->scores[n].value)) != L2_OK)
            return r;
        n++;
    }
    if (r == L2_END && n == 0)
        return l2_dec_wrong(d, item.at, "scores", "want one at least, got an empty map");
    c->n_scores = n;
    return r == L2_END ? L2_OK : r;
}

/* The series stand between tokens and finish, in the order of enum l2_series. */
enum { AFTER_SERIES = 1 + L2_N_SERIES };
static const char *const completion_names[] = {
    "tokens",  "logprobs",   "sampled_logprobs", "ref_logprobs", "values",
    "rewards", "advantages", "returns",          "finish",       "scores",
    "labels",  "gen",        "embedding",        "spans",        "text",
};

static int completion_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_completion *c = to;
    if (i > 0 && i < AFTER_SERIES)
        return l2_dec_f32s(d, completion_names[i], &c->series[i - 1]);
    switch (i) {
    case 0:
        return l2_dec_u32s(d, "tokens", &c->tokens);
    case AFTER_SERIES:
        return get_finish(d, &c->finish);
    case AFTER_SERIES + 1:
        return get_scores(d, c);
    case AFTER_SERIES + 2:
        c->has_labels = true;
        return l2_dec_fields(d, "labels", &c->labels);
    case AFTER_SERIES + 3:
        return get_gen(d, &c->gen);
    case AFTER_SERIES + 4:
        return l2_dec_embedding(d, &c->embedding, &c->embedding_rows);
    case AFTER_SERIES + 5:
        return l2_dec_u32s(d, "spans", &c->spans);
    default:
        return l2_dec_text(d, "text", &c->text);
    }
}

static int get_completion(struct l2_decoder *d, const struct l2_cbor_item *item,
                          struct l2_completion *c)
{
    static const struct l2_decoder_map map = {"completion", completion_names, AFTER_SERIES + 7,
                                              completion_field};
    unsigned seen;
    *c = (struct l2_completion){0};
    int r = l2_dec_map(d, item, &map, c, &seen, &c->other);
    if (r != L2_OK)
        return r;
    for (int i = 0; i < L2_N_SERIES; i++)
        if (c->series[i].v && c->series[i].n != c->tokens.n)
            return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)item->at,
                             "%s: want a number for each of %zu tokens, got %zu",
                             l2_series_names[i], c->tokens.n, c->series[i].n);
    if (!l2_spans_valid(&c->spans, c->tokens.n))
        return l2_dec_wrong(d, item->at, "spans", "want pairs in order within the tokens");
    return L2_OK;
}

static int get_completions(struct l2_decoder *d, struct l2_record *r)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t cap = 0, n = 0;
    int rc = l2_dec_next_of(d, L2_CBOR_ARRAY, "completions", "an array", &item);
    if (rc != L2_OK)
        return rc;
    if (!item.indefinite && item.value <= L2_MAX_COMPLETIONS)
        cap = (size_t)item.value;
    if (cap > 0) {
        r->completions = l2_arena_alloc(d->arena, cap, sizeof *r->completions, d->err);
        if (!r->completions)
            return L2_MEMORY;
    }
    l2_cbor_open(d->c, &item, &seq);
    while ((rc = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK) {
        if (n == L2_MAX_COMPLETIONS)
            return l2_err_at(d->err, L2_LIMIT, NULL, (int64_t)item.at,
                             "more than %d completions in a record", L2_MAX_COMPLETIONS);
        if (n == cap) {
            cap = cap == 0 ? 4 : 2 * cap;
            r->completions =
                l2_arena_grow(d->arena, r->completions, n, cap, sizeof *r->completions, d->err);
            if (!r->completions)
                return L2_MEMORY;
        }
        if ((rc = get_completion(d, &item, &r->completions[n])) != L2_OK)
            return rc;
        n++;
    }
    r->n_completions = n;
    r->grown = r->completions;
    r->n_grown = cap;
    return rc == L2_END ? L2_OK : rc;
}

/* ---- records ---- */

static int message_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_message *m = to;
    return i == 0 ? l2_dec_text(d, "role", &m->role) : l2_dec_text(d, "content", &m->content);
}

static int get_messages(struct l2_decoder *d, struct l2_record *r)
{
    static const char *const names[] = {"role", "content"};
    static const struct l2_decoder_map map = {"message", names, 2, message_field};
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t cap = 4, n = 0;
    unsigned seen;
    int rc = l2_dec_next_of(d, L2_CBOR_ARRAY, "messages", "an array", &item);
    if (rc != L2_OK)
        return rc;
    r->messages = l2_arena_alloc(d->arena, cap, sizeof *r->messages, d->err);
    if (!r->messages)
        return L2_MEMORY;
    l2_cbor_open(d->c, &item, &seq);
    while ((rc = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK) {
        if (n == cap) {
            cap *= 2;
            r->messages = l2_arena_grow(d->arena, r->messages, n, cap, sizeof *r->messages, d->err);
            if (!r->messages)
                return L2_MEMORY;
        }
        r->messages[n] = (struct l2_message){0};
        rc = l2_dec_map(d, &item, &map, &r->messages[n], &seen, &r->messages[n].other);
        if (rc != L2_OK)
            return rc;
        if (seen != 3)
            return l2_dec_wrong(d, item.at, "message", "want role and content");
        n++;
    }
    r->n_messages = n;
    return rc == L2_END ? L2_OK : rc;
}

static int get_id(struct l2_decoder *d, struct l2_id *id)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r != L2_OK)
        return r;
    id->is_text = item.kind == L2_CBOR_TEXT;
    if (!id->is_text)
        return item.kind == L2_CBOR_UINT || item.kind == L2_CBOR_NEGINT
                   ? l2_dec_to_int(d, "id", &item, &id->number)
                   : l2_dec_wrong_type(d, "id", "text or an integer", &item);
    char *s = l2_arena_strdup(d->arena, item.bytes, item.n, d->err);
    if (!s)
        return L2_MEMORY;
    id->text = (struct l2_str){s, item.n};
    return L2_OK;
}

static const char *const record_names[] = {"id",     "prompt", "messages", "completions", "spans",
                                           "margin", "shape",  "meta",     "embedding"};

static int record_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_record *rec = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        return get_id(d, &rec->id);
    case 1:
        return l2_dec_u32s(d, "prompt", &rec->prompt);
    case 2:
        return get_messages(d, rec);
    case 3:
        return get_completions(d, rec);
    case 4:
        return l2_dec_u32s(d, "spans", &rec->spans);
    case 5:
        r = l2_dec_next_of(d, L2_CBOR_F32, "margin", "f32", &item);
        if (r == L2_OK && !isfinite(item.real))
            return l2_dec_wrong(d, item.at, "margin", "not finite");
        rec->has_margin = true;
        rec->margin = (float)item.real;
        return r;
    case 6:
        return l2_dec_text(d, "shape", &rec->shape);
    case 7:
        rec->has_meta = true;
        return l2_dec_fields(d, "meta", &rec->meta);
    default:
        return l2_dec_embedding(d, &rec->embedding, &rec->embedding_rows);
    }
}

int l2_read_record(struct l2_cbor *c, struct l2_record *r, struct l2_err *err)
{
    static const struct l2_decoder_map map = {"record", record_names, 9, record_field};
    struct l2_decoder d = {c, &r->arena, err};
    struct l2_cbor_item item;
    unsigned seen;
    l2_record_reset(r);
    int rc = l2_cbor_next(c, &item, err);
    if (rc == L2_OK)
        rc = l2_dec_map(&d, &item, &map, r, &seen, &r->other);
    if (rc != L2_OK)
        return rc;
    if (!(seen & 1))
        return l2_dec_wrong(&d, item.at, "record", "want an id");
    if (!l2_spans_valid(&r->spans, r->prompt.n))
        return l2_dec_wrong(&d, item.at, "spans", "want pairs in order within the prompt");
    return L2_OK;
}
