/* Records, headers and ENDs from CBOR. Nothing of the input is trusted; see l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/codec.h"

#include <math.h>
#include <string.h>

#include "util/num.h"

static bool is_text(const struct l2_cbor_item *item, const char *s)
{
    size_t n = strlen(s);
    return item->kind == L2_CBOR_TEXT && item->n == n && memcmp(item->bytes, s, n) == 0;
}

/* ---- values of known types ---- */

/* Where one item is decoded to, and the name of the field that is being decoded. */
struct decoder {
    struct l2_cbor *c;
    struct l2_arena *arena;
    struct l2_err *err;
};

static int wrong_type(struct decoder *d, const char *field, const char *want,
                      const struct l2_cbor_item *got)
{
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)got->at, "%s: want %s, got %s", field, want,
                     l2_cbor_kind_name(got->kind));
}

static int wrong(struct decoder *d, size_t at, const char *field, const char *why)
{
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)at, "%s: %s", field, why);
}

static int next_of(struct decoder *d, enum l2_cbor_kind kind, const char *field, const char *want,
                   struct l2_cbor_item *item)
{
    int r = l2_cbor_next(d->c, item, d->err);
    return r == L2_OK && item->kind != kind ? wrong_type(d, field, want, item) : r;
}

static int get_text(struct decoder *d, const char *field, struct l2_str *out)
{
    struct l2_cbor_item item;
    int r = next_of(d, L2_CBOR_TEXT, field, "text", &item);
    if (r != L2_OK)
        return r;
    char *s = l2_arena_strdup(d->arena, item.bytes, item.n, d->err);
    if (!s)
        return L2_MEMORY;
    *out = (struct l2_str){s, item.n};
    return L2_OK;
}

static int get_uint(struct decoder *d, const char *field, uint64_t *out)
{
    struct l2_cbor_item item;
    int r = next_of(d, L2_CBOR_UINT, field, "an unsigned integer", &item);
    *out = item.value;
    return r;
}

/* item as an integer of 64 bits with sign. */
static int to_int(struct decoder *d, const char *field, const struct l2_cbor_item *item,
                  int64_t *out)
{
    if (item->kind != L2_CBOR_UINT && item->kind != L2_CBOR_NEGINT)
        return wrong_type(d, field, "an integer", item);
    if (item->value > INT64_MAX)
        return wrong(d, item->at, field, "integer out of range: want -2^63 to 2^63-1");
    *out = item->kind == L2_CBOR_UINT ? (int64_t)item->value : -1 - (int64_t)item->value;
    return L2_OK;
}

static int get_f64(struct decoder *d, const char *field, double *out)
{
    struct l2_cbor_item item;
    int r = next_of(d, L2_CBOR_F64, field, "f64", &item);
    if (r == L2_OK && !isfinite(item.real))
        return wrong(d, item.at, field, "not finite");
    *out = item.real;
    return r;
}

/* The byte string of a typed array whose tag has been read: n numbers of 4 bytes. */
static int typed_array(struct decoder *d, const struct l2_cbor_item *tag, const char *field,
                       uint64_t want, struct l2_cbor_item *bytes)
{
    if (tag->kind != L2_CBOR_TAG)
        return wrong_type(d, field, want == L2_TAG_U32 ? "u32[] (tag 70)" : "f32[] (tag 85)", tag);
    if (tag->value != want)
        return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)tag->at,
                         "%s: want tag %llu, got tag %llu", field, (unsigned long long)want,
                         (unsigned long long)tag->value);
    int r = next_of(d, L2_CBOR_BYTES, field, "a byte string", bytes);
    if (r == L2_OK && bytes->n % 4 != 0)
        return wrong(d, bytes->at, field, "its bytes are not a multiple of 4");
    return r;
}

static int get_u32s(struct decoder *d, const char *field, struct l2_u32s *out)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r == L2_OK)
        r = typed_array(d, &item, field, L2_TAG_U32, &item);
    if (r != L2_OK)
        return r;
    uint32_t *v = l2_arena_alloc(d->arena, item.n / 4, sizeof *v, d->err);
    if (!v)
        return L2_MEMORY;
    l2_get_u32le_array(v, item.bytes, item.n / 4);
    *out = (struct l2_u32s){v, item.n / 4};
    return L2_OK;
}

