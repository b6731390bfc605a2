/* The GGUF container. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "util/utf8.h"

#define DEFAULT_ALIGNMENT 32
#define MAX_NAME          65535

/* Bytes of a scalar; 0 for strings and arrays. */
static const size_t sizes[L2_GGUF_N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct cursor {
    const struct l2_map *map;
    size_t pos;
};

static int truncated(const struct cursor *c, uint64_t want, const char *what, struct l2_err *err)
{
    return l2_err_at(err, L2_TRUNCATED, c->map->name, (int64_t)c->pos,
                     "%s ends past the file: want %llu bytes, got %zu", what,
                     (unsigned long long)want, c->map->size - c->pos);
}

/* n bytes, or NULL with err set. */
static const uint8_t *take(struct cursor *c, uint64_t n, const char *what, struct l2_err *err)
{
    if (n > c->map->size - c->pos) {
        (void)truncated(c, n, what, err);
        return NULL;
    }
    const uint8_t *p = c->map->data + c->pos;
    c->pos += (size_t)n;
    return p;
}

static int take_u32(struct cursor *c, uint32_t *out, const char *what, struct l2_err *err)
{
    const uint8_t *p = take(c, 4, what, err);
    if (!p)
        return L2_TRUNCATED;
    *out = l2_get_u32le(p);
    return L2_OK;
}

static int take_u64(struct cursor *c, uint64_t *out, const char *what, struct l2_err *err)
{
    const uint8_t *p = take(c, 8, what, err);
    if (!p)
        return L2_TRUNCATED;
    *out = l2_get_u64le(p);
    return L2_OK;
}

static int take_str(struct cursor *c, struct l2_gguf_str *out, const char *what, struct l2_err *err)
{
    uint64_t n;
    int r = take_u64(c, &n, what, err);
    if (r != L2_OK)
        return r;
    const uint8_t *p = take(c, n, what, err);
    if (!p)
        return L2_TRUNCATED;
    *out = (struct l2_gguf_str){(const char *)p, (size_t)n};
    return L2_OK;
}

/* Keys and names: short, UTF-8, without NUL. */
static int take_name(struct cursor *c, struct l2_gguf_str *out, const char *what,
                     struct l2_err *err)
{
    size_t at = c->pos;
    int r = take_str(c, out, what, err);
    if (r != L2_OK)
        return r;
    if (out->n == 0 || out->n > MAX_NAME || memchr(out->s, 0, out->n) ||
        !l2_utf8_valid(out->s, out->n, NULL))
        return l2_err_at(err, L2_CORRUPT, c->map->name, (int64_t)at,
                         "%s is no name: want 1 to %d bytes of UTF-8", what, MAX_NAME);
    return L2_OK;
}

static int take_type(struct cursor *c, enum l2_gguf_type *out, struct l2_err *err)
{
    uint32_t type;
    size_t at = c->pos;
    int r = take_u32(c, &type, "a type", err);
    if (r != L2_OK)
        return r;
    if (type >= L2_GGUF_N_TYPES)
        return l2_err_at(err, L2_CORRUPT, c->map->name, (int64_t)at,
                         "metadata type %u: want one below %d", (unsigned)type, L2_GGUF_N_TYPES);
    *out = (enum l2_gguf_type)type;
    return L2_OK;
}

static int take_elements(struct cursor *c, enum l2_gguf_type type, uint64_t n, struct l2_err *err)
{
    uint64_t left = c->map->size - c->pos;
    struct l2_gguf_str s;
    int r = L2_OK;
    if (sizes[type] > 0) {
        if (n > left / sizes[type])
            return truncated(c, n, "an array", err);
        c->pos += (size_t)n * sizes[type];
        return L2_OK;
    }
    if (n > left / 8) /* a string has a length of 8 bytes at least */
        return truncated(c, n, "an array", err);
    for (uint64_t i = 0; i < n && r == L2_OK; i++)
        r = take_str(c, &s, "a string", err);
    return r;
}

static int take_value(struct cursor *c, struct l2_gguf_value *v, struct l2_err *err)
{
    int r = take_name(c, &v->key, "a metadata key", err);
    if (r == L2_OK)
        r = take_type(c, &v->type, err);
    if (r != L2_OK)
        return r;
    v->n = 1;
    v->element = v->type;
    if (v->type == L2_GGUF_ARRAY) {
        size_t at = c->pos;
        r = take_type(c, &v->element, err);
        if (r == L2_OK)
            r = take_u64(c, &v->n, "an array's length", err);
        if (r == L2_OK && v->element == L2_GGUF_ARRAY)
            r = l2_err_at(err, L2_UNSUPPORTED, c->map->name, (int64_t)at,
                          "arrays of arrays are not supported");
    }
    v->offset = (int64_t)c->pos;
    v->data = c->map->data + c->pos;
    if (r == L2_OK)
        r = take_elements(c, v->element, v->n, err);
    v->size = c->pos - (size_t)v->offset;
    return r;
}

static int take_tensor(struct cursor *c, struct l2_gguf_tensor *t, struct l2_err *err)
{
    size_t at = c->pos;
    int r = take_name(c, &t->name, "a tensor's name", err);
    if (r == L2_OK)
        r = take_u32(c, &t->n_dims, "a tensor's shape", err);
    if (r == L2_OK && (t->n_dims < 1 || t->n_dims > 4))
        return l2_err_at(err, L2_CORRUPT, c->map->name, (int64_t)at,
                         "a tensor has %u dimensions, want 1 to 4", (unsigned)t->n_dims);
    for (uint32_t i = 0; i < 4; i++)
        t->shape[i] = 1;
    for (uint32_t i = 0; i < t->n_dims && r == L2_OK; i++)
        r = take_u64(c, &t->shape[i], "a tensor's shape", err);
    if (r == L2_OK)
        r = take_u32(c, &t->type, "a tensor's type", err);
    if (r == L2_OK)
        r = take_u64(c, &t->offset, "a tensor's offset", err);
    return r;
}

bool l2_gguf_detect(const struct l2_map *map)
{
    return map->size >= 4 && memcmp(map->data, "GGUF", 4) == 0;
}

static int read_head(struct l2_gguf *g, struct cursor *c, struct l2_err *err)
{
    uint64_t n_tensors, n_values;
    if (!l2_gguf_detect(c->map))
        return l2_err_at(err, L2_FORMAT, c->map->name, 0, "not a GGUF file");
    c->pos = 4;
    int r = take_u32(c, &g->version, "the header", err);
    if (r == L2_OK && (g->version < 2 || g->version > 3))
        return l2_err_at(err, L2_UNSUPPORTED, c->map->name, 4,
                         "GGUF version %u is not supported: want 2 or 3%s", (unsigned)g->version,
                         g->version % 65536 == 0 ? " (a big-endian file?)" : "");
    if (r == L2_OK)
        r = take_u64(c, &n_tensors, "the header", err);
    if (r == L2_OK)
        r = take_u64(c, &n_values, "the header", err);
    if (r != L2_OK)
        return r;
    /* a value takes 13 bytes at least, a tensor 33: more cannot be in the file */
    uint64_t left = c->map->size - c->pos;
    if (n_values > left / 13 || n_tensors > left / 33)
        return l2_err_at(err, L2_TRUNCATED, c->map->name, 8,
                         "claims %llu tensors and %llu values, more than the file has room for",
                         (unsigned long long)n_tensors, (unsigned long long)n_values);
    g->n_values = (size_t)n_values;
    g->n_tensors = (size_t)n_tensors;
    g->values = calloc(g->n_values + 1, sizeof *g->values);
    g->tensors = calloc(g->n_tensors + 1, sizeof *g->tensors);
    if (!g->values || !g->tensors)
        return l2_err_memory(err, g->n_values * sizeof *g->values);
    return L2_OK;
}

int l2_gguf_str_compare(struct l2_gguf_str a, struct l2_gguf_str b)
{
    int r = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
    return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static int compare_strs(const void *a, const void *b)
{
    const struct l2_gguf_str *x = a, *y = b;
    return l2_gguf_str_compare(*x, *y);
}

/* names is sorted here. */
static int check_unique(const struct l2_map *map, struct l2_gguf_str *names, size_t n,
                        struct l2_err *err)
{
    qsort(names, n, sizeof *names, compare_strs);
    for (size_t i = 1; i < n; i++)
        if (compare_strs(&names[i - 1], &names[i]) == 0)
            return l2_err_at(err, L2_CORRUPT, map->name, (const uint8_t *)names[i].s - map->data,
                             "%.*s occurs twice", (int)(names[i].n < 100 ? names[i].n : 100),
                             names[i].s);
    return L2_OK;
}

static int check_names(const struct l2_gguf *g, struct l2_err *err)
{
    size_t most = g->n_values > g->n_tensors ? g->n_values : g->n_tensors;
    struct l2_gguf_str *names = calloc(most + 1, sizeof *names);
    if (!names)
        return l2_err_memory(err, most * sizeof *names);
    for (size_t i = 0; i < g->n_values; i++)
        names[i] = g->values[i].key;
    int r = check_unique(g->map, names, g->n_values, err);
    for (size_t i = 0; i < g->n_tensors; i++)
        names[i] = g->tensors[i].name;
    if (r == L2_OK)
        r = check_unique(g->map, names, g->n_tensors, err);
    free(names);
    return r;
}

/* Makes offsets count from the start of the file. */
static int place_tensors(struct l2_gguf *g, const struct cursor *c, struct l2_err *err)
{
    uint32_t alignment = DEFAULT_ALIGNMENT;
    bool found;
    int r = l2_gguf_get_u32(g, "general.alignment", &alignment, &found, err);
    if (r != L2_OK)
        return r;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                         "general.alignment is %u, want a power of two", (unsigned)alignment);
    g->alignment = alignment;
    uint64_t base = ((uint64_t)c->pos + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct l2_gguf_tensor *t = &g->tensors[i];
        if (t->offset % alignment != 0)
            return l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                             "tensor %.*s: offset %llu is not a multiple of %u",
                             (int)(t->name.n < 100 ? t->name.n : 100), t->name.s,
                             (unsigned long long)t->offset, (unsigned)alignment);
        if (base > g->map->size || t->offset > g->map->size - base)
            return l2_err_at(err, L2_TRUNCATED, g->map->name, (int64_t)g->map->size,
                             "tensor %.*s begins past the file",
                             (int)(t->name.n < 100 ? t->name.n : 100), t->name.s);
        t->offset += base;
    }
    return L2_OK;
}

