/* Records, headers and ENDs as CBOR items, on memory. See l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CODEC_H
#define L2_CODEC_H

#include "stream/stream.h"
#include "util/buf.h"

#define L2_CBOR_MAX_DEPTH 64

/* Appends the item to out. */
int l2_encode_record(struct l2_buf *out, const struct l2_record *r, struct l2_err *err)
    L2_MUST_CHECK;
int l2_encode_header(struct l2_buf *out, const struct l2_header *h, struct l2_err *err)
    L2_MUST_CHECK;
int l2_encode_end(struct l2_buf *out, const struct l2_stream_end *end, struct l2_err *err)
    L2_MUST_CHECK;

/* Length of the one well-formed CBOR item at data[0..n): definite or indefinite lengths within n, UTF-8
 * checked, no duplicate keys in maps, depth bounded, text keys only. Error offsets are relative to
 * data. */
int l2_cbor_item(const uint8_t *data, size_t n, size_t *item_len, struct l2_err *err) L2_MUST_CHECK;

/* Which kind of item this is, by its first key ("l2s": header, "complete": END, "id": record). */
int l2_item_kind(const uint8_t *data, size_t n, enum l2_item *kind, struct l2_err *err)
    L2_MUST_CHECK;

/* Decode the item of exactly n bytes. Everything is copied into the target's arena. */
int l2_decode_record(const uint8_t *data, size_t n, struct l2_record *r, struct l2_err *err)
    L2_MUST_CHECK;
int l2_decode_header(const uint8_t *data, size_t n, struct l2_header *h, struct l2_err *err)
    L2_MUST_CHECK;
int l2_decode_end(const uint8_t *data, size_t n, struct l2_stream_end *end, struct l2_err *err)
    L2_MUST_CHECK;

#endif
