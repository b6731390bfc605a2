/* JSON values: parsing by jansson, writing by hand, and both ways between JSON and CBOR. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stream/cbor.h"
#include "util/num.h"

int l2_json_parse(const char *text, size_t n, const char *file, int64_t first_line, json_t **out,
                  struct l2_err *err)
{
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (*out)
        return L2_OK;
    if (json_error_code(&e) == json_error_out_of_memory)
        return l2_err_memory(err, n);
    return l2_err_at_line(err, L2_FORMAT, file, first_line - 1 + (e.line > 0 ? e.line : 1),
                          e.column > 0 ? e.column : 1, "%s", e.text);
}

/* ---- writing ---- */

static bool needs_escape(uint8_t ch)
{
    return ch < 0x20 || ch == '"' || ch == '\\';
}

static uint8_t *put_escape(uint8_t *p, uint8_t ch)
{
    static const char hex[] = "0123456789abcdef";
    *p++ = '\\';
    switch (ch) {
    case '\n':
        *p++ = 'n';
        return p;
    case '\r':
        *p++ = 'r';
        return p;
    case '\t':
        *p++ = 't';
        return p;
    case '"':
    case '\\':
        *p++ = ch;
        return p;
    default:
        memcpy(p, "u00", 3);
        p[3] = (uint8_t)hex[ch >> 4];
        p[4] = (uint8_t)hex[ch & 15];
        return p + 5;
    }
}

int l2_json_put_str(struct l2_buf *out, const char *s, size_t n, struct l2_err *err)
{
    size_t escapes = 0, room;
    for (size_t i = 0; i < n; i++)
        escapes += needs_escape((uint8_t)s[i]);
    if (!l2_mul_size(escapes, 5, &room) || !l2_add_size(room, n, &room) ||
        !l2_add_size(room, 2, &room))
        return l2_err_memory(err, SIZE_MAX);
    int r = l2_buf_reserve(out, room, err);
    if (r != L2_OK)
        return r;
    uint8_t *p = out->data + out->len;
    *p++ = '"';
    for (size_t i = 0; i < n; i++) {
        uint8_t ch = (uint8_t)s[i];
        if (needs_escape(ch))
            p = put_escape(p, ch);
        else
            *p++ = ch;
    }
    *p++ = '"';
    out->len = (size_t)(p - out->data);
    return L2_OK;
}

int l2_json_put_f64(struct l2_buf *out, double v, struct l2_err *err)
{
    char digits[40];
    return l2_buf_append(out, digits, l2_format_f64(digits, v), err);
}

/* A reader gets a double first and rounds that; where this second rounding would miss v, all the
 * digits of v as a double are written. */
int l2_json_put_f32(struct l2_buf *out, float v, struct l2_err *err)
{
    char digits[40];
    size_t n = l2_format_f32(digits, v);
    if ((float)strtod(digits, NULL) != v)
        n = l2_format_f64(digits, (double)v);
    return l2_buf_append(out, digits, n, err);
}

static int put_decimal(struct l2_buf *out, bool negative, uint64_t v, struct l2_err *err)
{
    char digits[24], *p = digits + sizeof digits;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    if (negative)
        *--p = '-';
    return l2_buf_append(out, p, (size_t)(digits + sizeof digits - p), err);
}

int l2_json_put_i64(struct l2_buf *out, int64_t v, struct l2_err *err)
{
    return put_decimal(out, v < 0, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v, err);
}

/* {"$cbor":"..."} for the item at data[0..n). */
static int put_cbor(struct l2_buf *out, const uint8_t *data, size_t n, struct l2_err *err)
{
    static const char hex[] = "0123456789abcdef";
    size_t room;
    int r = l2_buf_append_str(out, "{\"$cbor\":\"", err);
    if (r != L2_OK)
        return r;
    if (!l2_mul_size(n, 2, &room))
        return l2_err_memory(err, n);
    if ((r = l2_buf_reserve(out, room, err)) != L2_OK)
        return r;
    for (size_t i = 0; i < n; i++) {
        out->data[out->len++] = (uint8_t)hex[data[i] >> 4];
        out->data[out->len++] = (uint8_t)hex[data[i] & 15];
    }
    return l2_buf_append_str(out, "\"}", err);
}