int l2_gguf_read(struct l2_gguf *g, const struct l2_map *map, struct l2_err *err)
{
    struct cursor c = {map, 0};
    *g = (struct l2_gguf){.map = map};
    int r = read_head(g, &c, err);
    for (size_t i = 0; i < g->n_values && r == L2_OK; i++)
        r = take_value(&c, &g->values[i], err);
    for (size_t i = 0; i < g->n_tensors && r == L2_OK; i++)
        r = take_tensor(&c, &g->tensors[i], err);
    if (r == L2_OK)
        r = check_names(g, err);
    if (r == L2_OK)
        r = place_tensors(g, &c, err);
    if (r != L2_OK)
        l2_gguf_release(g);
    return r;
}

void l2_gguf_release(struct l2_gguf *g)
{
    free(g->values);
    free(g->tensors);
    *g = (struct l2_gguf){0};
}

bool l2_gguf_str_is(struct l2_gguf_str s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0;
}

const struct l2_gguf_value *l2_gguf_find(const struct l2_gguf *g, const char *key)
{
    for (size_t i = 0; i < g->n_values; i++)
        if (l2_gguf_str_is(g->values[i].key, key))
            return &g->values[i];
    return NULL;
}

const struct l2_gguf_tensor *l2_gguf_find_tensor(const struct l2_gguf *g, const char *name)
{
    for (size_t i = 0; i < g->n_tensors; i++)
        if (l2_gguf_str_is(g->tensors[i].name, name))
            return &g->tensors[i];
    return NULL;
}

