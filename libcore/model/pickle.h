/* A restricted reader of Python pickles: dictionaries of tensors as torch.save writes them, and
 * nothing else. Nothing is ever called or imported. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PICKLE_H
#define L2_PICKLE_H

#include "model/tensors.h"

#define L2_PICKLE_DIMS 4

/* A tensor's name and its place in a storage, all as the pickle says: nothing is checked against
 * the storage. Strings are views into the pickle. */
struct l2_pickle_tensor {
    const char *name;
    size_t name_len;
    const char *key; /* of the storage */
    size_t key_len;
    enum l2_dtype dtype;
    uint64_t numel;  /* values of the storage */
    uint64_t offset; /* of the first value */
    size_t n_dims;
    uint64_t shape[L2_PICKLE_DIMS], stride[L2_PICKLE_DIMS]; /* in values */
};

/* Reads the tensors of the dictionary that pickle[0..n) holds, or of the one under "model" in it.
 * Opcodes and globals that are not of such a pickle are L2_UNSUPPORTED and named. *out is owned,
 * free it. file is for messages. */
int l2_pickle_read(struct l2_pickle_tensor **out, size_t *n_out, const uint8_t *pickle, size_t n,
                   const char *file, struct l2_err *err) L2_MUST_CHECK;

#endif
