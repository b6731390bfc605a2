/* Writing GGUF containers, version 3: metadata first, then the directory of tensors; their bytes
 * are the caller's to write. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GGUF_BUILD_H
#define L2_GGUF_BUILD_H

#include "util/buf.h"
#include "util/gguf.h"

/* Tensors begin at multiples of it, after the directory and each other; what is between is 0. */
#define L2_GGUF_ALIGNMENT 32

/* Metadata that has been encoded. Caller's storage, all zero is empty; release bytes. */
struct l2_gguf_values {
    struct l2_buf bytes;
    uint64_t n;
};

/* Each appends one key. */
int l2_gguf_put_u32(struct l2_gguf_values *v, const char *key, uint32_t value,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_put_f32(struct l2_gguf_values *v, const char *key, float value,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_put_bool(struct l2_gguf_values *v, const char *key, bool value,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_put_str(struct l2_gguf_values *v, const char *key, const char *s, size_t n,
                    struct l2_err *err) L2_MUST_CHECK;
/* An array of n elements, which the caller appends to v->bytes: strings by l2_gguf_put_element_str,
 * numbers as little-endian bytes. */
int l2_gguf_put_array(struct l2_gguf_values *v, const char *key, enum l2_gguf_type element,
                      uint64_t n, struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_put_element_str(struct l2_gguf_values *v, const char *s, size_t n,
                            struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_put_element_u32(struct l2_gguf_values *v, uint32_t bits,
                            struct l2_err *err) L2_MUST_CHECK;
/* A key as a file has it, whatever its type. */
int l2_gguf_put_copy(struct l2_gguf_values *v, const struct l2_gguf_value *from,
                     struct l2_err *err) L2_MUST_CHECK;

/* The beginning of a file. Begin, add the tensors in the order of their bytes, end. */
struct l2_gguf_writer {
    struct l2_buf *out; /* borrowed */
    uint64_t offset;    /* of the next tensor, after the directory */
};
/* n_tensors will be added; values go before them. */
int l2_gguf_write_begin(struct l2_gguf_writer *w, struct l2_buf *out,
                        const struct l2_gguf_values *const *values, size_t n_values,
                        uint64_t n_tensors, struct l2_err *err) L2_MUST_CHECK;
/* rows 0: one dimension. type is ggml's number. */
int l2_gguf_write_add(struct l2_gguf_writer *w, const char *name, uint64_t rows, uint64_t cols,
                      uint32_t type, uint64_t bytes, struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_write_end(struct l2_gguf_writer *w, struct l2_err *err) L2_MUST_CHECK;

/* Zeros that follow a tensor of that many bytes. */
size_t l2_gguf_padding(uint64_t bytes);

#endif