/* As get_u32s, for a tag that has been read. */
static int f32s_of_tag(struct decoder *d, const struct l2_cbor_item *tag, const char *field,
                       struct l2_f32s *out)
{
    struct l2_cbor_item item;
    int r = typed_array(d, tag, field, L2_TAG_F32, &item);
    if (r != L2_OK)
        return r;
    size_t n = item.n / 4;
    float *v = l2_arena_alloc(d->arena, n, sizeof *v, d->err);
    if (!v)
        return L2_MEMORY;
    l2_get_f32le_array(v, item.bytes, n);
    bool bad = false;
    for (size_t i = 0; i < n; i++)
        bad |= !isfinite(v[i]);
    if (bad)
        return wrong(d, item.at, field, "a number is not finite");
    *out = (struct l2_f32s){v, n};
    return L2_OK;
}

static int get_f32s(struct decoder *d, const char *field, struct l2_f32s *out)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    return r == L2_OK ? f32s_of_tag(d, &item, field, out) : r;
}

/* Array heads of a matrix: [[rows, columns], ...]. */
static int get_shape(struct decoder *d, uint64_t shape[2])
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    int r = next_of(d, L2_CBOR_ARRAY, "embedding", "an array of rows and columns", &item);
    if (r != L2_OK)
        return r;
    l2_cbor_open(d->c, &item, &seq);
    for (int i = 0; i < 2; i++) {
        if ((r = l2_cbor_element(d->c, &seq, &item, d->err)) < 0)
            return r;
        if (r == L2_END || item.kind != L2_CBOR_UINT || item.value == 0)
            return wrong(d, item.at, "embedding", "want the numbers of rows and columns");
        shape[i] = item.value;
    }
    if ((r = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK)
        return wrong(d, item.at, "embedding", "want two dimensions, got more");
    return r == L2_END ? L2_OK : r;
}

/* What tag 40 stands before. */
static int get_matrix(struct decoder *d, struct l2_f32s *out, size_t *rows)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    uint64_t shape[2];
    d->c->level++;
    int r = next_of(d, L2_CBOR_ARRAY, "embedding", "an array of shape and numbers", &item);
    if (r != L2_OK)
        return r;
    size_t at = item.at;
    if (item.indefinite || item.value != 2)
        return wrong(d, at, "embedding", "want an array of 2, shape and numbers");
    l2_cbor_open(d->c, &item, &seq);
    if ((r = get_shape(d, shape)) != L2_OK || (r = get_f32s(d, "embedding", out)) != L2_OK)
        return r;
    d->c->level -= 2;
    if (out->n % shape[0] != 0 || out->n / shape[0] != shape[1])
        return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)at,
                         "embedding: want %llu x %llu numbers, got %zu",
                         (unsigned long long)shape[0], (unsigned long long)shape[1], out->n);
    *rows = (size_t)shape[0];
    return L2_OK;
}

static int get_embedding(struct decoder *d, struct l2_f32s *out, size_t *rows)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r != L2_OK)
        return r;
    if (item.kind == L2_CBOR_TAG && item.value == L2_TAG_MATRIX)
        return get_matrix(d, out, rows);
    return f32s_of_tag(d, &item, "embedding", out);
}

/* ---- maps ---- */

/* Unknown fields of one map. They are runs of pairs between the known fields, of which no map has
 * more than 15. */
struct unknown {
    struct {
        size_t begin, end;
    } run[16];
    size_t n_runs;
    size_t n;
};

/* Passes over the value of the unknown key. */
static int skip_unknown(struct decoder *d, const struct l2_cbor_item *key, struct unknown *u)
{
    struct l2_cbor_item value;
    int r = l2_cbor_next(d->c, &value, d->err);
    if (r == L2_OK)
        r = l2_cbor_skip(d->c, &value, d->err);
    if (r != L2_OK)
        return r;
    if (u->n_runs == 0 || u->run[u->n_runs - 1].end != key->at)
        u->run[u->n_runs++].begin = key->at;
    u->run[u->n_runs - 1].end = d->c->pos;
    u->n++;
    return L2_OK;
}

