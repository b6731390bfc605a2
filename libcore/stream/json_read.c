/* Records, headers and ENDs from JSON. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "stream/codec.h"
#include "stream/json_value.h"

static int gen_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_gen *g = to;
    if (strcmp(key, "k") == 0) {
        g->has_k = true;
        return l2_json_get_u64(in, value, &g->k);
    }
    if (strcmp(key, "seed") == 0) {
        g->has_seed = true;
        return l2_json_get_u64(in, value, &g->seed);
    }
    if (strcmp(key, "temperature") == 0) {
        g->has_temperature = true;
        return l2_json_get_f64(in, value, &g->temperature);
    }
    if (strcmp(key, "model") == 0)
        return l2_json_get_str(in, value, &g->model);
    if (strcmp(key, "round") != 0)
        return L2_END;
    g->has_round = true;
    return l2_json_get_i64(in, value, &g->round);
}

static int get_scores(struct l2_json_in *in, const json_t *j, struct l2_completion *c)
{
    const char *key;
    json_t *value;
    size_t i = 0;
    if (!json_is_object(j))
        return l2_json_wrong_type(in, "an object", j);
    if (json_object_size(j) == 0)
        return l2_json_fail(in, "want one score at least");
    if (json_object_size(j) > L2_CBOR_MAX_KEYS)
        return l2_json_fail(in, "too many keys");
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
        l2_json_enter_key(in, key);
        int r = l2_json_get_f64(in, value, &c->scores[i].value);
        if (r != L2_OK)
            return r;
        in->n_steps--;
        i++;
    }
    c->n_scores = i;
    return L2_OK;
}

static int get_finish(struct l2_json_in *in, const json_t *j, enum l2_finish *out)
{
    const char *s = json_string_value(j);
    for (int i = L2_FINISH_EOS; s && i <= L2_FINISH_STOP; i++) {
        if (strcmp(s, l2_finish_names[i]) == 0) {
            *out = (enum l2_finish)i;
            return L2_OK;
        }
    }
    return l2_json_fail(in, "want \"eos\", \"length\" or \"stop\"");
}

static int completion_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_completion *c = to;
    if (strcmp(key, "tokens") == 0)
        return l2_json_get_u32s(in, value, &c->tokens);
    for (int i = 0; i < L2_N_SERIES; i++)
        if (strcmp(key, l2_series_names[i]) == 0)
            return l2_json_get_f32s(in, value, &c->series[i]);
    if (strcmp(key, "finish") == 0)
        return get_finish(in, value, &c->finish);
    if (strcmp(key, "scores") == 0)
        return get_scores(in, value, c);
    if (strcmp(key, "labels") == 0) {
        c->has_labels = true;
        return l2_json_get_object(in, value, NULL, NULL, 5, &c->labels);
    }
    if (strcmp(key, "gen") == 0) {
        c->gen.present = true;
        return l2_json_get_object(in, value, gen_field, &c->gen, 5, &c->gen.other);
    }
    if (strcmp(key, "embedding") == 0)
        return l2_json_get_embedding(in, value, &c->embedding, &c->embedding_rows);
    if (strcmp(key, "spans") == 0)
        return l2_json_get_u32s(in, value, &c->spans);
    if (strcmp(key, "text") == 0)
        return l2_json_get_str(in, value, &c->text);
    return L2_END;
}

static int get_completion(struct l2_json_in *in, const json_t *j, struct l2_completion *c)
{
    *c = (struct l2_completion){0};
    int r = l2_json_get_object(in, j, completion_field, c, 4, &c->other);
    if (r != L2_OK)
        return r;
    for (int i = 0; i < L2_N_SERIES; i++) {
        if (c->series[i].v && c->series[i].n != c->tokens.n) {
            l2_json_enter_key(in, l2_series_names[i]);
            return l2_json_fail(in, "want as many numbers as tokens");
        }
    }
    if (!l2_spans_valid(&c->spans, c->tokens.n)) {
        l2_json_enter_key(in, "spans");
        return l2_json_fail(in, "want pairs in order within the tokens");
    }
    return L2_OK;
}

static int get_completions(struct l2_json_in *in, const json_t *j, struct l2_record *r)
{
    if (!json_is_array(j))
        return l2_json_wrong_type(in, "an array", j);
    size_t n = json_array_size(j);
    if (n > L2_MAX_COMPLETIONS)
        return l2_json_fail(in, "want at most 65536 completions");
    r->completions = l2_arena_alloc(in->arena, n, sizeof *r->completions, in->err);
    if (!r->completions)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        l2_json_enter_index(in, i);
        int rc = get_completion(in, json_array_get(j, i), &r->completions[i]);
        if (rc != L2_OK)
            return rc;
        in->n_steps--;
    }
    r->n_completions = n;
    return L2_OK;
}

static int message_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_message *m = to;
    if (strcmp(key, "role") == 0)
        return l2_json_get_str(in, value, &m->role);
    if (strcmp(key, "content") == 0)
        return l2_json_get_str(in, value, &m->content);
    return L2_END;
}

static int get_messages(struct l2_json_in *in, const json_t *j, struct l2_record *r)
{
    if (!json_is_array(j))
        return l2_json_wrong_type(in, "an array", j);
    size_t n = json_array_size(j);
    r->messages = l2_arena_alloc(in->arena, n, sizeof *r->messages, in->err);
    if (!r->messages)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct l2_message *m = &r->messages[i];
        *m = (struct l2_message){0};
        l2_json_enter_index(in, i);
        int rc = l2_json_get_object(in, json_array_get(j, i), message_field, m, 4, &m->other);
        if (rc != L2_OK)
            return rc;
        if (!m->role.s || !m->content.s)
            return l2_json_fail(in, "want role and content");
        in->n_steps--;
    }
    r->n_messages = n;
    return L2_OK;
}

/* ---- items ---- */

