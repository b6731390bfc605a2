/* Records, headers and ENDs from JSON. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stream/cbor.h"
#include "stream/codec.h"
#include "stream/json.h"

enum { MAX_STEPS = 8 };

/* Where an object is read to, and the way to the value that is being read. */
struct json_in {
    struct l2_arena *arena;
    struct l2_err *err;
    struct l2_buf scratch; /* unknown fields as they are gathered */
    struct l2_json_step step[MAX_STEPS];
    size_t n_steps;
    const struct l2_id *default_id; /* or NULL */
};

static void enter_key(struct json_in *in, const char *key)
{
    in->step[in->n_steps++] = (struct l2_json_step){key, 0};
}

static void enter_index(struct json_in *in, size_t i)
{
    in->step[in->n_steps++] = (struct l2_json_step){NULL, i};
}

/* "completions[2].tokens[7]: " */
static void format_path(const struct json_in *in, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < in->n_steps && len < size; i++) {
        const struct l2_json_step *s = &in->step[i];
        int n = s->key ? snprintf(out + len, size - len, "%s%.64s", i > 0 ? "." : "", s->key)
                       : snprintf(out + len, size - len, "[%zu]", s->index);
        len += n > 0 ? (size_t)n : 0;
    }
    if (len > 0 && len < size)
        snprintf(out + len, size - len, ": ");
}

/* An error at the present way. Readers return on errors without leaving what they entered, so that
 * the way still says where it was. */
static int fail(struct json_in *in, const char *fact)
{
    char path[256];
    format_path(in, path, sizeof path);
    return l2_err_set(in->err, L2_FORMAT, "%s%s", path, fact);
}

static int wrong_type(struct json_in *in, const char *want, const json_t *got)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    char fact[128];
    snprintf(fact, sizeof fact, "want %s, got %s", want, names[json_typeof(got)]);
    return fail(in, fact);
}

/* Puts the present way before an error from below. */
static int fail_below(struct json_in *in, int code)
{
    char path[256], text[256];
    if (!in->err || code == L2_MEMORY)
        return code;
    format_path(in, path, sizeof path);
    snprintf(text, sizeof text, "%.255s", in->err->text);
    return l2_err_set(in->err, (enum l2_code)code, "%s%s", path, text);
}

/* ---- values of known types ---- */

static int get_str(struct json_in *in, const json_t *j, struct l2_str *out)
{
    if (!json_is_string(j))
        return wrong_type(in, "a string", j);
    size_t n = json_string_length(j);
    char *s = l2_arena_strdup(in->arena, json_string_value(j), n, in->err);
    if (!s)
        return L2_MEMORY;
    *out = (struct l2_str){s, n};
    return L2_OK;
}

static int get_i64(struct json_in *in, const json_t *j, int64_t *out)
{
    if (!json_is_integer(j))
        return wrong_type(in, "an integer", j);
    *out = json_integer_value(j);
    return L2_OK;
}

/* Also {"$cbor": "1b..."}, which stands for integers that JSON has no room for. */
static int get_u64(struct json_in *in, const json_t *j, uint64_t *out)
{
    struct l2_buf *b = &in->scratch;
    size_t begin = b->len;
    if (json_is_integer(j) && json_integer_value(j) >= 0) {
        *out = (uint64_t)json_integer_value(j);
        return L2_OK;
    }
    if (!json_is_object(j))
        return wrong_type(in, "an unsigned integer", j);
    int r = l2_json_to_cbor(b, j, 1, in->err);
    if (r != L2_OK)
        return fail_below(in, r);
    struct l2_cbor c = {.data = b->data + begin, .n = b->len - begin};
    struct l2_cbor_item item;
    r = l2_cbor_next(&c, &item, in->err);
    b->len = begin;
    if (r != L2_OK || item.kind != L2_CBOR_UINT)
        return wrong_type(in, "an unsigned integer", j);
    *out = item.value;
    return L2_OK;
}

static int get_f64(struct json_in *in, const json_t *j, double *out)
{
    if (!json_is_number(j))
        return wrong_type(in, "a number", j);
    *out = json_number_value(j);
    return L2_OK;
}

static int get_f32(struct json_in *in, const json_t *j, float *out)
{
    double v = 0;
    int r = get_f64(in, j, &v);
    *out = (float)v;
    return r == L2_OK && !isfinite(*out) ? fail(in, "out of the range of f32") : r;
}

