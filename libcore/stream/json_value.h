/* Values out of jansson's JSON into an arena, with errors that say the way to the value; internal
 * to the reader of JSON items. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_JSON_VALUE_H
#define L2_JSON_VALUE_H

#include "stream/json.h"

enum { L2_JSON_MAX_STEPS = 8 };

/* Where an object is read to, and the way to the value that is being read. */
struct l2_json_in {
    struct l2_arena *arena;
    struct l2_err *err;
    struct l2_buf scratch; /* unknown fields as they are gathered */
    struct l2_json_step step[L2_JSON_MAX_STEPS];
    size_t n_steps;
    const struct l2_id *default_id; /* or NULL */
};

void l2_json_enter_key(struct l2_json_in *in, const char *key);
void l2_json_enter_index(struct l2_json_in *in, size_t i);

/* An L2_FORMAT error at the present way. Readers return on errors without leaving what they
 * entered, so that the way still says where it was. */
int l2_json_fail(struct l2_json_in *in, const char *fact) L2_MUST_CHECK;
int l2_json_wrong_type(struct l2_json_in *in, const char *want, const json_t *got) L2_MUST_CHECK;
/* Puts the present way before an error from below, of this code. */
int l2_json_fail_below(struct l2_json_in *in, int code) L2_MUST_CHECK;

/* Values of known types; what they point to is in the arena. */
int l2_json_get_str(struct l2_json_in *in, const json_t *j, struct l2_str *out) L2_MUST_CHECK;
int l2_json_get_i64(struct l2_json_in *in, const json_t *j, int64_t *out) L2_MUST_CHECK;
/* Also {"$cbor": "1b..."}, which stands for integers that JSON has no room for. */
int l2_json_get_u64(struct l2_json_in *in, const json_t *j, uint64_t *out) L2_MUST_CHECK;
int l2_json_get_f64(struct l2_json_in *in, const json_t *j, double *out) L2_MUST_CHECK;
int l2_json_get_f32(struct l2_json_in *in, const json_t *j, float *out) L2_MUST_CHECK;
int l2_json_get_u32s(struct l2_json_in *in, const json_t *j, struct l2_u32s *out) L2_MUST_CHECK;
int l2_json_get_f32s(struct l2_json_in *in, const json_t *j, struct l2_f32s *out) L2_MUST_CHECK;
/* A vector, or a matrix as an array of its rows; *rows is set for a matrix only. */
int l2_json_get_embedding(struct l2_json_in *in, const json_t *j, struct l2_f32s *out,
                          size_t *rows) L2_MUST_CHECK;

/* Reads the value of a known key and returns L2_OK; returns L2_END for an unknown one. */
typedef int l2_json_field(struct l2_json_in *in, void *to, const char *key, const json_t *value);

/* Reads every pair of object j by field (NULL: none is known); unknown ones are kept as CBOR in
 * *other. level is that of the values, in a record. */
int l2_json_get_object(struct l2_json_in *in, const json_t *j, l2_json_field *field, void *to,
                       unsigned level, struct l2_fields *other) L2_MUST_CHECK;
/* Moves the n pairs or items that were gathered in scratch from begin on to out. */
int l2_json_keep_scratch(struct l2_json_in *in, size_t begin, size_t n,
                         struct l2_fields *out) L2_MUST_CHECK;

#endif