static int record_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_record *r = to;
    if (strcmp(key, "id") == 0) {
        r->id.is_text = json_is_string(value);
        if (r->id.is_text)
            return l2_json_get_str(in, value, &r->id.text);
        return json_is_integer(value) ? l2_json_get_i64(in, value, &r->id.number)
                                      : l2_json_wrong_type(in, "a string or an integer", value);
    }
    if (strcmp(key, "prompt") == 0)
        return l2_json_get_u32s(in, value, &r->prompt);
    if (strcmp(key, "messages") == 0)
        return get_messages(in, value, r);
    if (strcmp(key, "completions") == 0)
        return get_completions(in, value, r);
    if (strcmp(key, "spans") == 0)
        return l2_json_get_u32s(in, value, &r->spans);
    if (strcmp(key, "margin") == 0) {
        r->has_margin = true;
        return l2_json_get_f32(in, value, &r->margin);
    }
    if (strcmp(key, "shape") == 0)
        return l2_json_get_str(in, value, &r->shape);
    if (strcmp(key, "meta") == 0) {
        r->has_meta = true;
        return l2_json_get_object(in, value, NULL, NULL, 3, &r->meta);
    }
    if (strcmp(key, "embedding") == 0)
        return l2_json_get_embedding(in, value, &r->embedding, &r->embedding_rows);
    return L2_END;
}

static int read_record(struct l2_json_in *in, const json_t *j, struct l2_record *r)
{
    l2_record_reset(r);
    in->arena = &r->arena;
    int rc = l2_json_get_object(in, j, record_field, r, 2, &r->other);
    if (rc != L2_OK)
        return rc;
    if (!json_object_get(j, "id")) {
        if (!in->default_id)
            return l2_json_fail(in, "record without an id");
        r->id = *in->default_id;
        if (r->id.is_text &&
            (rc = l2_record_str(r, r->id.text.s, r->id.text.n, &r->id.text, in->err)) != L2_OK)
            return rc;
    }
    if (!l2_spans_valid(&r->spans, r->prompt.n)) {
        l2_json_enter_key(in, "spans");
        return l2_json_fail(in, "want pairs in order within the prompt");
    }
    return L2_OK;
}

static int hash_from_hex(struct l2_json_in *in, const json_t *j, uint8_t out[L2_SHA256_SIZE])
{
    const char *s = json_string_value(j), *digits = "0123456789abcdef";
    if (!s || strlen(s) != 2 * L2_SHA256_SIZE || strspn(s, digits) != 2 * L2_SHA256_SIZE)
        return l2_json_fail(in, "want a string of 64 hexadecimal digits");
    for (size_t i = 0; i < L2_SHA256_SIZE; i++)
        out[i] = (uint8_t)((strchr(digits, s[2 * i]) - digits) << 4 |
                           (strchr(digits, s[2 * i + 1]) - digits));
    return L2_OK;
}

static int vocabulary_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_header *h = to;
    if (strcmp(key, "size") == 0) {
        int64_t size = 0;
        int r = l2_json_get_i64(in, value, &size);
        if (r == L2_OK && (size < 1 || size > UINT32_MAX))
            return l2_json_fail(in, "want 1 to 2^32-1");
        h->vocab_size = (uint32_t)size;
        return r;
    }
    return strcmp(key, "hash") == 0 ? hash_from_hex(in, value, h->vocab_hash)
                                    : l2_json_fail(in, "want size and hash alone");
}