static int get_u32s(struct json_in *in, const json_t *j, struct l2_u32s *out)
{
    if (!json_is_array(j))
        return wrong_type(in, "an array of ids", j);
    size_t n = json_array_size(j);
    uint32_t *v = l2_arena_alloc(in->arena, n, sizeof *v, in->err);
    if (!v)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(j, i);
        json_int_t x = json_integer_value(e);
        if (!json_is_integer(e) || x < 0 || x > UINT32_MAX) {
            enter_index(in, i);
            return json_is_integer(e) ? fail(in, "want an integer from 0 to 2^32-1")
                                      : wrong_type(in, "an integer", e);
        }
        v[i] = (uint32_t)x;
    }
    *out = (struct l2_u32s){v, n};
    return L2_OK;
}

/* Appends the numbers of array j to v. */
static int get_floats(struct json_in *in, const json_t *j, float *v)
{
    for (size_t i = 0; i < json_array_size(j); i++) {
        enter_index(in, i);
        int r = get_f32(in, json_array_get(j, i), &v[i]);
        if (r != L2_OK)
            return r;
        in->n_steps--;
    }
    return L2_OK;
}

static int get_f32s(struct json_in *in, const json_t *j, struct l2_f32s *out)
{
    if (!json_is_array(j))
        return wrong_type(in, "an array of numbers", j);
    float *v = l2_arena_alloc(in->arena, json_array_size(j), sizeof *v, in->err);
    if (!v)
        return L2_MEMORY;
    *out = (struct l2_f32s){v, json_array_size(j)};
    return get_floats(in, j, v);
}

/* A vector, or a matrix as an array of its rows. */
static int get_embedding(struct json_in *in, const json_t *j, struct l2_f32s *out, size_t *rows)
{
    const json_t *row = json_array_get(j, 0);
    if (!json_is_array(row))
        return get_f32s(in, j, out);
    size_t n = json_array_size(j), columns = json_array_size(row);
    float *v =
        columns <= SIZE_MAX / n ? l2_arena_alloc(in->arena, n * columns, sizeof *v, in->err) : NULL;
    if (!v)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        row = json_array_get(j, i);
        enter_index(in, i);
        if (!json_is_array(row) || json_array_size(row) != columns || columns == 0)
            return fail(in, "want rows of equal length, with one number at least");
        int r = get_floats(in, row, v + i * columns);
        if (r != L2_OK)
            return r;
        in->n_steps--;
    }
    *out = (struct l2_f32s){v, n * columns};
    *rows = n;
    return L2_OK;
}

/* ---- objects ---- */

/* level is that of the values, in a record. */
static int get_pair(struct json_in *in, const char *key, const json_t *value, unsigned level)
{
    struct l2_cbor_out o = {&in->scratch, in->err, L2_OK};
    l2_cbor_put_str(&o, key);
    if (o.rc == L2_OK)
        o.rc = l2_json_to_cbor(&in->scratch, value, level, in->err);
    return o.rc == L2_OK ? L2_OK : fail_below(in, o.rc);
}

/* Moves the n pairs or items that were gathered in scratch from begin on to out. */
static int keep_scratch(struct json_in *in, size_t begin, size_t n, struct l2_fields *out)
{
    struct l2_buf *b = &in->scratch;
    size_t len = b->len - begin;
    uint8_t *v = l2_arena_alloc(in->arena, len, 1, in->err);
    if (!v)
        return L2_MEMORY;
    if (len > 0)
        memcpy(v, b->data + begin, len);
    b->len = begin;
    *out = (struct l2_fields){v, len, n};
    return L2_OK;
}

/* Reads the value of a known key and returns L2_OK; returns L2_END for an unknown one. */
typedef int read_field(struct json_in *in, void *to, const char *key, const json_t *value);

static int get_object(struct json_in *in, const json_t *j, read_field *field, void *to,
                      unsigned level, struct l2_fields *other)
{
    size_t begin = in->scratch.len, n = 0;
    const char *key;
    json_t *value;
    if (!json_is_object(j))
        return wrong_type(in, "an object", j);
    if (json_object_size(j) > L2_CBOR_MAX_KEYS)
        return fail(in, "too many keys");
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        enter_key(in, key);
        int r = field ? field(in, to, key, value) : L2_END;
        if (r == L2_END) {
            r = get_pair(in, key, value, level);
            n++;
        }
        if (r != L2_OK)
            return r;
        in->n_steps--;
    }
    return n > 0 || !field ? keep_scratch(in, begin, n, other) : L2_OK;
}

static int gen_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_gen *g = to;
    if (strcmp(key, "k") == 0) {
        g->has_k = true;
        return get_u64(in, value, &g->k);
    }
    if (strcmp(key, "seed") == 0) {
        g->has_seed = true;
        return get_u64(in, value, &g->seed);
    }
    if (strcmp(key, "temperature") == 0) {
        g->has_temperature = true;
        return get_f64(in, value, &g->temperature);
    }
    if (strcmp(key, "model") == 0)
        return get_str(in, value, &g->model);
    if (strcmp(key, "round") != 0)
        return L2_END;
    g->has_round = true;
    return get_i64(in, value, &g->round);
}

