/* What SentencePiece does to a text before merging, for normalizers that map no characters. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/normalize.h"

#include <string.h>

#include "text/vocab_impl.h"
#include "util/utf8.h"

/* Appends one unit of the text, all of its spaces as U+2581. */
static int put_unit(struct l2_buf *out, const char *s, size_t n, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        if (s[i] == ' ')
            r = l2_buf_append(out, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err);
        else
            r = l2_buf_append_byte(out, (uint8_t)s[i], err);
    }
    return r;
}

static bool ends_in_space(const struct l2_buf *b, size_t start)
{
    return b->len - start >= L2_SPACE_SYMBOL_LEN &&
           memcmp(b->data + b->len - L2_SPACE_SYMBOL_LEN, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN) ==
               0;
}

/* A unit is a user-defined piece, a character or an invalid byte. Where extra spaces are removed,
 * spaces at the start of a unit go when the one before ended in a space: user-defined pieces keep
 * the spaces inside them. */
int l2_normalize(const struct l2_vocab *v, const char *text, size_t n, bool continuation,
                 struct l2_buf *out, struct l2_err *err)
{
    size_t i = 0, start = out->len, len;
    uint32_t id;
    int r = L2_OK;
    if (v->remove_extra_spaces && !continuation)
        while (i < n && text[i] == ' ' && l2_bpe_match_user(&v->bpe, text + i, n - i, &id) <= 1)
            i++;
    if (i == n)
        return L2_OK;
    if (v->dummy_prefix && !continuation)
        r = l2_buf_append(out, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err);
    bool after_space = v->remove_extra_spaces && !continuation;
    for (; i < n && r == L2_OK; i += len) {
        const char *unit = text + i;
        size_t unit_len = len = l2_bpe_match_user(&v->bpe, unit, n - i, &id);
        if (len == 0) {
            unit_len = len = l2_utf8_length(unit, n - i);
            if (len == 0) {
                unit = "\xEF\xBF\xBD";
                unit_len = 3;
                len = 1;
            }
        }
        for (; after_space && unit_len > 0 && *unit == ' '; unit_len--)
            unit++;
        if (unit_len > 0) {
            r = put_unit(out, unit, unit_len, err);
            after_space = v->remove_extra_spaces && unit[unit_len - 1] == ' ';
        }
    }
    if (v->remove_extra_spaces)
        while (r == L2_OK && ends_in_space(out, start))
            out->len -= L2_SPACE_SYMBOL_LEN;
    return r;
}
