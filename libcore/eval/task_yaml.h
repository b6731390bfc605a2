/* YAML documents as JSON values. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TASK_YAML_H
#define L2_TASK_YAML_H

#include <jansson.h>
#include "util/err.h"

/* The one document in text[0..n), a mapping; plain scalars that are numbers, true, false and null
 * become such, others texts. Syntax errors, duplicate keys, keys that are no texts and what nests
 * too deep have file:line:column. *out is owned, free with json_decref. */
int l2_task_yaml(const char *text, size_t n, const char *file, json_t **out,
                 struct l2_err *err) L2_MUST_CHECK;

#endif