static int get_scores(struct json_in *in, const json_t *j, struct l2_completion *c)
{
    const char *key;
    json_t *value;
    size_t i = 0;
    if (!json_is_object(j))
        return wrong_type(in, "an object", j);
    if (json_object_size(j) == 0)
        return fail(in, "want one score at least");
    if (json_object_size(j) > L2_CBOR_MAX_KEYS)
        return fail(in, "too many keys");
    c->scores = l2_arena_alloc(in->arena, json_object_size(j), sizeof *c->scores, in->err);
    if (!c->scores)
        return L2_MEMORY;
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        size_t n = strlen(key);
        char *name = l2_arena_strdup(in->arena, key, n, in->err);
        if (!name)
            return L2_MEMORY;
        c->scores[i].name = (struct l2_str){name, n};
        enter_key(in, key);
        int r = get_f64(in, value, &c->scores[i].value);
        if (r != L2_OK)
            return r;
        in->n_steps--;
        i++;
    }
    c->n_scores = i;
    return L2_OK;
}

static int get_finish(struct json_in *in, const json_t *j, enum l2_finish *out)
{
    const char *s = json_string_value(j);
    for (int i = L2_FINISH_EOS; s && i <= L2_FINISH_STOP; i++) {
        if (strcmp(s, l2_finish_names[i]) == 0) {
            *out = (enum l2_finish)i;
            return L2_OK;
        }
    }
    return fail(in, "want \"eos\", \"length\" or \"stop\"");
}

static int completion_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_completion *c = to;
    if (strcmp(key, "tokens") == 0)
        return get_u32s(in, value, &c->tokens);
    for (int i = 0; i < L2_N_SERIES; i++)
        if (strcmp(key, l2_series_names[i]) == 0)
            return get_f32s(in, value, &c->series[i]);
    if (strcmp(key, "finish") == 0)
        return get_finish(in, value, &c->finish);
    if (strcmp(key, "scores") == 0)
        return get_scores(in, value, c);
    if (strcmp(key, "labels") == 0) {
        c->has_labels = true;
        return get_object(in, value, NULL, NULL, 5, &c->labels);
    }
    if (strcmp(key, "gen") == 0) {
        c->gen.present = true;
        return get_object(in, value, gen_field, &c->gen, 5, &c->gen.other);
    }
    if (strcmp(key, "embedding") == 0)
        return get_embedding(in, value, &c->embedding, &c->embedding_rows);
    if (strcmp(key, "spans") == 0)
        return get_u32s(in, value, &c->spans);
    if (strcmp(key, "text") == 0)
        return get_str(in, value, &c->text);
    return L2_END;
}

static int get_completion(struct json_in *in, const json_t *j, struct l2_completion *c)
{
    *c = (struct l2_completion){0};
    int r = get_object(in, j, completion_field, c, 4, &c->other);
    if (r != L2_OK)
        return r;
    for (int i = 0; i < L2_N_SERIES; i++) {
        if (c->series[i].v && c->series[i].n != c->tokens.n) {
            enter_key(in, l2_series_names[i]);
            return fail(in, "want as many numbers as tokens");
        }
    }
    if (!l2_spans_valid(&c->spans, c->tokens.n)) {
        enter_key(in, "spans");
        return fail(in, "want pairs in order within the tokens");
    }
    return L2_OK;
}

static int get_completions(struct json_in *in, const json_t *j, struct l2_record *r)
{
    if (!json_is_array(j))
        return wrong_type(in, "an array", j);
    size_t n = json_array_size(j);
    if (n > L2_MAX_COMPLETIONS)
        return fail(in, "want at most 65536 completions");
    r->completions = l2_arena_alloc(in->arena, n, sizeof *r->completions, in->err);
    if (!r->completions)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enter_index(in, i);
        int rc = get_completion(in, json_array_get(j, i), &r->completions[i]);
        if (rc != L2_OK)
            return rc;
        in->n_steps--;
    }
    r->n_completions = n;
    return L2_OK;
}

static int message_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_message *m = to;
    if (strcmp(key, "role") == 0)
        return get_str(in, value, &m->role);
    if (strcmp(key, "content") == 0)
        return get_str(in, value, &m->content);
    return L2_END;
}

