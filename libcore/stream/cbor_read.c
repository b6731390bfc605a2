/* Reading CBOR from memory: libcbor tells one head from the next, all rules are checked here. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/cbor.h"

#include <cbor.h>
#include <stdlib.h>
#include <string.h>

#include "util/utf8.h"

/* ---- what libcbor calls: each stores one head in the item ---- */

static void on_number(void *item, enum l2_cbor_kind kind, uint64_t v)
{
    struct l2_cbor_item *i = item;
    i->kind = kind;
    i->value = v;
}

static void on_u8(void *item, uint8_t v)
{
    on_number(item, L2_CBOR_UINT, v);
}

static void on_u16(void *item, uint16_t v)
{
    on_number(item, L2_CBOR_UINT, v);
}

static void on_u32(void *item, uint32_t v)
{
    on_number(item, L2_CBOR_UINT, v);
}

static void on_u64(void *item, uint64_t v)
{
    on_number(item, L2_CBOR_UINT, v);
}

static void on_n8(void *item, uint8_t v)
{
    on_number(item, L2_CBOR_NEGINT, v);
}

static void on_n16(void *item, uint16_t v)
{
    on_number(item, L2_CBOR_NEGINT, v);
}

static void on_n32(void *item, uint32_t v)
{
    on_number(item, L2_CBOR_NEGINT, v);
}

static void on_n64(void *item, uint64_t v)
{
    on_number(item, L2_CBOR_NEGINT, v);
}

static void on_bytes(void *item, cbor_data s, size_t n)
{
    struct l2_cbor_item *i = item;
    i->kind = L2_CBOR_BYTES;
    i->bytes = s;
    i->n = n;
}

static void on_text(void *item, cbor_data s, size_t n)
{
    on_bytes(item, s, n);
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_TEXT;
}

static void on_bytes_chunks(void *item)
{
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_BYTES_CHUNKS;
}

static void on_text_chunks(void *item)
{
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_TEXT_CHUNKS;
}

static void on_array(void *item, size_t n)
{
    on_number(item, L2_CBOR_ARRAY, n);
}

static void on_map(void *item, size_t n)
{
    on_number(item, L2_CBOR_MAP, n);
}

static void on_indefinite_array(void *item)
{
    on_number(item, L2_CBOR_ARRAY, 0);
    ((struct l2_cbor_item *)item)->indefinite = true;
}

static void on_indefinite_map(void *item)
{
    on_number(item, L2_CBOR_MAP, 0);
    ((struct l2_cbor_item *)item)->indefinite = true;
}

static void on_tag(void *item, uint64_t tag)
{
    on_number(item, L2_CBOR_TAG, tag);
}

static void on_real(void *item, enum l2_cbor_kind kind, double v)
{
    struct l2_cbor_item *i = item;
    i->kind = kind;
    i->real = v;
}

static void on_f16(void *item, float v)
{
    on_real(item, L2_CBOR_F16, (double)v);
}

static void on_f32(void *item, float v)
{
    on_real(item, L2_CBOR_F32, (double)v);
}

static void on_f64(void *item, double v)
{
    on_real(item, L2_CBOR_F64, v);
}

static void on_undefined(void *item)
{
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_UNDEFINED;
}

static void on_null(void *item)
{
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_NULL;
}

static void on_bool(void *item, bool v)
{
    ((struct l2_cbor_item *)item)->kind = v ? L2_CBOR_TRUE : L2_CBOR_FALSE;
}

