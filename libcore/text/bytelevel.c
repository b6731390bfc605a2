/* What vocabularies with a list of merges have beside the pieces: GPT-2's alphabet for bytes, the
 * list by ids, scores in its order. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>

#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

/* Bytes that are visible characters of Latin-1 stand for themselves, the others are U+0100 on. */
static bool is_visible(uint32_t c)
{
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD);
}

uint32_t l2_byte_char(uint8_t byte)
{
    uint32_t n = 0x100;
    if (is_visible(byte))
        return byte;
    for (uint32_t c = 0; c < byte; c++)
        n += !is_visible(c);
    return n;
}

int l2_byte_of_char(uint32_t cp)
{
    if (cp < 0x100)
        return is_visible(cp) ? (int)cp : -1;
    /* 0x00 to 0x20, 0x7F to 0xA0 and 0xAD, in that order */
    uint32_t i = cp - 0x100;
    if (i <= 0x20)
        return (int)i;
    i = i - 0x21 + 0x7F;
    return i <= 0xA0 ? (int)i : i == 0xA1 ? 0xAD : -1;
}

/* ---- merges ---- */

int l2_merge_index(const struct l2_vocab *v, struct l2_piece_index *out, const char *file,
                   struct l2_err *err)
{
    int r = l2_piece_index_init(out, v, err);
    for (uint32_t id = 0; id < v->n && r == L2_OK; id++)
        if (v->pieces[id].kind == L2_PIECE_NORMAL || v->pieces[id].kind == L2_PIECE_UNUSED)
            r = l2_piece_index_add(out, id, file, err);
    return r;
}

static int grow(struct l2_vocab *v, struct l2_err *err)
{
    /* the length is a power of two, or nothing */
    size_t n = v->n_merges, bytes;
    if (n & (n - 1) || (n > 0 && n < 1024))
        return L2_OK;
    if (!l2_mul_size(n < 1024 ? 1024 : 2 * n, sizeof *v->merges, &bytes))
        return l2_err_memory(err, SIZE_MAX);
    struct l2_merge *m = realloc(v->merges, bytes);
    if (!m)
        return l2_err_memory(err, bytes);
    v->merges = m;
    return L2_OK;
}

int l2_merge_add(struct l2_vocab *v, const struct l2_piece_index *index, const char *left,
                 size_t n_left, const char *right, size_t n_right, const char *file,
                 struct l2_err *err)
{
    struct l2_buf both = {0};
    struct l2_merge m = {l2_piece_index_get(index, left, n_left),
                         l2_piece_index_get(index, right, n_right)};
    if (v->n_merges == L2_NO_RANK - 1)
        return l2_err_at(err, L2_LIMIT, file, -1, "too many merges");
    int r = l2_buf_append(&both, left, n_left, err);
    if (r == L2_OK)
        r = l2_buf_append(&both, right, n_right, err);
    if (r == L2_OK && (n_left == 0 || n_right == 0 || m.left == L2_NO_ID || m.right == L2_NO_ID ||
                       l2_piece_index_get(index, (const char *)both.data, both.len) == L2_NO_ID))
        r = l2_err_at(err, L2_CORRUPT, file, -1, "merge %zu, '%.*s' and '%.*s', is not of pieces",
                      v->n_merges, n_left < 64 ? (int)n_left : 64, left,
                      n_right < 64 ? (int)n_right : 64, right);
    if (r == L2_OK)
        r = grow(v, err);
    if (r == L2_OK)
        v->merges[v->n_merges++] = m;
    l2_buf_release(&both);
    return r;
}

/* A piece is as good as the first merge that makes it; what none makes is worst. */
static int set_scores(struct l2_vocab *v, const struct l2_piece_index *index, struct l2_err *err)
{
    struct l2_buf both = {0};
    int r = L2_OK;
    for (uint32_t id = 0; id < v->n; id++)
        if (v->pieces[id].kind == L2_PIECE_NORMAL)
            v->pieces[id].score = -(float)v->n_merges;
    for (size_t i = v->n_merges; i-- > 0 && r == L2_OK;) {
        size_t n;
        const char *s = l2_piece_text(v, v->merges[i].left, &n);
        both.len = 0;
        r = l2_buf_append(&both, s, n, err);
        s = l2_piece_text(v, v->merges[i].right, &n);
        if (r == L2_OK)
            r = l2_buf_append(&both, s, n, err);
        if (r == L2_OK)
            v->pieces[l2_piece_index_get(index, (const char *)both.data, both.len)].score =
                -(float)i;
    }
    l2_buf_release(&both);
    return r;
}

int l2_merges_finish(struct l2_vocab *v, const char *file, struct l2_err *err)
{
    struct l2_piece_index index = {0};
    int r = l2_merge_index(v, &index, file, err);
    if (r == L2_OK)
        r = set_scores(v, &index, err);
    for (int byte = 0; byte < 256 && r == L2_OK && v->byte_level; byte++) {
        char s[4];
        size_t n = l2_utf8_encode(l2_byte_char((uint8_t)byte), s);
        v->byte_symbols[byte] = l2_piece_index_get(&index, s, n);
    }
    if (r == L2_OK && v->byte_level)
        v->index = index;
    else
        l2_piece_index_release(&index);
    return r;
}
