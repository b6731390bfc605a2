/* JSON in and out, lossless in value; jansson reads, numbers are written in shortest form. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_JSON_H
#define L2_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include "stream/record.h"
#include "util/buf.h"

/* Parses one JSON value from text[0..n). Errors carry file, line (added to first_line - 1) and column.
 * Duplicate keys, NaN, numbers out of range, lone surrogates, invalid UTF-8, trailing text: errors.
 * *out is owned, free with json_decref. */
int l2_json_parse(const char *text, size_t n, const char *file, int64_t first_line, json_t **out,
                  struct l2_err *err) L2_MUST_CHECK;

/* Appends s as a JSON string with its quotes; UTF-8 stays as it is, controls are escaped. */
int l2_json_put_str(struct l2_buf *out, const char *s, size_t n, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_f64(struct l2_buf *out, double v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_f32(struct l2_buf *out, float v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_i64(struct l2_buf *out, int64_t v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_u64(struct l2_buf *out, uint64_t v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_id(struct l2_buf *out, const struct l2_id *id, struct l2_err *err) L2_MUST_CHECK;

/* Appends ,"key":value for each of the fields (a leading comma only where *first is false; updates
 * *first). CBOR that JSON has no value for (byte strings, tags, non-finite numbers) is written as
 * {"$cbor": "hex"}. */
int l2_json_put_fields(struct l2_buf *out, const struct l2_fields *f, bool *first,
                       struct l2_err *err) L2_MUST_CHECK;

/* Appends j's encoding as CBOR (and {"$cbor": "hex"} as what it stands for). */
int l2_json_to_cbor(struct l2_buf *out, const json_t *j, struct l2_err *err) L2_MUST_CHECK;

/* One key/value pair as fields appended to out, for building meta from a JSON object. */
int l2_json_pair_to_cbor(struct l2_buf *out, const char *key, const json_t *value,
                         struct l2_err *err) L2_MUST_CHECK;

/* The whole record as one JSON object without line breaks, keys as on the wire, token ids as numbers
 * (l2-cat --json), and back. The round trip is exact. */
int l2_record_to_json(struct l2_buf *out, const struct l2_record *r, struct l2_err *err)
    L2_MUST_CHECK;
int l2_record_from_json(const json_t *j, struct l2_record *r, struct l2_err *err) L2_MUST_CHECK;

#endif
