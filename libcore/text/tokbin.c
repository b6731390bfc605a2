/* Reads a llama2.c tokenizer.bin: scores and texts of a SentencePiece vocabulary, without kinds. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "text/vocab_impl.h"
#include "util/num.h"

/* u32 length of the longest piece, then for each id: f32 score, u32 length, text. In the texts
 * U+2581 has become a space, and those of BOS and EOS have newlines around them. */
#define HEAD_SIZE 4
#define ROW_SIZE  8

/* Ids 0, 1 and 2 of every Llama vocabulary. */
enum { ID_UNKNOWN = 0, ID_BOS = 1, ID_EOS = 2, N_SPECIAL = 3 };

/* A length below 65536 and not 0: read as protobuf its last two zero bytes would be tags of field
 * 0. */
bool l2_tokbin_detect(const struct l2_map *m)
{
    if (m->size < HEAD_SIZE)
        return false;
    uint32_t longest = l2_get_u32le(m->data);
    return longest > 0 && longest < 65536;
}

static enum l2_piece_kind infer_kind(uint32_t id, const char *text, size_t n)
{
    if (id == ID_UNKNOWN)
        return L2_PIECE_UNKNOWN;
    if (id == ID_BOS || id == ID_EOS)
        return L2_PIECE_CONTROL;
    return l2_piece_byte(text, n) >= 0 ? L2_PIECE_BYTE : L2_PIECE_NORMAL;
}

/* text with a U+2581 for every space, appended to out. */
static int restore_spaces(struct l2_buf *out, const char *text, size_t n, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        if (text[i] == ' ')
            r = l2_buf_append(out, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err);
        else
            r = l2_buf_append_byte(out, (uint8_t)text[i], err);
    }
    return r;
}

static int read_row(struct l2_vocab *v, const struct l2_map *m, size_t *pos, uint32_t longest,
                    struct l2_buf *text, struct l2_err *err)
{
    size_t at = *pos;
    if (m->size - at < ROW_SIZE)
        return l2_err_at(err, L2_TRUNCATED, m->name, (int64_t)at,
                         "piece %u ends past the file: want %d bytes, got %zu", v->n, ROW_SIZE,
                         m->size - at);
    float score = l2_get_f32le(m->data + at);
    uint32_t n = l2_get_u32le(m->data + at + 4);
    if (n > longest)
        return l2_err_at(err, L2_CORRUPT, m->name, (int64_t)at,
                         "piece %u: want at most %u bytes, got %u", v->n, longest, n);
    if (n > m->size - at - ROW_SIZE)
        return l2_err_at(err, L2_TRUNCATED, m->name, (int64_t)at,
                         "piece %u ends past the file: want %u bytes, got %zu", v->n, n,
                         m->size - at - ROW_SIZE);
    const char *raw = (const char *)m->data + at + ROW_SIZE;
    enum l2_piece_kind kind = infer_kind(v->n, raw, n);
    text->len = 0;
    int r = restore_spaces(text, raw, n, err);
    if (r == L2_OK)
        r = l2_vocab_add(v, (const char *)text->data, text->len, score, kind, m->name, (int64_t)at,
                         err);
    *pos = at + ROW_SIZE + n;
    return r;
}

int l2_tokbin_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err)
{
    struct l2_buf text = {0};
    uint32_t longest = l2_get_u32le(m->data);
    size_t pos = HEAD_SIZE;
    int r = L2_OK;
    while (pos < m->size && r == L2_OK)
        r = read_row(v, m, &pos, longest, &text, err);
    l2_buf_release(&text);
    if (r != L2_OK)
        return r;
    if (v->n < N_SPECIAL)
        return l2_err_at(err, L2_TRUNCATED, m->name, (int64_t)m->size,
                         "tokenizer.bin: want at least %d pieces, got %u", N_SPECIAL, v->n);
    v->bos = ID_BOS;
    v->eos = ID_EOS;
    v->dummy_prefix = true;
    v->remove_extra_spaces = false;
    for (uint32_t id = 0; id < v->n; id++)
        if (v->pieces[id].kind == L2_PIECE_BYTE)
            v->byte_fallback = true;
    return L2_OK;
}
