/* Decoding of CBOR items into structures: what records, headers and ENDs share. Private to stream.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_DECODE_H
#define L2_DECODE_H

#include "stream/cbor.h"
#include "stream/record.h"

/* Where one item is decoded from and to. */
struct l2_decoder {
    struct l2_cbor *c;
    struct l2_arena *arena; /* of what is decoded; NULL for END, which needs none */
    struct l2_err *err;
};

/* A map whose known keys are names[0..n_names); field(to, d, i) decodes the value of names[i]. */
struct l2_decoder_map {
    const char *what; /* for messages */
    const char *const *names;
    unsigned n_names; /* at most 15 */
    int (*field)(void *to, struct l2_decoder *d, unsigned i);
};

/* Reads a map whose head, item, has been read. *seen gets bit i for names[i]. other gets the
 * unknown fields as they are; NULL drops them. A known key that occurs twice is an error. */
int l2_dec_map(struct l2_decoder *d, const struct l2_cbor_item *item,
               const struct l2_decoder_map *m, void *to, unsigned *seen,
               struct l2_fields *other) L2_MUST_CHECK;

/* The next value, which must be of the type that the name says; field is for messages. Arrays, text
 * and fields are copied into the arena; floats are finite. */
int l2_dec_text(struct l2_decoder *d, const char *field, struct l2_str *out) L2_MUST_CHECK;
int l2_dec_uint(struct l2_decoder *d, const char *field, uint64_t *out) L2_MUST_CHECK;
int l2_dec_f64(struct l2_decoder *d, const char *field, double *out) L2_MUST_CHECK;
int l2_dec_u32s(struct l2_decoder *d, const char *field, struct l2_u32s *out) L2_MUST_CHECK;
int l2_dec_f32s(struct l2_decoder *d, const char *field, struct l2_f32s *out) L2_MUST_CHECK;
/* A vector, or a matrix of *rows rows. */
int l2_dec_embedding(struct l2_decoder *d, struct l2_f32s *out, size_t *rows) L2_MUST_CHECK;
/* A map of anything. */
int l2_dec_fields(struct l2_decoder *d, const char *field, struct l2_fields *out) L2_MUST_CHECK;

/* The next head, which must be of this kind; want is its name for messages. */
int l2_dec_next_of(struct l2_decoder *d, enum l2_cbor_kind kind, const char *field,
                   const char *want, struct l2_cbor_item *item) L2_MUST_CHECK;
/* item, which has been read, as an integer of 64 bits with sign. */
int l2_dec_to_int(struct l2_decoder *d, const char *field, const struct l2_cbor_item *item,
                  int64_t *out) L2_MUST_CHECK;
/* True when item is this text. */
bool l2_dec_is_text(const struct l2_cbor_item *item, const char *s);

/* L2_CORRUPT: "field: want X, got Y", or "field: why", at an offset in the data. */
int l2_dec_wrong_type(struct l2_decoder *d, const char *field, const char *want,
                      const struct l2_cbor_item *got);
int l2_dec_wrong(struct l2_decoder *d, size_t at, const char *field, const char *why);

#endif