static int copy_unknown(struct decoder *d, const struct unknown *u, struct l2_fields *out)
{
    size_t len = 0;
    if (u->n == 0)
        return L2_OK;
    for (size_t i = 0; i < u->n_runs; i++)
        len += u->run[i].end - u->run[i].begin;
    uint8_t *v = l2_arena_alloc(d->arena, len, 1, d->err);
    if (!v)
        return L2_MEMORY;
    *out = (struct l2_fields){v, len, u->n};
    for (size_t i = 0; i < u->n_runs; i++) {
        size_t n = u->run[i].end - u->run[i].begin;
        memcpy(v, d->c->data + u->run[i].begin, n);
        v += n;
    }
    return L2_OK;
}

/* A map whose known keys are names[0..n_names); field(to, d, i) decodes the value of names[i]. seen
 * gets bit i. */
struct map {
    const char *what;
    const char *const *names;
    unsigned n_names;
    int (*field)(void *to, struct decoder *d, unsigned i);
};

static unsigned find_name(const struct map *m, const struct l2_cbor_item *key)
{
    unsigned i = 0;
    while (i < m->n_names && !is_text(key, m->names[i]))
        i++;
    return i;
}

/* item is the map's head, which has been read. other is NULL where unknown fields are dropped. */
static int get_map(struct decoder *d, const struct l2_cbor_item *item, const struct map *m,
                   void *to, unsigned *seen, struct l2_fields *other)
{
    struct l2_cbor_seq seq;
    struct l2_cbor_item key;
    struct unknown unknown;
    int r;
    unknown.n = unknown.n_runs = 0;
    *seen = 0;
    if (item->kind != L2_CBOR_MAP)
        return wrong_type(d, m->what, "a map", item);
    l2_cbor_open(d->c, item, &seq);
    while ((r = l2_cbor_key(d->c, &seq, &key, d->err)) == L2_OK) {
        unsigned i = find_name(m, &key);
        if (i == m->n_names) {
            r = skip_unknown(d, &key, &unknown);
        } else if (*seen & 1u << i) {
            return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)key.at, "duplicate key '%s'",
                             m->names[i]);
        } else {
            *seen |= 1u << i;
            r = m->field(to, d, i);
        }
        if (r != L2_OK)
            return r;
    }
    if (r != L2_END)
        return r;
    return other ? copy_unknown(d, &unknown, other) : L2_OK;
}

/* A map of anything, as fields. */
static int get_fields(struct decoder *d, const char *field, struct l2_fields *out)
{
    struct l2_cbor_item item, part;
    struct l2_cbor_seq seq;
    size_t n = 0;
    int r = next_of(d, L2_CBOR_MAP, field, "a map", &item);
    if (r != L2_OK)
        return r;
    size_t begin = d->c->pos, end = begin;
    l2_cbor_open(d->c, &item, &seq);
    while ((r = l2_cbor_key(d->c, &seq, &part, d->err)) == L2_OK) {
        if ((r = l2_cbor_next(d->c, &part, d->err)) != L2_OK ||
            (r = l2_cbor_skip(d->c, &part, d->err)) != L2_OK)
            return r;
        end = d->c->pos;
        n++;
    }
    if (r != L2_END)
        return r;
    uint8_t *v = l2_arena_alloc(d->arena, end - begin, 1, d->err);
    if (!v)
        return L2_MEMORY;
    if (end > begin)
        memcpy(v, d->c->data + begin, end - begin);
    *out = (struct l2_fields){v, end - begin, n};
    return L2_OK;
}

/* ---- completions ---- */

static const char *const gen_names[] = {"k", "seed", "temperature", "model", "round"};

static int gen_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_gen *g = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        g->has_k = true;
        return get_uint(d, "k", &g->k);
    case 1:
        g->has_seed = true;
        return get_uint(d, "seed", &g->seed);
    case 2:
        g->has_temperature = true;
        return get_f64(d, "temperature", &g->temperature);
    case 3:
        return get_text(d, "model", &g->model);
    default:
        g->has_round = true;
        r = l2_cbor_next(d->c, &item, d->err);
        return r == L2_OK ? to_int(d, "round", &item, &g->round) : r;
    }
}