int l2_json_put_u64(struct l2_buf *out, uint64_t v, struct l2_err *err)
{
    if (v <= INT64_MAX)
        return put_decimal(out, false, v, err);
    uint8_t item[9] = {0x1b};
    for (int i = 0; i < 8; i++)
        item[1 + i] = (uint8_t)(v >> (56 - 8 * i));
    return put_cbor(out, item, sizeof item, err);
}

int l2_json_put_id(struct l2_buf *out, const struct l2_id *id, struct l2_err *err)
{
    return id->is_text ? l2_json_put_str(out, id->text.s, id->text.n, err)
                       : l2_json_put_i64(out, id->number, err);
}

/* ---- CBOR to JSON ---- */

static int put_value(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                     struct l2_err *err);

static int put_raw(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                   struct l2_err *err)
{
    int r = l2_cbor_skip(c, item, err);
    return r == L2_OK ? put_cbor(out, c->data + item->at, c->pos - item->at, err) : r;
}

static int put_array(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                     struct l2_err *err)
{
    struct l2_cbor_seq seq;
    struct l2_cbor_item part;
    bool first = true;
    int r = l2_buf_append_byte(out, '[', err), more;
    if (r != L2_OK)
        return r;
    l2_cbor_open(c, item, &seq);
    while ((more = l2_cbor_element(c, &seq, &part, err)) == L2_OK) {
        if (!first && (r = l2_buf_append_byte(out, ',', err)) != L2_OK)
            return r;
        first = false;
        if ((r = put_value(out, c, &part, err)) != L2_OK)
            return r;
    }
    return more == L2_END ? l2_buf_append_byte(out, ']', err) : more;
}

static int put_pairs(struct l2_buf *out, struct l2_cbor *c, struct l2_cbor_seq *seq, bool *first,
                     struct l2_err *err)
{
    struct l2_cbor_item part;
    int r, more;
    while ((more = l2_cbor_key(c, seq, &part, err)) == L2_OK) {
        if (!*first && (r = l2_buf_append_byte(out, ',', err)) != L2_OK)
            return r;
        *first = false;
        if ((r = l2_json_put_str(out, (const char *)part.bytes, part.n, err)) != L2_OK ||
            (r = l2_buf_append_byte(out, ':', err)) != L2_OK ||
            (r = l2_cbor_next(c, &part, err)) != L2_OK ||
            (r = put_value(out, c, &part, err)) != L2_OK)
            return r;
    }
    return more == L2_END ? L2_OK : more;
}

/* Sets *only when the map's one key is "$cbor": such a map would be taken for what it stands for.
 */
static int is_escape(const struct l2_cbor *c, const struct l2_cbor_item *item, bool *only,
                     struct l2_err *err)
{
    struct l2_cbor peek = {.data = c->data, .n = c->n, .pos = c->pos, .level = c->level};
    struct l2_cbor_seq seq;
    struct l2_cbor_item part;
    *only = false;
    l2_cbor_open(&peek, item, &seq);
    int r = l2_cbor_key(&peek, &seq, &part, err);
    if (r == L2_OK && part.n == 5 && memcmp(part.bytes, "$cbor", 5) == 0) {
        if ((r = l2_cbor_next(&peek, &part, err)) == L2_OK &&
            (r = l2_cbor_skip(&peek, &part, err)) == L2_OK)
            r = l2_cbor_key(&peek, &seq, &part, err);
        *only = r == L2_END;
    }
    l2_buf_release(&peek.keys);
    return r == L2_END ? L2_OK : r;
}

static int put_map(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                   struct l2_err *err)
{
    struct l2_cbor_seq seq;
    bool escape, first = true;
    int r = is_escape(c, item, &escape, err);
    if (r != L2_OK)
        return r;
    if (escape)
        return put_raw(out, c, item, err);
    if ((r = l2_buf_append_byte(out, '{', err)) != L2_OK)
        return r;
    l2_cbor_open(c, item, &seq);
    if ((r = put_pairs(out, c, &seq, &first, err)) != L2_OK)
        return r;
    return l2_buf_append_byte(out, '}', err);
}

