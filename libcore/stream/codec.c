/* Whole items on memory: their kinds and lengths, decoding with nothing left over, the range of
 * ids. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/codec.h"

#include <string.h>

#include "stream/decode.h"

/* ---- ids ---- */

/* Ids are all below size nearly always, so first it is asked for many at once whether one is not:
 * bit 31 of v | (size - 1 - v) says so for size <= 2^31. Compilers make vectors of the inner loop.
 */
static bool below(const struct l2_u32s *a, uint32_t size, uint32_t *bad)
{
    enum { LANES = 16 };
    uint32_t any[LANES] = {0}, top = 0;
    size_t i = 0;
    for (; a->n - i >= LANES; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            any[k] |= a->v[i + k] | (size - 1 - a->v[i + k]);
    for (size_t k = 0; k < LANES; k++)
        top |= any[k];
    if (size > (uint32_t)1 << 31 || top >> 31)
        i = 0;
    for (; i < a->n; i++) {
        if (a->v[i] >= size) {
            *bad = a->v[i];
            return false;
        }
    }
    return true;
}

bool l2_record_ids_below(const struct l2_record *r, uint32_t size, uint32_t *bad)
{
    bool good = below(&r->prompt, size, bad);
    for (size_t i = 0; i < r->n_completions && good; i++)
        good = below(&r->completions[i].tokens, size, bad);
    return good;
}

/* ---- whole items ---- */

int l2_cbor_item(const uint8_t *data, size_t n, size_t *item_len, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    struct l2_cbor_item item;
    *item_len = 0;
    int r = l2_cbor_next(&c, &item, err);
    if (r == L2_OK)
        r = l2_cbor_skip(&c, &item, err);
    if (r == L2_OK)
        *item_len = c.pos;
    l2_buf_release(&c.keys);
    return r;
}

int l2_item_kind(const uint8_t *data, size_t n, enum l2_item *kind, struct l2_err *err)
{
    static const struct {
        const char *key;
        enum l2_item kind;
    } kinds[] = {{"id", L2_ITEM_RECORD}, {"magic", L2_ITEM_HEADER}, {"complete", L2_ITEM_END}};
    struct l2_cbor c = {.data = data, .n = n};
    struct l2_cbor_item item;
    int r = l2_cbor_next(&c, &item, err);
    if (r != L2_OK)
        return r;
    if (item.kind == L2_CBOR_MAP && (item.indefinite || item.value > 0)) {
        if ((r = l2_cbor_next(&c, &item, err)) != L2_OK)
            return r;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            if (l2_dec_is_text(&item, kinds[i].key)) {
                *kind = kinds[i].kind;
                return L2_OK;
            }
        }
    }
    return l2_err_at(err, L2_CORRUPT, NULL, (int64_t)item.at,
                     "want a map that begins with magic, id or complete");
}

/* Fails where c has not come to its end. */
static int whole(struct l2_cbor *c, int r, struct l2_err *err)
{
    if (r == L2_OK && c->pos != c->n)
        r = l2_err_at(err, L2_CORRUPT, NULL, (int64_t)c->pos, "%zu bytes after the item",
                      c->n - c->pos);
    l2_buf_release(&c->keys);
    return r;
}

int l2_decode_record(const uint8_t *data, size_t n, struct l2_record *r, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_record(&c, r, err), err);
}

int l2_decode_header(const uint8_t *data, size_t n, struct l2_header *h, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_header(&c, h, err), err);
}

int l2_decode_end(const uint8_t *data, size_t n, struct l2_stream_end *end, struct l2_err *err)
{
    struct l2_cbor c = {.data = data, .n = n};
    return whole(&c, l2_read_end(&c, end, err), err);
}