static int get_gen(struct decoder *d, struct l2_gen *g)
{
    static const struct map map = {"gen", gen_names, 5, gen_field};
    struct l2_cbor_item item;
    unsigned seen;
    g->present = true;
    int r = l2_cbor_next(d->c, &item, d->err);
    return r == L2_OK ? get_map(d, &item, &map, g, &seen, &g->other) : r;
}

static int get_finish(struct decoder *d, enum l2_finish *out)
{
    struct l2_cbor_item item;
    int r = next_of(d, L2_CBOR_TEXT, "finish", "text", &item);
    if (r != L2_OK)
        return r;
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++) {
        if (is_text(&item, l2_finish_names[i])) {
            *out = (enum l2_finish)i;
            return L2_OK;
        }
    }
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)item.at,
                     "finish: want eos, length or stop, got '%.*s'",
                     (int)(item.n < 32 ? item.n : 32), (const char *)item.bytes);
}

static int get_scores(struct decoder *d, struct l2_completion *c)
{
    struct l2_cbor_item item, key;
    struct l2_cbor_seq seq;
    size_t cap = 0, n = 0;
    int r = next_of(d, L2_CBOR_MAP, "scores", "a map", &item);
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
        if ((r = get_f64(d, "scores", &c->scores[n].value)) != L2_OK)
            return r;
        n++;
    }
    if (r == L2_END && n == 0)
        return wrong(d, item.at, "scores", "want one at least, got an empty map");
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

static int completion_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_completion *c = to;
    if (i > 0 && i < AFTER_SERIES)
        return get_f32s(d, completion_names[i], &c->series[i - 1]);
    switch (i) {
    case 0:
        return get_u32s(d, "tokens", &c->tokens);
    case AFTER_SERIES:
        return get_finish(d, &c->finish);
    case AFTER_SERIES + 1:
        return get_scores(d, c);
    case AFTER_SERIES + 2:
        c->has_labels = true;
        return get_fields(d, "labels", &c->labels);
    case AFTER_SERIES + 3:
        return get_gen(d, &c->gen);
    case AFTER_SERIES + 4:
        return get_embedding(d, &c->embedding, &c->embedding_rows);
    case AFTER_SERIES + 5:
        return get_u32s(d, "spans", &c->spans);
    default:
        return get_text(d, "text", &c->text);
    }
}

static int get_completion(struct decoder *d, const struct l2_cbor_item *item,
                          struct l2_completion *c)
{
    static const struct map map = {"completion", completion_names, AFTER_SERIES + 7,
                                   completion_field};
    unsigned seen;
    *c = (struct l2_completion){0};
    int r = get_map(d, item, &map, c, &seen, &c->other);
    if (r != L2_OK)
        return r;
    for (int i = 0; i < L2_N_SERIES; i++)
        if (c->series[i].v && c->series[i].n != c->tokens.n)
            return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)item->at,
                             "%s: want a number for each of %zu tokens, got %zu",
                             l2_series_names[i], c->tokens.n, c->series[i].n);
    if (!l2_spans_valid(&c->spans, c->tokens.n))
        return wrong(d, item->at, "spans", "want pairs in order within the tokens");
    return L2_OK;
}

static int get_completions(struct decoder *d, struct l2_record *r)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t cap = 0, n = 0;
    int rc = next_of(d, L2_CBOR_ARRAY, "completions", "an array", &item);
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

static int message_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_message *m = to;
    return i == 0 ? get_text(d, "role", &m->role) : get_text(d, "content", &m->content);
}

static int get_messages(struct decoder *d, struct l2_record *r)
{
    static const char *const names[] = {"role", "content"};
    static const struct map map = {"message", names, 2, message_field};
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t cap = 4, n = 0;
    unsigned seen;
    int rc = next_of(d, L2_CBOR_ARRAY, "messages", "an array", &item);
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
        rc = get_map(d, &item, &map, &r->messages[n], &seen, &r->messages[n].other);
        if (rc != L2_OK)
            return rc;
        if (seen != 3)
            return wrong(d, item.at, "message", "want role and content");
        n++;
    }
    r->n_messages = n;
    return rc == L2_END ? L2_OK : rc;
}

