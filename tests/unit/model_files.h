/* Small checkpoints for unit tests of the readers. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_MODEL_FILES_H
#define L2_TEST_MODEL_FILES_H

#include <stddef.h>

#include "util/err.h"

/* A file of tests/golden/checkpoint, NUL-terminated, to be freed. */
char *model_golden(const char *name, size_t *n);
/* Copies dir/name of tests/golden/checkpoint into the directory `to`. */
void model_copy(const char *to, const char *dir, const char *name);

/* Writes dir/config.json for hf-f32's tensors, with more members; architectures may be among them.
 */
void model_write_config(const char *dir, const char *more);

/* Opens the model and closes it. */
int model_try(const char *path, struct l2_err *err);
/* Opens the model and wants this failure, with text in its sentence. */
void assert_model_fails(const char *path, int code, const char *text);

#endif
