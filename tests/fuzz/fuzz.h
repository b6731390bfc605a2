/* What the fuzz targets share. A target is a file fuzz_THING.c with LLVMFuzzerTestOneInput; it is
 * linked with libFuzzer (configure CC=clang --enable-fuzz), or with replay.c. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FUZZ_H
#define L2_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What must hold whatever the input; not compiled out. */
#define FUZZ_CHECK(what)                                                                           \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A file that holds data, for readers that want a path; the next call with the same name replaces
 * it. Static buffer. Files lie in a directory that is removed at exit. */
const char *fuzz_file(const char *name, const uint8_t *data, size_t n);
/* That directory. */
const char *fuzz_dir(void);

#endif
