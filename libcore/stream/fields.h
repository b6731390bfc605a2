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

#endif
