/* Records, headers and ENDs as CBOR items, on memory. See l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CODEC_H
#define L2_CODEC_H

#include "stream/cbor.h"
#include "stream/stream.h"

/* Append the item to out, deterministically: known fields in the order of l2-stream(5), then the
 * others as they were read. What a reader would refuse (NaN, text that is not UTF-8, spans out of
 * order, a series that is not as long as the tokens) is L2_ARGUMENT, and out stays as it was. */
int l2_encode_record(struct l2_buf *out, const struct l2_record *r,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_encode_header(struct l2_buf *out, const struct l2_header *h,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_encode_end(struct l2_buf *out, const struct l2_stream_end *end,
                  struct l2_err *err) L2_MUST_CHECK;

/* Length of the one CBOR item at data[0..n): well formed with definite or indefinite lengths within
 * n, UTF-8 checked, text keys only and none twice, depth bounded. Error offsets are relative to
 * data. */
int l2_cbor_item(const uint8_t *data, size_t n, size_t *item_len, struct l2_err *err) L2_MUST_CHECK;

/* Which kind of item this is, by its first key ("magic": header, "complete": END, "id": record). */
int l2_item_kind(const uint8_t *data, size_t n, enum l2_item *kind,
                 struct l2_err *err) L2_MUST_CHECK;

/* Decode the item of exactly n bytes. Everything is copied into the target's arena; the target is
 * reset first. */
int l2_decode_record(const uint8_t *data, size_t n, struct l2_record *r,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_decode_header(const uint8_t *data, size_t n, struct l2_header *h,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_decode_end(const uint8_t *data, size_t n, struct l2_stream_end *end,
                  struct l2_err *err) L2_MUST_CHECK;

/* The same, for the next item of c: what follows it is left alone. */
int l2_read_record(struct l2_cbor *c, struct l2_record *r, struct l2_err *err) L2_MUST_CHECK;
int l2_read_header(struct l2_cbor *c, struct l2_header *h, struct l2_err *err) L2_MUST_CHECK;
int l2_read_end(struct l2_cbor *c, struct l2_stream_end *end, struct l2_err *err) L2_MUST_CHECK;

/* True when all ids of r are below size; else *bad is one that is not. */
bool l2_record_ids_below(const struct l2_record *r, uint32_t size, uint32_t *bad);

/* True when spans are pairs in order, without overlap, within n ids. */
bool l2_spans_valid(const struct l2_u32s *spans, size_t n);

#endif
