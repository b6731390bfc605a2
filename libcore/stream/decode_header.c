/* Headers and ENDs from CBOR. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "stream/codec.h"
#include "stream/decode.h"

static int vocabulary_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_header *h = to;
    struct l2_cbor_item item;
    int r;
    if (i == 0) {
        uint64_t size;
        size_t at = d->c->pos;
        if ((r = l2_dec_uint(d, "size", &size)) != L2_OK)
            return r;
        if (size == 0 || size > UINT32_MAX)
            return l2_dec_wrong(d, at, "size", "want 1 to 2^32-1 pieces");
        h->vocab_size = (uint32_t)size;
        return L2_OK;
    }
    r = l2_dec_next_of(d, L2_CBOR_BYTES, "hash", "a byte string", &item);
    if (r == L2_OK && item.n != sizeof h->vocab_hash)
        return l2_dec_wrong(d, item.at, "hash", "want 32 bytes");
    if (r == L2_OK)
        memcpy(h->vocab_hash, item.bytes, sizeof h->vocab_hash);
    return r;
}

static int get_vocabulary(struct l2_decoder *d, struct l2_header *h)
{
    static const char *const names[] = {"size", "hash"};
    static const struct l2_decoder_map map = {"vocabulary", names, 2, vocabulary_field};
    struct l2_cbor_item item;
    struct l2_fields other = {0};
    unsigned seen;
    int r = l2_cbor_next(d->c, &item, d->err);
    if (r != L2_OK || item.kind == L2_CBOR_NULL)
        return r;
    h->has_vocab = true;
    r = l2_dec_map(d, &item, &map, h, &seen, &other);
    if (r == L2_OK && (seen != 3 || other.n > 0))
        return l2_dec_wrong(d, item.at, "vocabulary", "want size and hash alone");
    return r;
}

static int get_history(struct l2_decoder *d, struct l2_header *h)
{
    struct l2_cbor_item item;
    struct l2_cbor_seq seq;
    size_t n = 0;
    int r = l2_dec_next_of(d, L2_CBOR_ARRAY, "history", "an array", &item);
    if (r != L2_OK)
        return r;
    size_t begin = d->c->pos, end = begin;
    l2_cbor_open(d->c, &item, &seq);
    while ((r = l2_cbor_element(d->c, &seq, &item, d->err)) == L2_OK) {
        if (item.kind != L2_CBOR_MAP)
            return l2_dec_wrong_type(d, "history", "maps", &item);
        if ((r = l2_cbor_skip(d->c, &item, d->err)) != L2_OK)
            return r;
        end = d->c->pos;
        n++;
    }
    if (r != L2_END || n == 0)
        return r == L2_END ? L2_OK : r;
    uint8_t *v = l2_arena_alloc(d->arena, end - begin, 1, d->err);
    if (!v)
        return L2_MEMORY;
    memcpy(v, d->c->data + begin, end - begin);
    h->history = (struct l2_fields){v, end - begin, n};
    return L2_OK;
}

static int header_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_cbor_item item;
    switch (i) {
    case 0: /* magic and version have been checked */
    case 1:
        return l2_cbor_next(d->c, &item, d->err);
    case 2:
        return get_vocabulary(d, to);
    default:
        return get_history(d, to);
    }
}

/* magic and version stand first, so that a reader can tell them before anything that another
 * version may have changed. */
static int check_version(const struct l2_cbor *c, struct l2_err *err)
{
    struct l2_cbor peek = {.data = c->data, .n = c->n, .pos = c->pos};
    struct l2_cbor_item item[5]; /* the map, key, magic, key, version */
    for (int i = 0; i < 5; i++) {
        int r = l2_cbor_next(&peek, &item[i], err);
        if (r != L2_OK)
            return r;
    }
    if (!l2_dec_is_text(&item[1], "magic") || !l2_dec_is_text(&item[2], "l2s"))
        return l2_err_at(err, L2_FORMAT, NULL, (int64_t)item[1].at,
                         "not an l2 stream: want magic 'l2s' first in the header");
    if (!l2_dec_is_text(&item[3], "version") || item[4].kind != L2_CBOR_UINT)
        return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)item[3].at,
                         "header: want version, an integer, as its second field");
    if (item[4].value != L2_STREAM_VERSION)
        return l2_err_at(err, L2_UNSUPPORTED, NULL, (int64_t)item[4].at,
                         "stream version %llu is not supported, only version %d",
                         (unsigned long long)item[4].value, L2_STREAM_VERSION);
    return L2_OK;
}

int l2_read_header(struct l2_cbor *c, struct l2_header *h, struct l2_err *err)
{
    static const char *const names[] = {"magic", "version", "vocabulary", "history"};
    static const struct l2_decoder_map map = {"header", names, 4, header_field};
    struct l2_decoder d = {c, &h->arena, err};
    struct l2_cbor_item item;
    unsigned seen;
    l2_header_reset(h);
    int r = check_version(c, err);
    if (r == L2_OK)
        r = l2_cbor_next(c, &item, err);
    if (r == L2_OK)
        r = l2_dec_map(&d, &item, &map, h, &seen, &h->other);
    if (r == L2_OK && seen != 15)
        return l2_dec_wrong(&d, item.at, "header", "want magic, version, vocabulary and history");
    return r;
}

/* Copies what fits, never half a character. */
static void copy_cut(char *out, size_t size, const uint8_t *s, size_t n)
{
    if (n >= size)
        for (n = size - 1; n > 0 && (s[n] & 0xc0) == 0x80;)
            n--;
    memcpy(out, s, n);
    out[n] = '\0';
}

static int end_field(void *to, struct l2_decoder *d, unsigned i)
{
    struct l2_stream_end *end = to;
    struct l2_cbor_item item;
    int r;
    switch (i) {
    case 0:
        r = l2_cbor_next(d->c, &item, d->err);
        if (r == L2_OK && item.kind != L2_CBOR_TRUE && item.kind != L2_CBOR_FALSE)
            return l2_dec_wrong_type(d, "complete", "true or false", &item);
        end->complete = item.kind == L2_CBOR_TRUE;
        return r;
    case 1:
        return l2_dec_uint(d, "records", &end->records);
    case 2:
        return l2_dec_uint(d, "tokens", &end->tokens);
    default:
        r = l2_dec_next_of(d, L2_CBOR_TEXT, "error", "text", &item);
        if (r == L2_OK && memchr(item.bytes, 0, item.n))
            return l2_dec_wrong(d, item.at, "error", "text with a NUL");
        if (r == L2_OK)
            copy_cut(end->error, sizeof end->error, item.bytes, item.n);
        return r;
    }
}

int l2_read_end(struct l2_cbor *c, struct l2_stream_end *end, struct l2_err *err)
{
    static const char *const names[] = {"complete", "records", "tokens", "error"};
    static const struct l2_decoder_map map = {"END", names, 4, end_field};
    struct l2_decoder d = {c, NULL, err};
    struct l2_cbor_item item;
    unsigned seen;
    *end = (struct l2_stream_end){0};
    int r = l2_cbor_next(c, &item, err);
    if (r == L2_OK)
        r = l2_dec_map(&d, &item, &map, end, &seen, NULL);
    if (r != L2_OK)
        return r;
    if ((seen & 7) != 7)
        return l2_dec_wrong(&d, item.at, "END", "want complete, records and tokens");
    if (end->complete && (seen & 8))
        return l2_dec_wrong(&d, item.at, "END", "complete, but with an error");
    return L2_OK;
}
