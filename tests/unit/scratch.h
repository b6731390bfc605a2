/* Scratch directories and files for unit tests. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_SCRATCH_H
#define L2_TEST_SCRATCH_H

#include <stddef.h>

#define SCRATCH_PATH 1024

/* A new directory under $TMPDIR or /tmp, into out; scratch_remove deletes it with all that is in
 * it. */
void scratch_make(char out[SCRATCH_PATH]);
void scratch_remove(const char *dir);

/* The same for a group of tests: a directory that they share. */
extern char scratch[SCRATCH_PATH];
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* "dir/name" in a static buffer; two results are valid at a time. */
const char *scratch_path(const char *dir, const char *name);

void scratch_write(const char *dir, const char *name, const void *data, size_t n);
void scratch_write_str(const char *dir, const char *name, const char *text);

/* The whole file, NUL-terminated, to be freed. */
char *scratch_read(const char *path, size_t *n);

/* A file of the source tree ($L2_SRC, else the current directory). Static buffer. */
const char *source_path(const char *name);
/* A file of the shared data, or NULL where there is none. Static buffer. */
const char *shared_path(const char *name);

#endif
