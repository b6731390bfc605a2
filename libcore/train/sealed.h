/* Checkpoint files: content, then its SHA-256; a file appears under its name only when it is whole.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SEALED_H
#define L2_SEALED_H

#include "util/map.h"
#include "util/newfile.h"
#include "util/sha256.h"

/* Caller's storage. */
struct l2_sealed {
    struct l2_newfile file;
    struct l2_sha256 sha;
};

/* A file that will take path's place. */
int l2_sealed_begin(struct l2_sealed *s, const char *path, struct l2_err *err) L2_MUST_CHECK;
int l2_sealed_put(struct l2_sealed *s, const void *data, size_t n,
                  struct l2_err *err) L2_MUST_CHECK;
/* Arrays of f32 and of bf16 (as bits), little-endian. */
int l2_sealed_put_f32(struct l2_sealed *s, const float *v, size_t n,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_sealed_put_u16(struct l2_sealed *s, const uint16_t *v, size_t n,
                      struct l2_err *err) L2_MUST_CHECK;
/* With r L2_OK the hash is written, and the file closed as l2_newfile_close does; else it is
 * removed. Returns the first failure. */
int l2_sealed_end(struct l2_sealed *s, int r, struct l2_err *err) L2_MUST_CHECK;

/* Files begin with a magic of 8 bytes and a version (u64); head bytes in all, and the hash, are
 * there at least. L2_FORMAT where it is not `what`, L2_UNSUPPORTED where it is of another version.
 */
int l2_sealed_head(const struct l2_map *map, const char magic[8], int version, size_t head,
                   const char *what, struct l2_err *err) L2_MUST_CHECK;
/* L2_CORRUPT where the last bytes of the file, whose head was seen to be there, are not the hash of
 * those before. */
int l2_sealed_check(const struct l2_map *map, struct l2_err *err) L2_MUST_CHECK;

#endif