static int wrong_type(const struct l2_gguf *g, const struct l2_gguf_value *v, const char *key,
                      const char *want, struct l2_err *err)
{
    return l2_err_at(err, L2_CORRUPT, g->map->name, v->offset, "%s is no %s (metadata type %d)",
                     key, want, (int)v->type);
}

/* Any integer type as a signed one; false for other types and what does not fit. */
static bool get_i64(const struct l2_gguf_value *v, int64_t *out)
{
    switch (v->type) {
    case L2_GGUF_U8:
        *out = v->data[0];
        return true;
    case L2_GGUF_I8:
        *out = (int8_t)v->data[0];
        return true;
    case L2_GGUF_U16:
        *out = l2_get_u16le(v->data);
        return true;
    case L2_GGUF_I16:
        *out = (int16_t)l2_get_u16le(v->data);
        return true;
    case L2_GGUF_U32:
        *out = l2_get_u32le(v->data);
        return true;
    case L2_GGUF_I32:
        *out = (int32_t)l2_get_u32le(v->data);
        return true;
    case L2_GGUF_U64:
    case L2_GGUF_I64:
        *out = (int64_t)l2_get_u64le(v->data);
        return v->type == L2_GGUF_I64 || *out >= 0;
    default:
        return false;
    }
}

int l2_gguf_get_u32(const struct l2_gguf *g, const char *key, uint32_t *out, bool *found,
                    struct l2_err *err)
{
    const struct l2_gguf_value *v = l2_gguf_find(g, key);
    int64_t i;
    *found = v != NULL;
    if (!v)
        return L2_OK;
    if (!get_i64(v, &i) || i < 0 || i > UINT32_MAX)
        return wrong_type(g, v, key, "unsigned number of 32 bits", err);
    *out = (uint32_t)i;
    return L2_OK;
}

