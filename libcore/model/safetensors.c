/* The safetensors format. Nothing in a header is believed before it was compared with the file. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "util/jsonfile.h"
#include "util/num.h"

#define LENGTH_FIELD 8

/* Bytes of one value, 0 where the type is not known. */
static size_t type_size(const char *dtype)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = {
        {"F32", 4},  {"F16", 2},     {"BF16", 2},    {"F64", 8}, {"I64", 8}, {"I32", 4},
        {"I16", 2},  {"I8", 1},      {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},
        {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"C64", 8},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dtype, types[i].name) == 0)
            return types[i].size;
    return 0;
}

/* A non-negative integer into *out. */
static bool get_size(const json_t *v, size_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (size_t)json_integer_value(v);
    return true;
}

/* Reads shape and returns the bytes that a tensor of it has. */
static int read_shape(struct l2_st_entry *e, const json_t *shape, const char *file, size_t *bytes,
                      struct l2_err *err)
{
    if (!json_is_array(shape))
        return l2_err_at(err, L2_CORRUPT, file, -1, "%.200s: has no shape", e->name);
    e->n_dims = json_array_size(shape);
    if (e->n_dims > L2_ST_MAX_DIMS)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1, "%.200s: has %zu dimensions, more than %d",
                         e->name, e->n_dims, L2_ST_MAX_DIMS);
    *bytes = type_size(e->dtype);
    if (*bytes == 0)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1, "%.200s: type %.80s is not supported",
                         e->name, e->dtype);
    for (size_t i = 0; i < e->n_dims; i++) {
        size_t v;
        if (!get_size(json_array_get(shape, i), &v))
            return l2_err_at(err, L2_CORRUPT, file, -1,
                             "%.200s: shape holds something other than sizes", e->name);
        if (!l2_mul_size(*bytes, v, bytes))
            return l2_err_at(err, L2_CORRUPT, file, -1, "%.200s: shape is too large", e->name);
        e->shape[i] = v;
    }
    return L2_OK;
}

static int read_entry(struct l2_st_entry *e, const char *name, const json_t *v,
                      const struct l2_map *map, size_t data_start, struct l2_err *err)
{
    size_t want, data_size = map->size - data_start;
    const json_t *offsets = json_object_get(v, "data_offsets");
    e->name = name;
    e->dtype = json_string_value(json_object_get(v, "dtype"));
    if (!e->dtype)
        return l2_err_at(err, L2_CORRUPT, map->name, -1, "%.200s: has no dtype", name);
    int r = read_shape(e, json_object_get(v, "shape"), map->name, &want, err);
    if (r != L2_OK)
        return r;
    if (json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &e->begin) ||
        !get_size(json_array_get(offsets, 1), &e->end) || e->begin > e->end)
        return l2_err_at(err, L2_CORRUPT, map->name, -1,
                         "%.200s: data_offsets are not a begin and an end", name);
    if (e->end - e->begin != want)
        return l2_err_at(err, L2_CORRUPT, map->name, -1,
                         "%.200s: its shape wants %zu bytes, its data_offsets hold %zu", name, want,
                         e->end - e->begin);
    if (e->end > data_size)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "%.200s ends past the file: want %zu bytes of tensors, got %zu", name,
                         e->end, data_size);
    e->begin += data_start;
    e->end += data_start;
    return L2_OK;
}

static int by_begin(const void *a, const void *b)
{
    const struct l2_st_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* empty tensors first */
}

/* Sorted tensors must follow each other from the header's end to the file's end. */
static int check_cover(const struct l2_st_file *f, const struct l2_map *map, size_t at,
                       struct l2_err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct l2_st_entry *e = &f->entries[i];
        if (e->begin != at)
            return l2_err_at(
                err, L2_CORRUPT, map->name, (int64_t)e->begin, "%.200s %s: want it to begin at %zu",
                e->name,
                e->begin < at ? "overlaps the tensor before it" : "leaves a hole before it", at);
        at = e->end;
    }
    if (at != map->size)
        return l2_err_at(err, L2_CORRUPT, map->name, (int64_t)at,
                         "%zu bytes after the last tensor belong to none", map->size - at);
    return L2_OK;
}

