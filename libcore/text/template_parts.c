/* What the chat templates share. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "text/template_impl.h"
#include "util/utf8.h"

/* White space as Python's str.l2_render_strip() has it, which the published templates were written
 * with. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

void l2_render_strip(const char **s, size_t *n)
{
    size_t len;
    uint32_t c;
    while ((len = l2_utf8_decode(*s, *n, &c)) > 0 && is_space(c)) {
        *s += len;
        *n -= len;
    }
    while (*n > 0) {
        len = 1;
        while (len < *n && len < 4 && ((uint8_t)(*s)[*n - len] & 0xC0) == 0x80)
            len++;
        if (l2_utf8_decode(*s + *n - len, len, &c) != len || !is_space(c))
            break;
        *n -= len;
    }
}

bool l2_turn_is(const struct l2_turn *t, const char *role)
{
    return strcmp(t->role, role) == 0;
}

int l2_turns_alternate(const struct l2_turn *turns, size_t n, const char *first, struct l2_err *err)
{
    bool user = strcmp(first, "user") == 0;
    for (size_t i = 0; i < n; i++, user = !user)
        if (!l2_turn_is(&turns[i], user ? "user" : "assistant"))
            return l2_err_set(err, L2_ARGUMENT, "turn %zu of the dialogue: want role %s, got %.64s",
                              i + 1, user ? "user" : "assistant", turns[i].role);
    return L2_OK;
}

int l2_render_id(struct l2_render *r, uint32_t id, const char *what, struct l2_err *err)
{
    if (id == L2_NO_ID)
        return l2_err_set(err, L2_ARGUMENT, "the vocabulary has no %s piece", what);
    return l2_ids_append(r->out, id, err);
}

int l2_render_bos(struct l2_render *r, struct l2_err *err)
{
    return l2_render_id(r, l2_vocab_bos(r->v), "BOS", err);
}

int l2_render_eos(struct l2_render *r, struct l2_err *err)
{
    return l2_render_id(r, l2_vocab_eos(r->v), "EOS", err);
}

int l2_render_add(struct l2_render *r, const char *s, size_t n, struct l2_err *err)
{
    return l2_buf_append(&r->text, s, n, err);
}

int l2_render_flush(struct l2_render *r, unsigned flags, struct l2_err *err)
{
    int code = l2_encode(r->e, (const char *)r->text.data, r->text.len, flags, r->out, err);
    r->text.len = 0;
    return code;
}

int l2_render_span(struct l2_render *r, size_t begin, struct l2_err *err)
{
    if (!r->spans)
        return L2_OK;
    int code = l2_ids_append(r->spans, (uint32_t)(begin - r->base), err);
    return code == L2_OK ? l2_ids_append(r->spans, (uint32_t)(r->out->n - r->base), err) : code;
}
