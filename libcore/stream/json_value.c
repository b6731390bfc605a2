/* Values out of jansson's JSON into an arena, with errors that say the way to the value. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stream/cbor.h"
#include "stream/json_value.h"

void l2_json_enter_key(struct l2_json_in *in, const char *key)
{
    in->step[in->n_steps++] = (struct l2_json_step){key, 0};
}

void l2_json_enter_index(struct l2_json_in *in, size_t i)
{
    in->step[in->n_steps++] = (struct l2_json_step){NULL, i};
}

/* "completions[2].tokens[7]: " */
static void format_path(const struct l2_json_in *in, char *out, size_t size)
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

int l2_json_fail(struct l2_json_in *in, const char *fact)
{
    char path[256];
    format_path(in, path, sizeof path);
    return l2_err_set(in->err, L2_FORMAT, "%s%s", path, fact);
}

int l2_json_wrong_type(struct l2_json_in *in, const char *want, const json_t *got)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    char fact[128];
    snprintf(fact, sizeof fact, "want %s, got %s", want, names[json_typeof(got)]);
    return l2_json_fail(in, fact);
}

int l2_json_fail_below(struct l2_json_in *in, int code)
{
    char path[256], text[256];
    if (!in->err || code == L2_MEMORY)
        return code;
    format_path(in, path, sizeof path);
    snprintf(text, sizeof text, "%.255s", in->err->text);
    return l2_err_set(in->err, (enum l2_code)code, "%s%s", path, text);
}

/* ---- values of known types ---- */

int l2_json_get_str(struct l2_json_in *in, const json_t *j, struct l2_str *out)
{
    if (!json_is_string(j))
        return l2_json_wrong_type(in, "a string", j);
    size_t n = json_string_length(j);
    char *s = l2_arena_strdup(in->arena, json_string_value(j), n, in->err);
    if (!s)
        return L2_MEMORY;
    *out = (struct l2_str){s, n};
    return L2_OK;
}

int l2_json_get_i64(struct l2_json_in *in, const json_t *j, int64_t *out)
{
    if (!json_is_integer(j))
        return l2_json_wrong_type(in, "an integer", j);
    *out = json_integer_value(j);
    return L2_OK;
}

int l2_json_get_u64(struct l2_json_in *in, const json_t *j, uint64_t *out)
{
    struct l2_buf *b = &in->scratch;
    size_t begin = b->len;
    if (json_is_integer(j) && json_integer_value(j) >= 0) {
        *out = (uint64_t)json_integer_value(j);
        return L2_OK;
    }
    if (!json_is_object(j))
        return l2_json_wrong_type(in, "an unsigned integer", j);
    int r = l2_json_to_cbor(b, j, 1, in->err);
    if (r != L2_OK)
        return l2_json_fail_below(in, r);
    struct l2_cbor c = {.data = b->data + begin, .n = b->len - begin};
    struct l2_cbor_item item;
    r = l2_cbor_next(&c, &item, in->err);
    b->len = begin;
    if (r != L2_OK || item.kind != L2_CBOR_UINT)
        return l2_json_wrong_type(in, "an unsigned integer", j);
    *out = item.value;
    return L2_OK;
}

int l2_json_get_f64(struct l2_json_in *in, const json_t *j, double *out)
{
    if (!json_is_number(j))
        return l2_json_wrong_type(in, "a number", j);
    *out = json_number_value(j);
    return L2_OK;
}

int l2_json_get_f32(struct l2_json_in *in, const json_t *j, float *out)
{
    double v = 0;
    int r = l2_json_get_f64(in, j, &v);
    *out = (float)v;
    return r == L2_OK && !isfinite(*out) ? l2_json_fail(in, "out of the range of f32") : r;
}

int l2_json_get_u32s(struct l2_json_in *in, const json_t *j, struct l2_u32s *out)
{
    if (!json_is_array(j))
        return l2_json_wrong_type(in, "an array of ids", j);
    size_t n = json_array_size(j);
    uint32_t *v = l2_arena_alloc(in->arena, n, sizeof *v, in->err);
    if (!v)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(j, i);
        json_int_t x = json_integer_value(e);
        if (!json_is_integer(e) || x < 0 || x > UINT32_MAX) {
            l2_json_enter_index(in, i);
            return json_is_integer(e) ? l2_json_fail(in, "want an integer from 0 to 2^32-1")
                                      : l2_json_wrong_type(in, "an integer", e);
        }
        v[i] = (uint32_t)x;
    }
    *out = (struct l2_u32s){v, n};
    return L2_OK;
}

/* Appends the numbers of array j to v. */
static int get_floats(struct l2_json_in *in, const json_t *j, float *v)
{
    for (size_t i = 0; i < json_array_size(j); i++) {
        l2_json_enter_index(in, i);
        int r = l2_json_get_f32(in, json_array_get(j, i), &v[i]);
        if (r != L2_OK)
            return r;
        in->n_steps--;
    }
    return L2_OK;
}

int l2_json_get_f32s(struct l2_json_in *in, const json_t *j, struct l2_f32s *out)
{
    if (!json_is_array(j))
        return l2_json_wrong_type(in, "an array of numbers", j);
    float *v = l2_arena_alloc(in->arena, json_array_size(j), sizeof *v, in->err);
    if (!v)
        return L2_MEMORY;
    *out = (struct l2_f32s){v, json_array_size(j)};
    return get_floats(in, j, v);
}

int l2_json_get_embedding(struct l2_json_in *in, const json_t *j, struct l2_f32s *out, size_t *rows)
{
    const json_t *row = json_array_get(j, 0);
    if (!json_is_array(row))
        return l2_json_get_f32s(in, j, out);
    size_t n = json_array_size(j), columns = json_array_size(row);
    float *v =
        columns <= SIZE_MAX / n ? l2_arena_alloc(in->arena, n * columns, sizeof *v, in->err) : NULL;
    if (!v)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        row = json_array_get(j, i);
        l2_json_enter_index(in, i);
        if (!json_is_array(row) || json_array_size(row) != columns || columns == 0)
            return l2_json_fail(in, "want rows of equal length, with one number at least");
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
static int get_pair(struct l2_json_in *in, const char *key, const json_t *value, unsigned level)
{
    struct l2_cbor_out o = {&in->scratch, in->err, L2_OK};
    l2_cbor_put_str(&o, key);
    if (o.rc == L2_OK)
        o.rc = l2_json_to_cbor(&in->scratch, value, level, in->err);
    return o.rc == L2_OK ? L2_OK : l2_json_fail_below(in, o.rc);
}

int l2_json_keep_scratch(struct l2_json_in *in, size_t begin, size_t n, struct l2_fields *out)
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

int l2_json_get_object(struct l2_json_in *in, const json_t *j, l2_json_field *field, void *to,
                       unsigned level, struct l2_fields *other)
{
    size_t begin = in->scratch.len, n = 0;
    const char *key;
    json_t *value;
    if (!json_is_object(j))
        return l2_json_wrong_type(in, "an object", j);
    if (json_object_size(j) > L2_CBOR_MAX_KEYS)
        return l2_json_fail(in, "too many keys");
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        l2_json_enter_key(in, key);
        int r = field ? field(in, to, key, value) : L2_END;
        if (r == L2_END) {
            r = get_pair(in, key, value, level);
            n++;
        }
        if (r != L2_OK)
            return r;
        in->n_steps--;
    }
    return n > 0 || !field ? l2_json_keep_scratch(in, begin, n, other) : L2_OK;
}
