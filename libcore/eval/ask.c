/* Contexts and continuations as token ids, by the boundary rule of lm-evaluation-harness. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/ask.h"

#include "util/utf8.h"

/* Python's str.isspace, which str.rstrip goes by. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

size_t l2_ask_stripped(const char *s, size_t n)
{
    while (n > 0) {
        uint32_t c;
        size_t begin = n - 1;
        while (begin > 0 && n - begin < 4 && ((unsigned char)s[begin] & 0xc0) == 0x80)
            begin--;
        if (l2_utf8_decode(s + begin, n - begin, &c) != n - begin || !is_space(c))
            break;
        n = begin;
    }
    return n;
}

size_t l2_ask_leading(const char *s, size_t n)
{
    size_t i = 0, len;
    uint32_t c;
    while (i < n && (len = l2_utf8_decode(s + i, n - i, &c)) > 0 && is_space(c))
        i += len;
    return i;
}

static int append_prefix(struct l2_encoder *e, bool bos, bool empty, struct l2_ids *prompt,
                         struct l2_err *err)
{
    const struct l2_vocab *v = l2_encoder_vocab(e);
    uint32_t id = l2_vocab_bos(v);
    if (!bos && !empty)
        return L2_OK;
    if (id == L2_NO_ID && empty)
        id = l2_vocab_eos(v);
    if (id != L2_NO_ID)
        return l2_ids_append(prompt, id, err);
    if (!empty)
        return L2_OK;
    return l2_err_set(err, L2_ARGUMENT,
                      "an empty context wants a vocabulary with a BOS or EOS piece");
}

int l2_ask_prompt(struct l2_encoder *e, const struct l2_str *context, bool bos,
                  struct l2_ids *prompt, struct l2_err *err)
{
    int r = append_prefix(e, bos, context->n == 0, prompt, err);
    return r == L2_OK ? l2_encode(e, context->s, context->n, 0, prompt, err) : r;
}

int l2_ask_encode(struct l2_encoder *e, const struct l2_str *context,
                  const struct l2_str *continuation, bool bos, struct l2_ids *prompt,
                  struct l2_ids *answer, struct l2_err *err)
{
    struct l2_str kept = {context->s, l2_ask_stripped(context->s, context->n)};
    struct l2_buf both = {0};
    struct l2_ids ids = {0};
    int r = append_prefix(e, bos, kept.n == 0, prompt, err);
    size_t begin = prompt->n;
    if (r == L2_OK)
        r = l2_encode(e, kept.s, kept.n, 0, prompt, err);
    if (r == L2_OK)
        r = l2_buf_append(&both, context->s, context->n, err);
    if (r == L2_OK)
        r = l2_buf_append(&both, continuation->s, continuation->n, err);
    if (r == L2_OK)
        r = l2_encode(e, (const char *)both.data, both.len, 0, &ids, err);
    size_t n = prompt->n - begin;
    if (r == L2_OK && ids.n <= n)
        r = l2_err_set(err, L2_CORRUPT,
                       "a continuation has no token of its own: the context has %zu, and both "
                       "together have %zu",
                       n, ids.n);
    if (r == L2_OK)
        r = l2_ids_append_n(answer, ids.v + n, ids.n - n, err);
    l2_ids_release(&ids);
    l2_buf_release(&both);
    return r;
}