/* Finds the header's length, which bounds everything after it. */
static int header_size(const struct l2_map *map, size_t *out, struct l2_err *err)
{
    if (map->size < LENGTH_FIELD)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "ends inside the length of the safetensors header");
    uint64_t n = l2_get_u64le(map->data);
    if (n > L2_ST_MAX_HEADER)
        return l2_err_at(err, L2_FORMAT, map->name, 0,
                         "not a safetensors file: its header would have %llu bytes",
                         (unsigned long long)n);
    if (map->size > LENGTH_FIELD && map->data[LENGTH_FIELD] != '{')
        return l2_err_at(err, L2_FORMAT, map->name, LENGTH_FIELD,
                         "not a safetensors file: its header does not begin with a brace");
    if (n > map->size - LENGTH_FIELD)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "ends inside the safetensors header: want %llu bytes, got %zu",
                         (unsigned long long)n, map->size - LENGTH_FIELD);
    *out = (size_t)n;
    return L2_OK;
}

/* Inside the header's bytes an early end is a contradiction, not a cut file. */
static int parse_header(struct l2_st_file *out, const struct l2_map *map, size_t n,
                        struct l2_err *err)
{
    int r = l2_jsonfile_parse(map->data + LENGTH_FIELD, n, map->name, &out->header, err);
    if (r == L2_TRUNCATED || r == L2_FORMAT)
        r = l2_err_at(err, L2_CORRUPT, map->name, LENGTH_FIELD,
                      "the safetensors header of %zu bytes is not one JSON object", n);
    return r;
}

int l2_st_read(struct l2_st_file *out, const struct l2_map *map, struct l2_err *err)
{
    size_t n = 0;
    const char *name;
    json_t *v;
    *out = (struct l2_st_file){0};
    int r = header_size(map, &n, err);
    if (r == L2_OK)
        r = parse_header(out, map, n, err);
    if (r != L2_OK)
        return r;
    size_t members = json_object_size(out->header);
    out->entries = calloc(members + 1, sizeof out->entries[0]);
    if (!out->entries) {
        r = l2_err_memory(err, members * sizeof out->entries[0]);
        goto out;
    }
    json_object_foreach(out->header, name, v)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        r = read_entry(&out->entries[out->n], name, v, map, LENGTH_FIELD + n, err);
        if (r != L2_OK)
            goto out;
        out->n++;
    }
    qsort(out->entries, out->n, sizeof out->entries[0], by_begin);
    r = check_cover(out, map, LENGTH_FIELD + n, err);
out:
    if (r != L2_OK)
        l2_st_release(out);
    return r;
}

void l2_st_release(struct l2_st_file *f)
{
    free(f->entries);
    json_decref(f->header);
    *f = (struct l2_st_file){0};
}

int l2_st_write_begin(struct l2_st_writer *w, struct l2_buf *out, struct l2_err *err)
{
    static const uint8_t no_length[LENGTH_FIELD] = {0};
    *w = (struct l2_st_writer){.out = out};
    int r = l2_buf_append(out, no_length, sizeof no_length, err);
    if (r == L2_OK) /* transformers refuses a file without this */
        r = l2_buf_append_str(out, "{\"__metadata__\": {\"format\": \"pt\"}", err);
    return r;
}

int l2_st_write_add(struct l2_st_writer *w, const char *name, const char *dtype, uint32_t rows,
                    uint32_t cols, uint64_t bytes, struct l2_err *err)
{
    int r = l2_buf_printf(w->out, err, ",\n\"%s\": {\"dtype\": \"%s\", \"shape\": [", name, dtype);
    if (r == L2_OK && rows > 0)
        r = l2_buf_printf(w->out, err, "%u, ", (unsigned)rows);
    if (r == L2_OK)
        r = l2_buf_printf(w->out, err, "%u], \"data_offsets\": [%llu, %llu]}", (unsigned)cols,
                          (unsigned long long)w->offset, (unsigned long long)(w->offset + bytes));
    w->offset += bytes;
    return r;
}

int l2_st_write_end(struct l2_st_writer *w, struct l2_err *err)
{
    int r = l2_buf_append_byte(w->out, '}', err);
    while (r == L2_OK && w->out->len % 8 != 0)
        r = l2_buf_append_byte(w->out, ' ', err);
    if (r == L2_OK)
        l2_put_u64le(w->out->data, w->out->len - LENGTH_FIELD);
    return r;
}
