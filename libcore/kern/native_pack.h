/* Packing matrices for the native backend. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NATIVE_PACK_H
#define L2_NATIVE_PACK_H

#include "kern/backend.h"

/* As struct l2_backend's pack. */
int l2_native_pack(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                   const struct l2_pack_opts *opts, struct l2_pool *pool,
                   struct l2_err *err) L2_MUST_CHECK;

/* Everything of out but data: rows, cols, pieces and the bytes that data will have. */
int l2_native_plan(struct l2_weight *out, const struct l2_tensor *const *parts, size_t n_parts,
                   const struct l2_pack_opts *opts, struct l2_err *err) L2_MUST_CHECK;

#endif