static int get_history(struct l2_json_in *in, const json_t *j, struct l2_header *h)
{
    size_t begin = in->scratch.len;
    if (!json_is_array(j))
        return l2_json_wrong_type(in, "an array", j);
    for (size_t i = 0; i < json_array_size(j); i++) {
        const json_t *e = json_array_get(j, i);
        l2_json_enter_index(in, i);
        if (!json_is_object(e))
            return l2_json_wrong_type(in, "an object", e);
        size_t at = in->scratch.len;
        int r = l2_json_to_cbor(&in->scratch, e, 3, in->err);
        if (r != L2_OK)
            return l2_json_fail_below(in, r);
        if (in->scratch.data[at] >> 5 != 5) /* "$cbor" may stand for anything */
            return l2_json_fail(in, "want what stands for a map");
        in->n_steps--;
    }
    return l2_json_keep_scratch(in, begin, json_array_size(j), &h->history);
}

static int header_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_header *h = to;
    struct l2_fields none;
    if (strcmp(key, "magic") == 0)
        return json_is_string(value) && strcmp(json_string_value(value), "l2s") == 0
                   ? L2_OK
                   : l2_json_fail(in, "want \"l2s\"");
    if (strcmp(key, "version") == 0) {
        if (!json_is_integer(value) || json_integer_value(value) == L2_STREAM_VERSION)
            return json_is_integer(value) ? L2_OK : l2_json_wrong_type(in, "an integer", value);
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
    int r = l2_json_get_object(in, value, vocabulary_field, h, 3, &none);
    return r == L2_OK && json_object_size(value) != 2 ? l2_json_fail(in, "want size and hash") : r;
}

static int read_header(struct l2_json_in *in, const json_t *j, struct l2_header *h)
{
    static const char *const wanted[] = {"magic", "version", "vocabulary", "history"};
    l2_header_reset(h);
    in->arena = &h->arena;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!json_object_get(j, wanted[i]))
            return l2_json_fail(in, "header: want magic, version, vocabulary and history");
    return l2_json_get_object(in, j, header_field, h, 2, &h->other);
}

static int end_field(struct l2_json_in *in, void *to, const char *key, const json_t *value)
{
    struct l2_stream_end *end = to;
    if (strcmp(key, "complete") == 0) {
        end->complete = json_is_true(value);
        return json_is_boolean(value) ? L2_OK : l2_json_wrong_type(in, "true or false", value);
    }
    if (strcmp(key, "records") == 0)
        return l2_json_get_u64(in, value, &end->records);
    if (strcmp(key, "tokens") == 0)
        return l2_json_get_u64(in, value, &end->tokens);
    if (strcmp(key, "error") != 0)
        return L2_END;
    if (!json_is_string(value))
        return l2_json_wrong_type(in, "a string", value);
    if (strlen(json_string_value(value)) != json_string_length(value) ||
        json_string_length(value) >= sizeof end->error)
        return l2_json_fail(in, "want at most 511 bytes and no NUL");
    memcpy(end->error, json_string_value(value), json_string_length(value) + 1);
    return L2_OK;
}

static int read_end(struct l2_json_in *in, const json_t *j, struct l2_stream_end *end)
{
    struct l2_arena dropped = {0};
    struct l2_fields none;
    *end = (struct l2_stream_end){0};
    if (!json_object_get(j, "complete") || !json_object_get(j, "records") ||
        !json_object_get(j, "tokens"))
        return l2_json_fail(in, "END: want complete, records and tokens");
    in->arena = &dropped;
    int r = l2_json_get_object(in, j, end_field, end, 2, &none);
    l2_arena_release(&dropped);
    if (r == L2_OK && end->complete && end->error[0] != '\0')
        return l2_json_fail(in, "END: complete, but with an error");
    return r;
}

int l2_record_from_json(const json_t *j, struct l2_record *r, struct l2_err *err)
{
    struct l2_json_in in = {.err = err};
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
    struct l2_json_in in = {.err = err, .default_id = line->default_id};
    json_t *j;
    int rc = l2_json_parse(line->text, line->n, line->file, line->line, &j, err);
    if (rc != L2_OK)
        return rc;
    *kind = kind_of(j);
    if (*kind == L2_ITEM_HEADER)
        rc = h ? read_header(&in, j, h) : l2_json_fail(&in, "header where none is expected");
    else if (*kind == L2_ITEM_END)
        rc = end ? read_end(&in, j, end) : l2_json_fail(&in, "END where none is expected");
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
