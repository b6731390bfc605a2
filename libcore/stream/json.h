/* JSON in and out, lossless in value; jansson reads, numbers are written in shortest form. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_JSON_H
#define L2_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include "stream/stream.h"
#include "util/buf.h"

/* Parses one JSON value from text[0..n). Errors carry file, line (added to first_line - 1) and
 * column. Duplicate keys, NaN, numbers out of range, lone surrogates, invalid UTF-8, trailing text:
 * errors. *out is owned, free with json_decref. */
int l2_json_parse(const char *text, size_t n, const char *file, int64_t first_line, json_t **out,
                  struct l2_err *err) L2_MUST_CHECK;

/* Appends s as a JSON string with its quotes; UTF-8 stays as it is, controls are escaped. */
int l2_json_put_str(struct l2_buf *out, const char *s, size_t n, struct l2_err *err) L2_MUST_CHECK;
/* Finite numbers, in the fewest digits that l2_json_parse reads back as the same value. */
int l2_json_put_f64(struct l2_buf *out, double v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_f32(struct l2_buf *out, float v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_i64(struct l2_buf *out, int64_t v, struct l2_err *err) L2_MUST_CHECK;
/* From 2^63 on as {"$cbor": "hex"}, because readers of JSON keep integers in 64 bits with sign. */
int l2_json_put_u64(struct l2_buf *out, uint64_t v, struct l2_err *err) L2_MUST_CHECK;
int l2_json_put_id(struct l2_buf *out, const struct l2_id *id, struct l2_err *err) L2_MUST_CHECK;

/* Appends ,"key":value for each of the fields (a leading comma only where *first is false; updates
 * *first). CBOR that JSON has no value for (byte strings, tags, non-finite numbers) is written as
 * {"$cbor": "hex"}. */
int l2_json_put_fields(struct l2_buf *out, const struct l2_fields *f, bool *first,
                       struct l2_err *err) L2_MUST_CHECK;

/* Appends the CBOR items of data[0..n) as JSON, with commas between. */
int l2_json_put_items(struct l2_buf *out, const uint8_t *data, size_t n,
                      struct l2_err *err) L2_MUST_CHECK;

/* Appends j's encoding as CBOR (and {"$cbor": "hex"} as what it stands for). level is where in a
 * record the value will stand, counted as in l2-stream(5): 3 in a record's meta. */
int l2_json_to_cbor(struct l2_buf *out, const json_t *j, unsigned level,
                    struct l2_err *err) L2_MUST_CHECK;

/* The pairs of a JSON object, but for those of the n_without keys, become rec's meta; it stays as
 * it is where there are none. */
int l2_json_to_meta(const json_t *object, const char *const *without, size_t n_without,
                    struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* Items as one JSON object each without line breaks, keys as on the wire, token ids as numbers
 * (l2-cat --json): the JSON form of l2-stream(5). The round trip is exact in value. */
int l2_record_to_json(struct l2_buf *out, const struct l2_record *r,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_header_to_json(struct l2_buf *out, const struct l2_header *h,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_stream_end_to_json(struct l2_buf *out, const struct l2_stream_end *end,
                          struct l2_err *err) L2_MUST_CHECK;

/* And back; the target is reset first. An error's text names the field. */
int l2_record_from_json(const json_t *j, struct l2_record *r, struct l2_err *err) L2_MUST_CHECK;

/* One line of the JSON form: parses it, sets *kind (by its first key), and fills r, h or end (the
 * two others may be NULL where that kind is not expected: then it is an error). Errors carry
 * file:line:column. */
struct l2_json_line {
    const char *text;
    size_t n;
    const char *file;
    int64_t line;
    const struct l2_id *default_id; /* of a record without an id; NULL: that is an error */
};
int l2_json_read_item(const struct l2_json_line *line, enum l2_item *kind, struct l2_record *r,
                      struct l2_header *h, struct l2_stream_end *end,
                      struct l2_err *err) L2_MUST_CHECK;

/* A step into a JSON value: a key, or (key NULL) an index. */
struct l2_json_step {
    const char *key;
    size_t index;
};
/* The column, counted in characters from 1, at which the value at the end of these steps begins in
 * text, which is valid JSON on one line; 0 where there is none. */
int64_t l2_json_column(const char *text, size_t n, const struct l2_json_step *steps,
                       size_t n_steps);

#endif
