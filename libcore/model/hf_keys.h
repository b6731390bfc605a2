/* Which keys of a config.json may stand there without being read. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_HF_KEYS_H
#define L2_HF_KEYS_H

#include <jansson.h>
#include <stdbool.h>

#include "util/err.h"

/* L2_UNSUPPORTED, with the key's name and value, where j has a key that neither l2_hf_config_read
 * reads nor is known to change nothing, with a value that says more than "not used" (null, false,
 * 0, or something empty). file is for the message. */
int l2_hf_keys_check(const json_t *j, const char *file, struct l2_err *err) L2_MUST_CHECK;

/* The same for the members of rope_scaling and rope_parameters, named key. */
int l2_hf_keys_check_rope(const json_t *rope, const char *key, const char *file,
                          struct l2_err *err) L2_MUST_CHECK;

/* Sets the error of a key and value that are not supported; returns L2_UNSUPPORTED. */
int l2_hf_key_unsupported(const char *key, const json_t *value, const char *file,
                          struct l2_err *err);

#endif
