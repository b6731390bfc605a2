/* JSON objects in model files: parsing whole texts, and typed access with errors that name the key.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_JSONFILE_H
#define L2_JSONFILE_H

#include <jansson.h>
#include <stdbool.h>
#include "util/err.h"

/* Parses text[0..n), which must be one JSON object without duplicate keys. file is for messages.
 * *out is owned, free with json_decref. */
int l2_jsonfile_parse(const void *text, size_t n, const char *file, json_t **out,
                      struct l2_err *err) L2_MUST_CHECK;

/* The same for a whole file. Larger than max bytes: L2_LIMIT. */
int l2_jsonfile_read(const char *path, size_t max, json_t **out, struct l2_err *err) L2_MUST_CHECK;

/* The same with all numbers as reals, for files with integers of any size. */
int l2_jsonfile_read_reals(const char *path, size_t max, json_t **out,
                           struct l2_err *err) L2_MUST_CHECK;

/* The member `key` of obj: where it is absent or null *out is left alone, where it is of another
 * type or out of range L2_CORRUPT. */
int l2_jsonfile_u32(const json_t *obj, const char *key, const char *file, uint32_t *out,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_jsonfile_real(const json_t *obj, const char *key, const char *file, double *out,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_jsonfile_bool(const json_t *obj, const char *key, const char *file, bool *out,
                     struct l2_err *err) L2_MUST_CHECK;

#endif