static int get_id(struct decoder *d, struct l2_id *id)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r != L2_OK)
        return r;
    id->is_text = item.kind == L2_CBOR_TEXT;
    if (!id->is_text)
        return item.kind == L2_CBOR_UINT || item.kind == L2_CBOR_NEGINT
                   ? to_int(d, "id", &item, &id->number)
                   : wrong_type(d, "id", "text or an integer", &item);
    char *s = l2_arena_strdup(d->arena, item.bytes, item.n, d->err);
    if (!s)
        return L2_MEMORY;
    id->text = (struct l2_str){s, item.n};
    return L2_OK;
}

static const char *const record_names[] = {"id",     "prompt", "messages", "completions", "spans",
                                           "margin", "shape",  "meta",     "embedding"};

static int record_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_record *rec = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        return get_id(d, &rec->id);
    case 1:
        return get_u32s(d, "prompt", &rec->prompt);
    case 2:
        return get_messages(d, rec);
    case 3:
        return get_completions(d, rec);
    case 4:
        return get_u32s(d, "spans", &rec->spans);
    case 5:
        r = next_of(d, L2_CBOR_F32, "margin", "f32", &item);
        if (r == L2_OK && !isfinite(item.real))
            return wrong(d, item.at, "margin", "not finite");
        rec->has_margin = true;
        rec->margin = (float)item.real;
        return r;
    case 6:
        return get_text(d, "shape", &rec->shape);
    case 7:
        rec->has_meta = true;
        return get_fields(d, "meta", &rec->meta);
    default:
        return get_embedding(d, &rec->embedding, &rec->embedding_rows);
    }
}

int l2_read_record(struct l2_cbor *c, struct l2_record *r, struct l2_err *err)
{
    static const struct map map = {"record", record_names, 9, record_field};
    struct decoder d = {c, &r->arena, err};
    struct l2_cbor_item item;
    unsigned seen;
    l2_record_reset(r);
    int rc = l2_cbor_next(c, &item, err);
    if (rc == L2_OK)
        rc = get_map(&d, &item, &map, r, &seen, &r->other);
    if (rc != L2_OK)
        return rc;
    if (!(seen & 1))
        return wrong(&d, item.at, "record", "want an id");
    if (!l2_spans_valid(&r->spans, r->prompt.n))
        return wrong(&d, item.at, "spans", "want pairs in order within the prompt");
    return L2_OK;
}

/* ---- headers and ENDs ---- */

static int vocabulary_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_header *h = to;
    struct l2_cbor_item item;
    int r;
    if (i == 0) {
        uint64_t size;
        size_t at = d->c->pos;
        if ((r = get_uint(d, "size", &size)) != L2_OK)
            return r;
        if (size == 0 || size > UINT32_MAX)
            return wrong(d, at, "size", "want 1 to 2^32-1 pieces");
        h->vocab_size = (uint32_t)size;
        return L2_OK;
    }
    r = next_of(d, L2_CBOR_BYTES, "hash", "a byte string", &item);
    if (r == L2_OK && item.n != sizeof h->vocab_hash)
        return wrong(d, item.at, "hash", "want 32 bytes");
    if (r == L2_OK)
        memcpy(h->vocab_hash, item.bytes, sizeof h->vocab_hash);
    return r;
}

static int get_vocabulary(struct decoder *d, struct l2_header *h)
{
    static const char *const names[] = {"size", "hash"};
    static const struct map map = {"vocabulary", names, 2, vocabulary_field};
    struct l2_cbor_item item;
    struct l2_fields other = {0};
    unsigned seen;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r != L2_OK || item.kind == L2_CBOR_NULL)
        return r;
    h->has_vocab = true;
    r = get_map(d, &item, &map, h, &seen, &other);
    if (r == L2_OK && (seen != 3 || other.n > 0))
        return wrong(d, item.at, "vocabulary", "want size and hash alone");
    return r;
}