static int get_messages(struct json_in *in, const json_t *j, struct l2_record *r)
{
    if (!json_is_array(j))
        return wrong_type(in, "an array", j);
    size_t n = json_array_size(j);
    r->messages = l2_arena_alloc(in->arena, n, sizeof *r->messages, in->err);
    if (!r->messages)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct l2_message *m = &r->messages[i];
        *m = (struct l2_message){0};
        enter_index(in, i);
        int rc = get_object(in, json_array_get(j, i), message_field, m, 4, &m->other);
        if (rc != L2_OK)
            return rc;
        if (!m->role.s || !m->content.s)
            return fail(in, "want role and content");
        in->n_steps--;
    }
    r->n_messages = n;
    return L2_OK;
}

/* ---- items ---- */

static int record_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_record *r = to;
    if (strcmp(key, "id") == 0) {
        r->id.is_text = json_is_string(value);
        if (r->id.is_text)
            return get_str(in, value, &r->id.text);
        return json_is_integer(value) ? get_i64(in, value, &r->id.number)
                                      : wrong_type(in, "a string or an integer", value);
    }
    if (strcmp(key, "prompt") == 0)
        return get_u32s(in, value, &r->prompt);
    if (strcmp(key, "messages") == 0)
        return get_messages(in, value, r);
    if (strcmp(key, "completions") == 0)
        return get_completions(in, value, r);
    if (strcmp(key, "spans") == 0)
        return get_u32s(in, value, &r->spans);
    if (strcmp(key, "margin") == 0) {
        r->has_margin = true;
        return get_f32(in, value, &r->margin);
    }
    if (strcmp(key, "shape") == 0)
        return get_str(in, value, &r->shape);
    if (strcmp(key, "meta") == 0) {
        r->has_meta = true;
        return get_object(in, value, NULL, NULL, 3, &r->meta);
    }
    if (strcmp(key, "embedding") == 0)
        return get_embedding(in, value, &r->embedding, &r->embedding_rows);
    return L2_END;
}

static int read_record(struct json_in *in, const json_t *j, struct l2_record *r)
{
    l2_record_reset(r);
    in->arena = &r->arena;
    int rc = get_object(in, j, record_field, r, 2, &r->other);
    if (rc != L2_OK)
        return rc;
    if (!json_object_get(j, "id")) {
        if (!in->default_id)
            return fail(in, "record without an id");
        r->id = *in->default_id;
        if (r->id.is_text &&
            (rc = l2_record_str(r, r->id.text.s, r->id.text.n, &r->id.text, in->err)) != L2_OK)
            return rc;
    }
    if (!l2_spans_valid(&r->spans, r->prompt.n)) {
        enter_key(in, "spans");
        return fail(in, "want pairs in order within the prompt");
    }
    return L2_OK;
}

static int hash_from_hex(struct json_in *in, const json_t *j, uint8_t out[L2_SHA256_SIZE])
{
    const char *s = json_string_value(j), *digits = "0123456789abcdef";
    if (!s || strlen(s) != 2 * L2_SHA256_SIZE || strspn(s, digits) != 2 * L2_SHA256_SIZE)
        return fail(in, "want a string of 64 hexadecimal digits");
    for (size_t i = 0; i < L2_SHA256_SIZE; i++)
        out[i] = (uint8_t)((strchr(digits, s[2 * i]) - digits) << 4 |
                           (strchr(digits, s[2 * i + 1]) - digits));
    return L2_OK;
}

static int vocabulary_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_header *h = to;
    if (strcmp(key, "size") == 0) {
        int64_t size = 0;
        int r = get_i64(in, value, &size);
        if (r == L2_OK && (size < 1 || size > UINT32_MAX))
            return fail(in, "want 1 to 2^32-1");
        h->vocab_size = (uint32_t)size;
        return r;
    }
    return strcmp(key, "hash") == 0 ? hash_from_hex(in, value, h->vocab_hash)
                                    : fail(in, "want size and hash alone");
}

static int get_history(struct json_in *in, const json_t *j, struct l2_header *h)
{
    size_t begin = in->scratch.len;
    if (!json_is_array(j))
        return wrong_type(in, "an array", j);
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *e = json_array_get(j, i);
        enter_index(in, i);
        if (!json_is_object(e))
            return wrong_type(in, "an object", e);
        size_t at = in->scratch.len;
        int r = l2_json_to_cbor(&in->scratch, e, 3, in->err);
        if (r != L2_OK)
            return fail_below(in, r);
        if (in->scratch.data[at] >> 5 != 5) /* "$cbor" may stand for anything */
            return fail(in, "want what stands for a map");
        in->n_steps--;
    }
    return keep_scratch(in, begin, json_array_size(j), &h->history);
}