int l2_gguf_get_f64(const struct l2_gguf *g, const char *key, double *out, bool *found,
                    struct l2_err *err)
{
    const struct l2_gguf_value *v = l2_gguf_find(g, key);
    *found = v != NULL;
    if (!v)
        return L2_OK;
    if (v->type == L2_GGUF_F32)
        *out = (double)l2_get_f32le(v->data);
    else if (v->type == L2_GGUF_F64)
        *out = l2_get_f64le(v->data);
    else
        return wrong_type(g, v, key, "real number", err);
    return L2_OK;
}

int l2_gguf_get_bool(const struct l2_gguf *g, const char *key, bool *out, bool *found,
                     struct l2_err *err)
{
    const struct l2_gguf_value *v = l2_gguf_find(g, key);
    *found = v != NULL;
    if (!v)
        return L2_OK;
    if (v->type != L2_GGUF_BOOL || v->data[0] > 1)
        return wrong_type(g, v, key, "truth value", err);
    *out = v->data[0] == 1;
    return L2_OK;
}

int l2_gguf_get_str(const struct l2_gguf *g, const char *key, struct l2_gguf_str *out, bool *found,
                    struct l2_err *err)
{
    const struct l2_gguf_value *v = l2_gguf_find(g, key);
    size_t pos = 0;
    *found = v != NULL;
    if (!v)
        return L2_OK;
    if (v->type != L2_GGUF_STRING)
        return wrong_type(g, v, key, "string", err);
    *out = l2_gguf_next_str(v, &pos);
    return L2_OK;
}

struct l2_gguf_str l2_gguf_next_str(const struct l2_gguf_value *v, size_t *pos)
{
    uint64_t n = l2_get_u64le(v->data + *pos);
    struct l2_gguf_str s = {(const char *)v->data + *pos + 8, (size_t)n};
    *pos += 8 + s.n;
    return s;
}
