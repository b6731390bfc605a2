/* JSON objects in model files, by jansson. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/jsonfile.h"

#include "util/map.h"
#include "util/utf8.h"

/* Text that is cut inside a word, a number or a character is cut, too, though jansson calls that a
 * syntax error at the end. */
static int parse_error(const json_error_t *e, const char *s, size_t n, const char *file,
                       struct l2_err *err)
{
    enum json_error_code what = json_error_code(e);
    if (what == json_error_out_of_memory)
        return l2_err_set(err, L2_MEMORY, "out of memory");
    bool cut = what == json_error_premature_end_of_input ||
               ((what == json_error_invalid_syntax || what == json_error_invalid_utf8) &&
                e->position >= 0 && (size_t)e->position >= n);
    for (size_t k = 1; k < 4 && k <= n && what == json_error_invalid_utf8; k++)
        cut = cut || (l2_utf8_incomplete(s + n - k, k) && (size_t)e->position + 4 >= n);
    enum l2_code code = cut ? L2_TRUNCATED : L2_CORRUPT;
    return l2_err_at_line(err, code, file, e->line > 0 ? e->line : 1, e->column > 0 ? e->column : 0,
                          "%s", e->text);
}

static int parse(const void *text, size_t n, const char *file, size_t flags, json_t **out,
                 struct l2_err *err)
{
    json_error_t e;
    const char *s = text;
    size_t i = 0;
    *out = NULL;
    while (i < n && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r'))
        i++;
    if (i == n)
        return l2_err_at(err, L2_TRUNCATED, file, (int64_t)n, "ends before its JSON object");
    if (s[i] != '{')
        return l2_err_at(err, L2_FORMAT, file, (int64_t)i, "not a JSON object");
    *out = json_loadb(s, n, JSON_REJECT_DUPLICATES | flags, &e);
    if (!*out)
        return parse_error(&e, s, n, file, err);
    return L2_OK;
}

int l2_jsonfile_parse(const void *text, size_t n, const char *file, json_t **out,
                      struct l2_err *err)
{
    return parse(text, n, file, 0, out, err);
}

static int read_file(const char *path, size_t max, size_t flags, json_t **out, struct l2_err *err)
{
    struct l2_map map;
    *out = NULL;
    int r = l2_map_open(&map, path, err);
    if (r != L2_OK)
        return r;
    if (map.size > max)
        r = l2_err_at(err, L2_LIMIT, path, -1, "%zu bytes, more than %zu", map.size, max);
    else
        r = parse(map.data, map.size, path, flags, out, err);
    l2_map_release(&map);
    return r;
}

int l2_jsonfile_read(const char *path, size_t max, json_t **out, struct l2_err *err)
{
    return read_file(path, max, 0, out, err);
}

int l2_jsonfile_read_reals(const char *path, size_t max, json_t **out, struct l2_err *err)
{
    return read_file(path, max, JSON_DECODE_INT_AS_REAL, out, err);
}

static const json_t *member(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

int l2_jsonfile_u32(const json_t *obj, const char *key, const char *file, uint32_t *out,
                    struct l2_err *err)
{
    const json_t *v = member(obj, key);
    if (!v)
        return L2_OK;
    if (!json_is_integer(v))
        return l2_err_at(err, L2_CORRUPT, file, -1, "%s is not an integer", key);
    json_int_t i = json_integer_value(v);
    if (i < 0 || i > (json_int_t)UINT32_MAX - 1)
        return l2_err_at(err, L2_CORRUPT, file, -1, "%s is %lld", key, (long long)i);
    *out = (uint32_t)i;
    return L2_OK;
}

int l2_jsonfile_real(const json_t *obj, const char *key, const char *file, double *out,
                     struct l2_err *err)
{
    const json_t *v = member(obj, key);
    if (!v)
        return L2_OK;
    if (!json_is_number(v))
        return l2_err_at(err, L2_CORRUPT, file, -1, "%s is not a number", key);
    *out = json_number_value(v);
    return L2_OK;
}

int l2_jsonfile_bool(const json_t *obj, const char *key, const char *file, bool *out,
                     struct l2_err *err)
{
    const json_t *v = member(obj, key);
    if (!v)
        return L2_OK;
    if (!json_is_boolean(v))
        return l2_err_at(err, L2_CORRUPT, file, -1, "%s is not true or false", key);
    *out = json_is_true(v);
    return L2_OK;
}
