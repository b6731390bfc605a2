/* Decoding CBOR: values of known types, maps of known and unknown fields. See l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/decode.h"

#include <math.h>
#include <string.h>

#include "util/num.h"

bool l2_dec_is_text(const struct l2_cbor_item *item, const char *s)
{
    size_t n = strlen(s);
    return item->kind == L2_CBOR_TEXT && item->n == n && memcmp(item->bytes, s, n) == 0;
}

int l2_dec_wrong_type(struct l2_decoder *d, const char *field, const char *want,
                      const struct l2_cbor_item *got)
{
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)got->at, "%s: want %s, got %s", field, want,
                     l2_cbor_kind_name(got->kind));
}

int l2_dec_wrong(struct l2_decoder *d, size_t at, const char *field, const char *why)
{
    return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)at, "%s: %s", field, why);
}

int l2_dec_next_of(struct l2_decoder *d, enum l2_cbor_kind kind, const char *field,
                   const char *want, struct l2_cbor_item *item)
{
    int r = l2_cbor_next(d->c, item, d->err);
    return r == L2_OK && item->kind != kind ? l2_dec_wrong_type(d, field, want, item) : r;
}

int l2_dec_text(struct l2_decoder *d, const char *field, struct l2_str *out)
{
    struct l2_cbor_item item;
    int r = l2_dec_next_of(d, L2_CBOR_TEXT, field, "text", &item);
    if (r != L2_OK)
        return r;
    char *s = l2_arena_strdup(d->arena, item.bytes, item.n, d->err);
    if (!s)
        return L2_MEMORY;
    *out = (struct l2_str){s, item.n};
    return L2_OK;
}

int l2_dec_uint(struct l2_decoder *d, const char *field, uint64_t *out)
{
    struct l2_cbor_item item;
    int r = l2_dec_next_of(d, L2_CBOR_UINT, field, "an unsigned integer", &item);
    *out = item.value;
    return r;
}

/* item as an integer of 64 bits with sign. */
int l2_dec_to_int(struct l2_decoder *d, const char *field, const struct l2_cbor_item *item,
                  int64_t *out)
{
    if (item->kind != L2_CBOR_UINT && item->kind != L2_CBOR_NEGINT)
        return l2_dec_wrong_type(d, field, "an integer", item);
    if (item->value > INT64_MAX)
        return l2_dec_wrong(d, item->at, field, "integer out of range: want -2^63 to 2^63-1");
    *out = item->kind == L2_CBOR_UINT ? (int64_t)item->value : -1 - (int64_t)item->value;
    return L2_OK;
}

int l2_dec_f64(struct l2_decoder *d, const char *field, double *out)
{
    struct l2_cbor_item item;
    int r = l2_dec_next_of(d, L2_CBOR_F64, field, "f64", &item);
    if (r == L2_OK && !isfinite(item.real))
        return l2_dec_wrong(d, item.at, field, "not finite");
    *out = item.real;
    return r;
}

/* The byte string of a typed array whose tag has been read: n numbers of 4 bytes. */
static int typed_array(struct l2_decoder *d, const struct l2_cbor_item *tag, const char *field,
                       uint64_t want, struct l2_cbor_item *bytes)
{
    if (tag->kind != L2_CBOR_TAG)
        return l2_dec_wrong_type(d, field, want == L2_TAG_U32 ? "u32[] (tag 70)" : "f32[] (tag 85)",
                                 tag);
    if (tag->value != want)
        return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)tag->at,
                         "%s: want tag %llu, got tag %llu", field, (unsigned long long)want,
                         (unsigned long long)tag->value);
    int r = l2_dec_next_of(d, L2_CBOR_BYTES, field, "a byte string", bytes);
    if (r == L2_OK && bytes->n % 4 != 0)
        return l2_dec_wrong(d, bytes->at, field, "its bytes are not a multiple of 4");
    return r;
}

