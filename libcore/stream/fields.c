/* Looking into fields that otherwise travel as they are. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/fields.h"

#include <string.h>

#include "util/num.h"

int l2_fields_find(const struct l2_fields *f, const char *key, bool *found,
                   struct l2_cbor_item *item, struct l2_err *err)
{
    struct l2_cbor c = {.data = f->data, .n = f->len};
    struct l2_cbor_item name;
    int r = L2_OK;
    *found = false;
    for (size_t i = 0; i < f->n && !*found && r == L2_OK; i++) {
        r = l2_cbor_next(&c, &name, err);
        if (r == L2_OK)
            r = l2_cbor_next(&c, item, err);
        if (r != L2_OK)
            break;
        *found = name.kind == L2_CBOR_TEXT && name.n == strlen(key) &&
                 memcmp(name.bytes, key, name.n) == 0;
        if (!*found)
            r = l2_cbor_skip(&c, item, err);
    }
    l2_buf_release(&c.keys);
    return r;
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