static int get_history(struct decoder *d, struct l2_header *h)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t n = 0;
    int r = next_of(d, L2_CBOR_ARRAY, "history", "an array", &item);
    if (r != L2_OK)
        return r;
    size_t begin = d->c->pos, end = begin;
    l2_cbor_open(d->c, &item, &seq);
    while ((r = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK) {
        if (item.kind != L2_CBOR_MAP)
            return wrong_type(d, "history", "maps", &item);
        if ((r = l2_cbor_skip(d->c, &item, d->err)) != L2_OK)
            return r;
        end = d->c->pos;
        n++;
    }
    if (r != L2_END || n == 0)
        return r == L2_END ? L2_OK : r;
    uint8_t *v = l2_arena_alloc(d->arena, end - begin, 1, d->err);
    if (!v)
        return L2_MEMORY;
    memcpy(v, d->c->data + begin, end - begin);
    h->history = (struct l2_fields){v, end - begin, n};
    return L2_OK;
}

static int header_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_cbor_item item;
    switch (i) {
    case 0: /* magic and version have been checked */
    case 1:
        return l2_cbor_next(d->c, &item, d->err);
    case 2:
        return get_vocabulary(d, to);
    default:
        return get_history(d, to);
    }
}

/* magic and version stand first, so that a reader can tell them before anything that another
 * version may have changed. */
static int check_version(const struct l2_cbor *c, struct l2_err *err)
{
    struct l2_cbor peek = {.data = c->data, .n = c->n, .pos = c->pos};
    struct l2_cbor_item item[5]; /* the map, key, magic, key, version */
    for (int i = 0; i < 5; i++) {
        int r = l2_cbor_next(&peek, &item[i], err);
        if (r != L2_OK)
            return r;
    }
    if (!is_text(&item[1], "magic") || !is_text(&item[2], "l2s"))
        return l2_err_at(err, L2_FORMAT, NULL, (int64_t)item[1].at,
                         "not an l2 stream: want magic 'l2s' first in the header");
    if (!is_text(&item[3], "version") || item[4].kind != L2_CBOR_UINT)
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)item[3].at,
                         "header: want version, an integer, as its second field");
    if (item[4].value != L2_STREAM_VERSION)
        return l2_err_at(err, L2_UNSUPPORTED, NULL, (int64_t)item[4].at,
                         "stream version %llu is not supported, only version %d",
                         (unsigned long long)item[4].value, L2_STREAM_VERSION);
    return L2_OK;
}

int l2_read_header(struct l2_cbor *c, struct l2_header *h, struct l2_err *err)
{
    static const char *const names[] = {"magic", "version", "vocabulary", "history"};
    static const struct map map = {"header", names, 4, header_field};
    struct decoder d = {c, &h->arena, err};
    struct l2_cbor_item item;
    unsigned seen;
    l2_header_reset(h);
    int r = check_version(c, err);
    if (r == L2_OK)
        r = l2_cbor_next(c, &item, err);
    if (r == L2_OK)
        r = get_map(&d, &item, &map, h, &seen, &h->other);
    if (r == L2_OK && seen != 15)
        return wrong(&d, item.at, "header", "want magic, version, vocabulary and history");
    return r;
}

/* Copies what fits, never half a character. */
static void copy_cut(char *out, size_t size, const uint8_t *s, size_t n)
{
    if (n >= size)
        for (n = size - 1; n > 0 && (s[n] & 0xc0) == 0x80;)
            n--;
    memcpy(out, s, n);
    out[n] = '\0';
}

static int end_field(void *to, struct decoder *d, unsigned i)
{
    struct l2_stream_end *end = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        r = l2_cbor_next(d->c, &item, d->err);
        if (r == L2_OK && item.kind != L2_CBOR_TRUE && item.kind != L2_CBOR_FALSE)
            return wrong_type(d, "complete", "true or false", &item);
        end->complete = item.kind == L2_CBOR_TRUE;
        return r;
    case 1:
        return get_uint(d, "records", &end->records);
    case 2:
        return get_uint(d, "tokens", &end->tokens);
    default:
        r = next_of(d, L2_CBOR_TEXT, "error", "text", &item);
        if (r == L2_OK && memchr(item.bytes, 0, item.n))
            return wrong(d, item.at, "error", "text with a NUL");
        if (r == L2_OK)
            copy_cut(end->error, sizeof end->error, item.bytes, item.n);
        return r;
    }
}