static void on_break(void *item)
{
    ((struct l2_cbor_item *)item)->kind = L2_CBOR_BREAK;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_u8,
    .uint16 = on_u16,
    .uint32 = on_u32,
    .uint64 = on_u64,
    .negint64 = on_n64,
    .negint32 = on_n32,
    .negint16 = on_n16,
    .negint8 = on_n8,
    .byte_string_start = on_bytes_chunks,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_text_chunks,
    .indef_array_start = on_indefinite_array,
    .array_start = on_array,
    .indef_map_start = on_indefinite_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_f16,
    .float4 = on_f32,
    .float8 = on_f64,
    .undefined = on_undefined,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

const char *l2_cbor_kind_name(enum l2_cbor_kind kind)
{
    static const char *const names[] = {
        [L2_CBOR_UINT] = "integer",
        [L2_CBOR_NEGINT] = "negative integer",
        [L2_CBOR_BYTES] = "byte string",
        [L2_CBOR_TEXT] = "text",
        [L2_CBOR_BYTES_CHUNKS] = "byte string of indefinite length",
        [L2_CBOR_TEXT_CHUNKS] = "text of indefinite length",
        [L2_CBOR_ARRAY] = "array",
        [L2_CBOR_MAP] = "map",
        [L2_CBOR_TAG] = "tag",
        [L2_CBOR_FALSE] = "false",
        [L2_CBOR_TRUE] = "true",
        [L2_CBOR_NULL] = "null",
        [L2_CBOR_UNDEFINED] = "undefined",
        [L2_CBOR_F16] = "f16",
        [L2_CBOR_F32] = "f32",
        [L2_CBOR_F64] = "f64",
        [L2_CBOR_BREAK] = "break",
    };
    return names[kind];
}

static int corrupt(size_t at, struct l2_err *err, const char *text)
{
    return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)at, "%s", text);
}

int l2_cbor_next(struct l2_cbor *c, struct l2_cbor_item *item, struct l2_err *err)
{
    size_t left = c->n - c->pos, bad;
    *item = (struct l2_cbor_item){.at = c->pos};
    if (left == 0)
        return corrupt(c->pos, err, "CBOR ends inside an item");
    struct cbor_decoder_result r = cbor_stream_decode(c->data + c->pos, left, &callbacks, item);
    if (r.status == CBOR_DECODER_NEDATA)
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)c->pos,
                         "CBOR item of type %d runs past the end: %zu bytes are left",
                         c->data[c->pos] >> 5, left);
    if (r.status != CBOR_DECODER_FINISHED)
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)c->pos, "invalid CBOR: initial byte %02x",
                         c->data[c->pos]);
    c->pos += r.read;
    left -= r.read;
    if (c->level >= L2_CBOR_MAX_DEPTH && item->kind != L2_CBOR_BREAK)
        return l2_err_at(err, L2_LIMIT, NULL, (int64_t)item->at,
                         "CBOR nested deeper than %d levels", L2_CBOR_MAX_DEPTH);
    if (item->kind == L2_CBOR_TEXT && !l2_utf8_valid((const char *)item->bytes, item->n, &bad))
        return corrupt((size_t)(item->bytes - c->data) + bad, err, "text is not UTF-8");
    /* An element has one byte at least, and a pair two. */
    if ((item->kind == L2_CBOR_ARRAY && item->value > left) ||
        (item->kind == L2_CBOR_MAP && item->value > left / 2))
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)item->at,
                         "CBOR %s of %llu runs past the end: %zu bytes are left",
                         l2_cbor_kind_name(item->kind), (unsigned long long)item->value, left);
    return L2_OK;
}

/* ---- maps and arrays ---- */

struct key {
    const uint8_t *s;
    size_t n;
};

void l2_cbor_open(struct l2_cbor *c, const struct l2_cbor_item *item, struct l2_cbor_seq *seq)
{
    *seq = (struct l2_cbor_seq){item->value, item->indefinite, c->keys.len};
    c->level++;
}

int l2_cbor_element(struct l2_cbor *c, struct l2_cbor_seq *seq, struct l2_cbor_item *item,
                    struct l2_err *err)
{
    if (!seq->indefinite && seq->left == 0) {
        c->level--;
        return L2_END;
    }
    int r = l2_cbor_next(c, item, err);
    if (r != L2_OK)
        return r;
    seq->left--;
    if (item->kind != L2_CBOR_BREAK)
        return L2_OK;
    if (!seq->indefinite)
        return corrupt(item->at, err, "CBOR break inside a definite length");
    c->level--;
    return L2_END;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return x->n == 0 ? 0 : memcmp(x->s, y->s, x->n);
}

/* Most maps have a few keys, which are compared each with each; large ones are sorted, so that no
 * input takes quadratic time. */
