/* Looking into fields that otherwise travel as they are. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/fields.h"

#include <string.h>

#include "util/num.h"

/* Where a pair stands in its fields: from its key to the end of its value. */
struct pair {
    size_t begin, end;
};

/* at may be NULL: then the end of the value is not looked for. */
static int find(const struct l2_fields *f, const char *key, bool *found, struct l2_cbor_item *item,
                struct pair *at, struct l2_err *err)
{
    struct l2_cbor c = {.data = f->data, .n = f->len};
    struct l2_cbor_item name;
    int r = L2_OK;
    *found = false;
    for (size_t i = 0; i < f->n && !*found && r == L2_OK; i++) {
        size_t begin = c.pos;
        r = l2_cbor_next(&c, &name, err);
        if (r == L2_OK)
            r = l2_cbor_next(&c, item, err);
        if (r != L2_OK)
            break;
        *found = name.kind == L2_CBOR_TEXT && name.n == strlen(key) &&
                 memcmp(name.bytes, key, name.n) == 0;
        if (!*found || at)
            r = l2_cbor_skip(&c, item, err);
        if (at)
            *at = (struct pair){begin, c.pos};
    }
    l2_buf_release(&c.keys);
    return r;
}

int l2_fields_find(const struct l2_fields *f, const char *key, bool *found,
                   struct l2_cbor_item *item, struct l2_err *err)
{
    return find(f, key, found, item, NULL, err);
}

int l2_fields_is_true(const struct l2_fields *f, const char *key, bool *out, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found;
    int r = l2_fields_find(f, key, &found, &item, err);
    *out = r == L2_OK && found && item.kind == L2_CBOR_TRUE;
    return r;
}

int l2_fields_label(const struct l2_fields *f, const char *key, struct l2_buf *out,
                    struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found;
    char digits[32];
    int r = l2_fields_find(f, key, &found, &item, err);
    if (r != L2_OK)
        return r;
    if (!found)
        return l2_buf_append_str(out, "(none)", err);
    switch (item.kind) {
    case L2_CBOR_TEXT:
        return l2_buf_append(out, item.bytes, item.n, err);
    case L2_CBOR_UINT:
        return l2_buf_printf(out, err, "%llu", (unsigned long long)item.value);
    case L2_CBOR_NEGINT:
        return item.value == UINT64_MAX
                   ? l2_buf_append_str(out, "-18446744073709551616", err)
                   : l2_buf_printf(out, err, "-%llu", (unsigned long long)item.value + 1);
    case L2_CBOR_F16:
    case L2_CBOR_F32:
    case L2_CBOR_F64:
        return l2_buf_append(out, digits, l2_format_f64(digits, item.real), err);
    default:
        return l2_buf_printf(out, err, "(%s)", l2_cbor_kind_name(item.kind));
    }
}

/* Puts replacement[0..n) in the place of the bytes of a pair. */
static int splice(struct l2_fields *f, struct l2_arena *arena, struct pair at,
                  const void *replacement, size_t n, struct l2_err *err)
{
    size_t kept = f->len - (at.end - at.begin);
    uint8_t *data = n <= SIZE_MAX - kept ? l2_arena_alloc(arena, kept + n, 1, err) : NULL;
    if (!data)
        return L2_MEMORY;
    if (at.begin > 0)
        memcpy(data, f->data, at.begin);
    if (n > 0)
        memcpy(data + at.begin, replacement, n);
    if (f->len > at.end)
        memcpy(data + at.begin + n, f->data + at.end, f->len - at.end);
    f->data = data;
    f->len = kept + n;
    return L2_OK;
}

int l2_fields_set(struct l2_fields *f, struct l2_arena *arena, const char *key, const void *value,
                  size_t n, struct l2_err *err)
{
    struct l2_buf pair = {0};
    struct l2_cbor_out o = {.out = &pair, .err = err};
    struct l2_cbor_item item;
    struct pair at;
    bool found;
    int r = find(f, key, &found, &item, &at, err);
    if (!found)
        at = (struct pair){f->len, f->len};
    l2_cbor_put_str(&o, key);
    l2_cbor_put_raw(&o, value, n);
    if (r == L2_OK)
        r = o.rc;
    if (r == L2_OK)
        r = splice(f, arena, at, pair.data, pair.len, err);
    if (r == L2_OK)
        f->n += !found;
    l2_buf_release(&pair);
    return r;
}

int l2_fields_drop(struct l2_fields *f, struct l2_arena *arena, const char *key, struct l2_err *err)
{
    struct l2_cbor_item item;
    struct pair at;
    bool found;
    int r = find(f, key, &found, &item, &at, err);
    if (r == L2_OK && found)
        r = splice(f, arena, at, NULL, 0, err);
    if (r == L2_OK && found)
        f->n--;
    return r;
}