int l2_read_end(struct l2_cbor *c, struct l2_stream_end *end, struct l2_err *err)
{
    static const char *const names[] = {"complete", "records", "tokens", "error"};
    static const struct map map = {"END", names, 4, end_field};
    struct decoder d = {c, NULL, err};
    struct l2_cbor_item item;
    unsigned seen;
    *end = (struct l2_stream_end){0};
    int r = l2_cbor_next(c, &item, err);
    if (r == L2_OK)
        r = get_map(&d, &item, &map, end, &seen, NULL);
    if (r != L2_OK)
        return r;
    if ((seen & 7) != 7)
        return wrong(&d, item.at, "END", "want complete, records and tokens");
    if (end->complete && (seen & 8))
        return wrong(&d, item.at, "END", "complete, but with an error");
    return L2_OK;
}

/* ---- ids ---- */

/* Ids are all below size nearly always, so first it is asked for many at once whether one is not:
 * bit 31 of v | (size - 1 - v) says so for size <= 2^31. Compilers make vectors of the inner loop.
 */
static bool below(const struct l2_u32s *a, uint32_t size, uint32_t *bad)
{
    enum { LANES = 16 };
    uint32_t any[LANES] = {0}, top = 0;
    size_t i = 0;
    for (; a->n - i >= LANES; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            any[k] |= a->v[i + k] | (size - 1 - a->v[i + k]);
    for (size_t k = 0; k < LANES; k++)
        top |= any[k];
    if (size > (uint32_t)1 << 31 || top >> 31)
        i = 0;
    for (; i < a->n; i++) {
        if (a->v[i] >= size) {
            *bad = a->v[i];
            return false;
        }
    }
    return true;
}

bool l2_record_ids_below(const struct l2_record *r, uint32_t size, uint32_t *bad)
{
    bool good = below(&r->prompt, size, bad);
    for (size_t i = 0; i < r->n_completions && good; i++)
        good = below(&r->completions[i].tokens, size, bad);
    return good;
}

/* ---- whole items ---- */

int l2_cbor_item(const uint8_t *data, size_t n, size_t *item_len, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    struct l2_cbor_item item;
    *item_len = 0;
    int r = l2_cbor_next(&c, &item, err);
    if (r == L2_OK)
        r = l2_cbor_skip(&c, &item, err);
    if (r == L2_OK)
        *item_len = c.pos;
    l2_buf_release(&c.keys);
    return r;
}

int l2_item_kind(const uint8_t *data, size_t n, enum l2_item *kind, struct l2_err *err)
{
    static const struct {
        const char *key;
        enum l2_item kind;
    } kinds[] = {{"id", L2_ITEM_RECORD}, {"magic", L2_ITEM_HEADER}, {"complete", L2_ITEM_END}};
    struct l2_cbor c = {.data = data, .n = n};
    struct l2_cbor_item item;
    int r = l2_cbor_next(&c, &item, err);
    if (r != L2_OK)
        return r;
    if (item.kind == L2_CBOR_MAP && (item.indefinite || item.value > 0)) {
        if ((r = l2_cbor_next(&c, &item, err)) != L2_OK)
            return r;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (is_text(&item, kinds[i].key)) {
                *kind = kinds[i].kind;
                return L2_OK;
            }
        }
    }
    return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)item.at,
                     "want a map that begins with magic, id or complete");
}

/* Fails where c has not come to its end. */
static int whole(struct l2_cbor *c, int r, struct l2_err *err)
{
    if (r == L2_OK && c->pos != c->n)
        r = l2_err_at(err, L2_CORRUPT, NULL, (int64_t)c->pos, "%zu bytes after the item",
                      c->n - c->pos);
    l2_buf_release(&c->keys);
    return r;
}

int l2_decode_record(const uint8_t *data, size_t n, struct l2_record *r, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_record(&c, r, err), err);
}

int l2_decode_header(const uint8_t *data, size_t n, struct l2_header *h, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_header(&c, h, err), err);
}

int l2_decode_end(const uint8_t *data, size_t n, struct l2_stream_end *end, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_end(&c, end, err), err);
}
