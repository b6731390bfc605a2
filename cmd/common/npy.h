/* Writing a two-dimensional float32 .npy file row by row (NumPy format 1.0). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NPY_H
#define L2_NPY_H

#include "util/err.h"

/* Caller's storage. */
struct l2_npy {
    int fd;           /* borrowed, seekable */
    const char *name; /* borrowed, for messages */
    size_t n_rows;
    size_t n_columns;
};

/* Writes a header that says no rows. */
int l2_npy_begin(struct l2_npy *f, int fd, const char *name, size_t n_columns,
                 struct l2_err *err) L2_MUST_CHECK;
/* Appends n rows of n_columns values. */
int l2_npy_rows(struct l2_npy *f, const float *rows, size_t n, struct l2_err *err) L2_MUST_CHECK;
/* Puts the number of rows into the header. */
int l2_npy_end(struct l2_npy *f, struct l2_err *err) L2_MUST_CHECK;

#endif