static int put_chunks(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                      struct l2_err *err)
{
    struct l2_cbor_seq seq;
    struct l2_cbor_item chunk = *item;
    struct l2_buf text = {0};
    int r;
    chunk.indefinite = true;
    l2_cbor_open(c, &chunk, &seq);
    while ((r = l2_cbor_element(c, &seq, &chunk, err)) == L2_OK)
        if ((r = l2_buf_append(&text, chunk.bytes, chunk.n, err)) != L2_OK)
            break;
    if (r == L2_END)
        r = l2_json_put_str(out, (const char *)text.data, text.len, err);
    l2_buf_release(&text);
    return r;
}

/* c is behind the head item; goes behind all of it. */
static int put_value(struct l2_buf *out, struct l2_cbor *c, const struct l2_cbor_item *item,
                     struct l2_err *err)
{
    switch (item->kind) {
    case L2_CBOR_UINT:
    case L2_CBOR_NEGINT:
        if (item->value > INT64_MAX)
            return put_raw(out, c, item, err);
        return l2_json_put_i64(
            out, item->kind == L2_CBOR_UINT ? (int64_t)item->value : -1 - (int64_t)item->value,
            err);
    case L2_CBOR_TEXT:
        return l2_json_put_str(out, (const char *)item->bytes, item->n, err);
    case L2_CBOR_TEXT_CHUNKS:
        return put_chunks(out, c, item, err);
    case L2_CBOR_ARRAY:
        return put_array(out, c, item, err);
    case L2_CBOR_MAP:
        return put_map(out, c, item, err);
    case L2_CBOR_FALSE:
        return l2_buf_append_str(out, "false", err);
    case L2_CBOR_TRUE:
        return l2_buf_append_str(out, "true", err);
    case L2_CBOR_NULL:
        return l2_buf_append_str(out, "null", err);
    case L2_CBOR_F16:
    case L2_CBOR_F32:
    case L2_CBOR_F64:
        return isfinite(item->real) ? l2_json_put_f64(out, item->real, err)
                                    : put_raw(out, c, item, err);
    default:
        return put_raw(out, c, item, err);
    }
}

int l2_json_put_fields(struct l2_buf *out, const struct l2_fields *f, bool *first,
                       struct l2_err *err)
{
    struct l2_cbor c = {.data = f->data, .n = f->len};
    struct l2_cbor_seq seq = {f->n, false, 0};
    c.level = 1;
    int r = put_pairs(out, &c, &seq, first, err);
    l2_buf_release(&c.keys);
    return r;
}

int l2_json_put_items(struct l2_buf *out, const uint8_t *data, size_t n, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    struct l2_cbor_item item;
    int r = L2_OK;
    while (r == L2_OK && c.pos < n) {
        if (c.pos > 0)
            r = l2_buf_append_byte(out, ',', err);
        if (r == L2_OK)
            r = l2_cbor_next(&c, &item, err);
        if (r == L2_OK)
            r = put_value(out, &c, &item, err);
    }
    l2_buf_release(&c.keys);
    return r;
}

/* ---- JSON to CBOR ---- */

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* The bytes that hexadecimal digits stand for, which must be one item. */
static int put_escaped(struct l2_buf *out, const json_t *hex, unsigned level, struct l2_err *err)
{
    const char *s = json_string_value(hex);
    size_t n = json_string_length(hex), begin = out->len;
    struct l2_cbor c = {0};
    struct l2_cbor_item item;
    int r = l2_buf_reserve(out, n / 2 + 1, err);
    for (size_t i = 0; r == L2_OK && i + 1 < n; i += 2) {
        int high = hex_digit(s[i]), low = hex_digit(s[i + 1]);
        if (high < 0 || low < 0)
            break;
        out->data[out->len++] = (uint8_t)(high << 4 | low);
    }
    if (r == L2_OK && (n == 0 || n % 2 != 0 || (out->len - begin) * 2 != n))
        r = l2_err_set(err, L2_FORMAT, "$cbor: want pairs of hexadecimal digits");
    if (r == L2_OK) {
        c.data = out->data + begin;
        c.n = out->len - begin;
        c.level = level - 1;
        if ((r = l2_cbor_next(&c, &item, err)) == L2_OK)
            r = l2_cbor_skip(&c, &item, err);
        if (r < 0 && r != L2_MEMORY)
            r = l2_err_set(err, L2_FORMAT, "$cbor: not a CBOR item");
        if (r == L2_OK && c.pos != c.n)
            r = l2_err_set(err, L2_FORMAT, "$cbor: more than one CBOR item");
        l2_buf_release(&c.keys);
    }
    return r;
}

