/* Looking into fields that otherwise travel as they are (meta above all). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FIELDS_H
#define L2_FIELDS_H

#include "stream/cbor.h"
#include "stream/record.h"

/* The head of the value of key in *item (for text its content too). *found is false when there is
 * no such key. */
int l2_fields_find(const struct l2_fields *f, const char *key, bool *found,
                   struct l2_cbor_item *item, struct l2_err *err) L2_MUST_CHECK;

/* True only where key is there and is true (CBOR true, not 1 or "true"). */
int l2_fields_is_true(const struct l2_fields *f, const char *key, bool *out,
                      struct l2_err *err) L2_MUST_CHECK;

/* Appends the value of key as a label for tables: text as it is, numbers and truth values in JSON's
 * form, the kind in parentheses for anything else, "(none)" where there is no such key. */
int l2_fields_label(const struct l2_fields *f, const char *key, struct l2_buf *out,
                    struct l2_err *err) L2_MUST_CHECK;

/* Gives key the value that is the one CBOR item at value[0..n), in the place of the one that it has
 * or at the end. The new fields are in arena; the old bytes stay as they were. */
int l2_fields_set(struct l2_fields *f, struct l2_arena *arena, const char *key, const void *value,
                  size_t n, struct l2_err *err) L2_MUST_CHECK;
/* Takes key and its value out, where it is there. */
int l2_fields_drop(struct l2_fields *f, struct l2_arena *arena, const char *key,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
