/* Token ids to text, never half a character. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "text/encode.h"
#include "text/vocab_impl.h"
#include "util/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"

void l2_decoder_init(struct l2_decoder *d, const struct l2_vocab *v, bool continuation)
{
    *d = (struct l2_decoder){.vocab = v};
    d->at_start =
        !continuation && !v->keep_first_space && (v->dummy_prefix || v->remove_extra_spaces);
}

/* Puts out what is decided of the bytes held back: whole characters, and U+FFFD for each byte that
 * cannot begin one. With all, an unfinished character counts as such bytes. */
static int settle(struct l2_decoder *d, bool all, struct l2_buf *out, struct l2_err *err)
{
    int r = L2_OK;
    while (d->n_held > 0 && r == L2_OK) {
        size_t n = l2_utf8_length(d->held, d->n_held);
        if (n == 0 && !all && l2_utf8_incomplete(d->held, d->n_held))
            break;
        if (n > 0)
            r = l2_buf_append(out, d->held, n, err);
        else
            r = l2_buf_append_str(out, REPLACEMENT, err);
        n = n > 0 ? n : 1;
        d->n_held -= n;
        memmove(d->held, d->held + n, d->n_held);
    }
    return r;
}

/* Bytes that may begin and end inside a character. */
static int put_bytes(struct l2_decoder *d, const uint8_t *bytes, size_t n, struct l2_buf *out,
                     struct l2_err *err)
{
    int r = L2_OK;
    if (d->n_held == 0 && l2_utf8_valid((const char *)bytes, n, NULL))
        return l2_buf_append(out, bytes, n, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        d->held[d->n_held++] = (char)bytes[i];
        r = settle(d, false, out, err);
    }
    return r;
}

int l2_decode_id(struct l2_decoder *d, uint32_t id, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_vocab *v = d->vocab;
    const struct l2_piece *p = &v->pieces[id];
    if (v->byte_level)
        return p->bytes_len > 0 ? put_bytes(d, v->bytes.data + p->bytes, p->bytes_len, out, err)
                                : L2_OK;
    if (p->kind == L2_PIECE_BYTE) {
        d->at_start = false;
        d->held[d->n_held++] = (char)v->bytes.data[p->bytes];
        return settle(d, false, out, err);
    }
    int r = settle(d, true, out, err);
    if (r != L2_OK || p->bytes_len == 0)
        return r;
    const uint8_t *bytes = v->bytes.data + p->bytes;
    size_t n = p->bytes_len;
    if (d->at_start) {
        bool space = p->text_len >= L2_SPACE_SYMBOL_LEN &&
                     memcmp(v->text.data + p->text, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN) == 0;
        bytes += space;
        n -= space;
        /* where all leading spaces were removed, those of further pieces go as well */
        d->at_start = n == 0 && v->remove_extra_spaces;
    }
    return l2_buf_append(out, bytes, n, err);
}

int l2_decode_finish(struct l2_decoder *d, struct l2_buf *out, struct l2_err *err)
{
    return settle(d, true, out, err);
}

int l2_decode(const struct l2_vocab *v, const uint32_t *ids, size_t n, bool continuation,
              struct l2_buf *out, struct l2_err *err)
{
    struct l2_decoder d;
    l2_decoder_init(&d, v, continuation);
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = l2_decode_id(&d, ids[i], out, err);
    return r == L2_OK ? l2_decode_finish(&d, out, err) : r;
}
