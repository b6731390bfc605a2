/* The safetensors format: a JSON header that says where each tensor lies, then the bytes. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SAFETENSORS_H
#define L2_SAFETENSORS_H

#include <jansson.h>
#include "util/buf.h"
#include "util/map.h"

/* Bytes of a header at most, as in the reference implementation. */
#define L2_ST_MAX_HEADER ((size_t)100000000)
#define L2_ST_MAX_DIMS   8

struct l2_st_entry {
    const char *name;  /* borrowed from the file's header */
    const char *dtype; /* "F32", ...; one that has a known size; borrowed */
    size_t n_dims;
    uint64_t shape[L2_ST_MAX_DIMS];
    size_t begin, end; /* byte offsets in the map: end - begin is what shape and dtype want */
};

/* Caller's storage. */
struct l2_st_file {
    struct l2_st_entry *entries; /* in order of begin; owned */
    size_t n;
    json_t *header; /* owned */
};

/* Reads and checks the header of the mapped file: when this returns L2_OK the tensors cover the
 * bytes after the header exactly, without holes, overlaps or duplicate names. */
int l2_st_read(struct l2_st_file *out, const struct l2_map *map, struct l2_err *err) L2_MUST_CHECK;
void l2_st_release(struct l2_st_file *f);

/* Writing: begin, add every tensor in the order of its bytes, end. out then holds the header with
 * its length field, padded so that the data begins at a multiple of 8. */
struct l2_st_writer {
    struct l2_buf *out;
    uint64_t offset; /* bytes of the tensors added so far */
};
int l2_st_write_begin(struct l2_st_writer *w, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
/* A tensor (rows, cols) of bytes bytes, or (cols) where rows is 0. */
int l2_st_write_add(struct l2_st_writer *w, const char *name, const char *dtype, uint32_t rows,
                    uint32_t cols, uint64_t bytes, struct l2_err *err) L2_MUST_CHECK;
int l2_st_write_end(struct l2_st_writer *w, struct l2_err *err) L2_MUST_CHECK;

#endif