static int header_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_header *h = to;
    struct l2_fields none;
    if (strcmp(key, "magic") == 0)
        return json_is_string(value) && strcmp(json_string_value(value), "l2s") == 0
                   ? L2_OK
                   : fail(in, "want \"l2s\"");
    if (strcmp(key, "version") == 0) {
        if (!json_is_integer(value) || json_integer_value(value) == L2_STREAM_VERSION)
            return json_is_integer(value) ? L2_OK : wrong_type(in, "an integer", value);
        return l2_err_set(in->err, L2_UNSUPPORTED,
                          "stream version %lld is not supported, only version %d",
                          (long long)json_integer_value(value), L2_STREAM_VERSION);
    }
    if (strcmp(key, "history") == 0)
        return get_history(in, value, h);
    if (strcmp(key, "vocabulary") != 0)
        return L2_END;
    if (json_is_null(value))
        return L2_OK;
    h->has_vocab = true;
    int r = get_object(in, value, vocabulary_field, h, 3, &none);
    return r == L2_OK && json_object_size(value) != 2 ? fail(in, "want size and hash") : r;
}

static int read_header(struct json_in *in, const json_t *j, struct l2_header *h)
{
    static const char *const wanted[] = {"magic", "version", "vocabulary", "history"};
    l2_header_reset(h);
    in->arena = &h->arena;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!json_object_get(j, wanted[i]))
            return fail(in, "header: want magic, version, vocabulary and history");
    return get_object(in, j, header_field, h, 2, &h->other);
}

static int end_field(struct json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_stream_end *end = to;
    if (strcmp(key, "complete") == 0) {
        end->complete = json_is_true(value);
        return json_is_boolean(value) ? L2_OK : wrong_type(in, "true or false", value);
    }
    if (strcmp(key, "records") == 0)
        return get_u64(in, value, &end->records);
    if (strcmp(key, "tokens") == 0)
        return get_u64(in, value, &end->tokens);
    if (strcmp(key, "error") != 0)
        return L2_END;
    if (!json_is_string(value))
        return wrong_type(in, "a string", value);
    if (strlen(json_string_value(value)) != json_string_length(value) ||
        json_string_length(value) >= sizeof end->error)
        return fail(in, "want at most 511 bytes and no NUL");
    memcpy(end->error, json_string_value(value), json_string_length(value) + 1);
    return L2_OK;
}

static int read_end(struct json_in *in, const json_t *j, struct l2_stream_end *end)
{
    struct l2_arena dropped = {0};
    struct l2_fields none;
    *end = (struct l2_stream_end){0};
    if (!json_object_get(j, "complete") || !json_object_get(j, "records") ||
        !json_object_get(j, "tokens"))
        return fail(in, "END: want complete, records and tokens");
    in->arena = &dropped;
    int r = get_object(in, j, end_field, end, 2, &none);
    l2_arena_release(&dropped);
    if (r == L2_OK && end->complete && end->error[0] != '\0')
        return fail(in, "END: complete, but with an error");
    return r;
}

int l2_record_from_json(const json_t *j, struct l2_record *r, struct l2_err *err)
{
    struct json_in in = {.err = err};
    int rc = read_record(&in, j, r);
    l2_buf_release(&in.scratch);
    return rc;
}

static enum l2_item kind_of(const json_t *j)
{
    const char *first = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)j));
    if (first && strcmp(first, "magic") == 0)
        return L2_ITEM_HEADER;
    return first && strcmp(first, "complete") == 0 ? L2_ITEM_END : L2_ITEM_RECORD;
}

int l2_json_read_item(const struct l2_json_line *line, enum l2_item *kind, struct l2_record *r,
                      struct l2_header *h, struct l2_stream_end *end, struct l2_err *err)
{
    struct json_in in = {.err = err, .default_id = line->default_id};
    json_t *j;
    int rc = l2_json_parse(line->text, line->n, line->file, line->line, &j, err);
    if (rc != L2_OK)
        return rc;
    *kind = kind_of(j);
    if (*kind == L2_ITEM_HEADER)
        rc = h ? read_header(&in, j, h) : fail(&in, "header where none is expected");
    else if (*kind == L2_ITEM_END)
        rc = end ? read_end(&in, j, end) : fail(&in, "END where none is expected");
    else
        rc = read_record(&in, j, r);
    if (rc < 0 && rc != L2_MEMORY && err) {
        err->line = line->line;
        err->column = l2_json_column(line->text, line->n, in.step, in.n_steps);
        (void)l2_err_in_file(err, line->file);
    }
    l2_buf_release(&in.scratch);
    json_decref(j);
    return rc;
}