static const json_t *escaped(const json_t *j)
{
    const json_t *hex = json_object_size(j) == 1 ? json_object_get(j, "$cbor") : NULL;
    return json_is_string(hex) ? hex : NULL;
}

int l2_json_to_cbor(struct l2_buf *out, const json_t *j, unsigned level, struct l2_err *err)
{
    struct l2_cbor_out o = {out, err, L2_OK};
    const char *key;
    json_t *value;
    size_t i;
    if (level > L2_CBOR_MAX_DEPTH)
        return l2_err_set(err, L2_LIMIT, "nested deeper than %d levels", L2_CBOR_MAX_DEPTH);
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        if (escaped(j))
            return put_escaped(out, escaped(j), level, err);
        if (json_object_size(j) > L2_CBOR_MAX_KEYS)
            return l2_err_set(err, L2_LIMIT, "object of more than %d keys", L2_CBOR_MAX_KEYS);
        l2_cbor_put_map(&o, json_object_size(j));
        json_object_foreach((json_t *)(uintptr_t)j, key, value)
        {
            l2_cbor_put_str(&o, key);
            if (o.rc == L2_OK)
                o.rc = l2_json_to_cbor(out, value, level + 1, err);
        }
        break;
    case JSON_ARRAY:
        l2_cbor_put_array(&o, json_array_size(j));
        for (i = 0; i < json_array_size(j) && o.rc == L2_OK; i++)
            o.rc = l2_json_to_cbor(out, json_array_get(j, i), level + 1, err);
        break;
    case JSON_STRING:
        l2_cbor_put_text(&o, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        l2_cbor_put_int(&o, json_integer_value(j));
        break;
    case JSON_REAL:
        l2_cbor_put_f64(&o, json_real_value(j));
        break;
    case JSON_NULL:
        l2_cbor_put_null(&o);
        break;
    default:
        l2_cbor_put_bool(&o, json_is_true(j));
        break;
    }
    return o.rc;
}

static bool is_in(const char *key, const char *const *keys, size_t n)
{
    while (n > 0 && strcmp(key, keys[n - 1]) != 0)
        n--;
    return n > 0;
}

static int keep_meta(struct l2_record *rec, const struct l2_buf *pairs, size_t n,
                     struct l2_err *err)
{
    uint8_t *copy = l2_arena_alloc(&rec->arena, pairs->len, 1, err);
    if (!copy)
        return L2_MEMORY;
    memcpy(copy, pairs->data, pairs->len);
    rec->meta = (struct l2_fields){copy, pairs->len, n};
    rec->has_meta = true;
    return L2_OK;
}

int l2_json_to_meta(const json_t *object, const char *const *without, size_t n_without,
                    struct l2_record *rec, struct l2_err *err)
{
    struct l2_buf pairs = {0};
    struct l2_cbor_out o = {&pairs, err, L2_OK};
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (o.rc != L2_OK || is_in(key, without, n_without))
            continue;
        l2_cbor_put_str(&o, key);
        if (o.rc == L2_OK)
            o.rc = l2_json_to_cbor(&pairs, value, 3, err);
        n++;
    }
    if (o.rc == L2_OK && n > 0)
        o.rc = keep_meta(rec, &pairs, n, err);
    l2_buf_release(&pairs);
    return o.rc;
}
