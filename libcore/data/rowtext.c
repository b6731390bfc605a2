/* The texts of a JSON value. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/rowtext.h"

#include <string.h>

int l2_row_text(const json_t *j, unsigned depth, struct l2_buf *out, struct l2_err *err)
{
    const char *key;
    json_t *value;
    size_t i;
    int r = L2_OK;
    if (json_is_string(j)) {
        r = out->len > 0 ? l2_buf_append_byte(out, '\n', err) : L2_OK;
        return r == L2_OK ? l2_buf_append(out, json_string_value(j), json_string_length(j), err)
                          : r;
    }
    if (depth == 0)
        return L2_OK;
    json_object_foreach((json_t *)(uintptr_t)j, key, value)
    {
        if (r == L2_OK && strcmp(key, "id") != 0)
            r = l2_row_text(value, depth - 1, out, err);
    }
    json_array_foreach(j, i, value)
    {
        if (r == L2_OK)
            r = l2_row_text(value, depth - 1, out, err);
    }
    return r;
}