int l2_dec_u32s(struct l2_decoder *d, const char *field, struct l2_u32s *out)
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
static int f32s_of_tag(struct l2_decoder *d, const struct l2_cbor_item *tag, const char *field,
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
        return l2_dec_wrong(d, item.at, field, "a number is not finite");
    *out = (struct l2_f32s){v, n};
    return L2_OK;
}

int l2_dec_f32s(struct l2_decoder *d, const char *field, struct l2_f32s *out)
{
    struct l2_cbor_item item;
    int r = l2_cbor_next(d->c, &item, d->err);
    return r == L2_OK ? f32s_of_tag(d, &item, field, out) : r;
}

/* Array heads of a matrix: [[rows, columns], ...]. */
static int get_shape(struct l2_decoder *d, uint64_t shape[2])
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    int r = l2_dec_next_of(d, L2_CBOR_ARRAY, "embedding", "an array of rows and columns", &item);
    if (r != L2_OK)
        return r;
    l2_cbor_open(d->c, &item, &seq);
    for (int i = 0; i < 2; i++) {
        if ((r = l2_cbor_element(d->c, &seq, &item, d->err)) < 0)
            return r;
        if (r == L2_END || item.kind != L2_CBOR_UINT || item.value == 0)
            return l2_dec_wrong(d, item.at, "embedding", "want the numbers of rows and columns");
        shape[i] = item.value;
    }
    if ((r = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK)
        return l2_dec_wrong(d, item.at, "embedding", "want two dimensions, got more");
    return r == L2_END ? L2_OK : r;
}

/* What tag 40 stands before. */
static int get_matrix(struct l2_decoder *d, struct l2_f32s *out, size_t *rows)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    uint64_t shape[2];
    d->c->level++;
    int r = l2_dec_next_of(d, L2_CBOR_ARRAY, "embedding", "an array of shape and numbers", &item);
    if (r != L2_OK)
        return r;
    size_t at = item.at;
    if (item.indefinite || item.value != 2)
        return l2_dec_wrong(d, at, "embedding", "want an array of 2, shape and numbers");
    l2_cbor_open(d->c, &item, &seq);
    if ((r = get_shape(d, shape)) != L2_OK || (r = l2_dec_f32s(d, "embedding", out)) != L2_OK)
        return r;
    d->c->level -= 2;
    if (out->n % shape[0] != 0 || out->n / shape[0] != shape[1])
        return l2_err_at(d->err, L2_CORRUPT, NULL, (int64_t)at,
                         "embedding: want %llu x %llu numbers, got %zu",
                         (unsigned long long)shape[0], (unsigned long long)shape[1], out->n);
    *rows = (size_t)shape[0];
    return L2_OK;
}

int l2_dec_embedding(struct l2_decoder *d, struct l2_f32s *out, size_t *rows)
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
static int skip_unknown(struct l2_decoder *d, const struct l2_cbor_item *key, struct unknown *u)
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

static int copy_unknown(struct l2_decoder *d, const struct unknown *u, struct l2_fields *out)
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

static unsigned find_name(const struct l2_decoder_map *m, const struct l2_cbor_item *key)
{
    unsigned i = 0;
    while (i < m->n_names && !l2_dec_is_text(key, m->names[i]))
        i++;
    return i;
}

/* item is the map's head, which has been read. other is NULL where unknown fields are dropped. */
int l2_dec_map(struct l2_decoder *d, const struct l2_cbor_item *item,
               const struct l2_decoder_map *m, void *to, unsigned *seen, struct l2_fields *other)
{
    struct l2_cbor_seq seq;
    struct l2_cbor_item key;
    struct unknown unknown;
    int r;
    unknown.n = unknown.n_runs = 0;
    *seen = 0;
    if (item->kind != L2_CBOR_MAP)
        return l2_dec_wrong_type(d, m->what, "a map", item);
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
int l2_dec_fields(struct l2_decoder *d, const char *field, struct l2_fields *out)
{
    struct l2_cbor_item item, part;
    struct l2_cbor_seq seq;
    size_t n = 0;
    int r = l2_dec_next_of(d, L2_CBOR_MAP, field, "a map", &item);
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
