/* The GGUF container, versions 2 and 3: a directory of typed metadata and of tensors in one mapped
 * file. What the keys mean is known to the readers of models and vocabularies. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GGUF_H
#define L2_GGUF_H

#include <stdbool.h>
#include "util/map.h"

enum l2_gguf_type {
    L2_GGUF_U8,
    L2_GGUF_I8,
    L2_GGUF_U16,
    L2_GGUF_I16,
    L2_GGUF_U32,
    L2_GGUF_I32,
    L2_GGUF_F32,
    L2_GGUF_BOOL,
    L2_GGUF_STRING,
    L2_GGUF_ARRAY,
    L2_GGUF_U64,
    L2_GGUF_I64,
    L2_GGUF_F64,
    L2_GGUF_N_TYPES
};

/* Views into the map. */
struct l2_gguf_str {
    const char *s; /* not NUL-terminated */
    size_t n;
};

struct l2_gguf_value {
    struct l2_gguf_str key;
    enum l2_gguf_type type;
    enum l2_gguf_type element; /* of ARRAY; never ARRAY itself */
    uint64_t n;                /* elements of ARRAY, else 1 */
    const uint8_t *data;       /* the value, or the first element */
    size_t size;               /* its bytes, all elements' */
    int64_t offset;            /* of data in the file */
};

struct l2_gguf_tensor {
    struct l2_gguf_str name;
    uint32_t n_dims;   /* 1 to 4 */
    uint64_t shape[4]; /* shape[0] runs fastest; 1 beyond n_dims */
    uint32_t type;     /* ggml's number */
    uint64_t offset;   /* in the file */
};

/* Caller's storage; all but map is owned. */
struct l2_gguf {
    const struct l2_map *map; /* borrowed */
    uint32_t version;
    uint64_t alignment;
    struct l2_gguf_value *values;
    size_t n_values;
    struct l2_gguf_tensor *tensors;
    size_t n_tensors;
};

/* True when the file begins with GGUF's magic. */
bool l2_gguf_detect(const struct l2_map *map);

/* Reads the directory. Every length and offset has been checked against the file and no key or name
 * occurs twice when this returns; a tensor's size, which depends on its type, is checked by who
 * knows the type. */
int l2_gguf_read(struct l2_gguf *g, const struct l2_map *map, struct l2_err *err) L2_MUST_CHECK;
void l2_gguf_release(struct l2_gguf *g);

/* NULL when there is none. */
const struct l2_gguf_value *l2_gguf_find(const struct l2_gguf *g, const char *key);
const struct l2_gguf_tensor *l2_gguf_find_tensor(const struct l2_gguf *g, const char *name);

/* Scalars, converted where nothing is lost; *found says whether the key is there, and *out is left
 * alone where not. Another type, or a number out of range, is L2_CORRUPT. */
int l2_gguf_get_u32(const struct l2_gguf *g, const char *key, uint32_t *out, bool *found,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_get_f64(const struct l2_gguf *g, const char *key, double *out, bool *found,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_get_bool(const struct l2_gguf *g, const char *key, bool *out, bool *found,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_get_str(const struct l2_gguf *g, const char *key, struct l2_gguf_str *out, bool *found,
                    struct l2_err *err) L2_MUST_CHECK;

bool l2_gguf_str_is(struct l2_gguf_str s, const char *text);
/* By bytes, as memcmp. */
int l2_gguf_str_compare(struct l2_gguf_str a, struct l2_gguf_str b);

/* The string at data[*pos] of a value of strings; moves *pos behind it. */
struct l2_gguf_str l2_gguf_next_str(const struct l2_gguf_value *v, size_t *pos);

#endif