static int check_keys(struct l2_cbor *c, size_t base, struct l2_err *err)
{
    size_t n = (c->keys.len - base) / sizeof(struct key);
    if (n < 2) {
        c->keys.len = base;
        return L2_OK;
    }
    struct key *k = (struct key *)(void *)(c->keys.data + base);
    const struct key *twice = NULL;
    if (n <= 12) {
        for (size_t i = 1; i < n && !twice; i++)
            for (size_t j = 0; j < i && !twice; j++)
                if (compare_keys(&k[i], &k[j]) == 0)
                    twice = &k[i];
    } else {
        qsort(k, n, sizeof *k, compare_keys);
        for (size_t i = 1; i < n && !twice; i++)
            if (compare_keys(&k[i], &k[i - 1]) == 0)
                twice = &k[i];
    }
    c->keys.len = base;
    if (!twice)
        return L2_OK;
    return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)(twice->s - c->data), "duplicate key '%.*s'",
                     (int)(twice->n < 64 ? twice->n : 64), (const char *)twice->s);
}

int l2_cbor_key(struct l2_cbor *c, struct l2_cbor_seq *seq, struct l2_cbor_item *key,
                struct l2_err *err)
{
    int r = l2_cbor_element(c, seq, key, err);
    if (r == L2_END)
        return (r = check_keys(c, seq->keys_base, err)) == L2_OK ? L2_END : r;
    if (r != L2_OK)
        return r;
    if (key->kind != L2_CBOR_TEXT)
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)key->at, "key: want text, got %s",
                         l2_cbor_kind_name(key->kind));
    if (memchr(key->bytes, 0, key->n))
        return corrupt(key->at, err, "key with a NUL");
    struct key k = {key->bytes, key->n};
    if ((c->keys.len - seq->keys_base) / sizeof k >= L2_CBOR_MAX_KEYS)
        return l2_err_at(err, L2_LIMIT, NULL, (int64_t)key->at, "map of more than %d keys",
                         L2_CBOR_MAX_KEYS);
    return l2_buf_append(&c->keys, &k, sizeof k, err);
}

static int skip_chunks(struct l2_cbor *c, enum l2_cbor_kind kind, struct l2_err *err)
{
    struct l2_cbor_item chunk;
    struct l2_cbor_seq seq = {0, true, c->keys.len};
    int r;
    c->level++;
    while ((r = l2_cbor_element(c, &seq, &chunk, err)) == L2_OK)
        if (chunk.kind != kind)
            return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)chunk.at, "chunk: want %s, got %s",
                             l2_cbor_kind_name(kind), l2_cbor_kind_name(chunk.kind));
    return r;
}

static int skip_map(struct l2_cbor *c, const struct l2_cbor_item *item, struct l2_err *err)
{
    struct l2_cbor_item part;
    struct l2_cbor_seq seq;
    int r;
    l2_cbor_open(c, item, &seq);
    while ((r = l2_cbor_key(c, &seq, &part, err)) == L2_OK)
        if ((r = l2_cbor_next(c, &part, err)) != L2_OK ||
            (r = l2_cbor_skip(c, &part, err)) != L2_OK)
            return r;
    return r;
}

int l2_cbor_skip(struct l2_cbor *c, const struct l2_cbor_item *item, struct l2_err *err)
{
    struct l2_cbor_item part;
    struct l2_cbor_seq seq;
    int r;
    switch (item->kind) {
    case L2_CBOR_ARRAY:
        l2_cbor_open(c, item, &seq);
        while ((r = l2_cbor_element(c, &seq, &part, err)) == L2_OK)
            if ((r = l2_cbor_skip(c, &part, err)) != L2_OK)
                return r;
        break;
    case L2_CBOR_MAP:
        r = skip_map(c, item, err);
        break;
    case L2_CBOR_BYTES_CHUNKS:
        r = skip_chunks(c, L2_CBOR_BYTES, err);
        break;
    case L2_CBOR_TEXT_CHUNKS:
        r = skip_chunks(c, L2_CBOR_TEXT, err);
        break;
    case L2_CBOR_TAG:
        c->level++;
        if ((r = l2_cbor_next(c, &part, err)) != L2_OK ||
            (r = l2_cbor_skip(c, &part, err)) != L2_OK)
            return r;
        c->level--;
        return L2_OK;
    case L2_CBOR_BREAK:
        return corrupt(item->at, err, "CBOR break outside of an indefinite length");
    default:
        return L2_OK;
    }
    return r == L2_END ? L2_OK : r;
}
