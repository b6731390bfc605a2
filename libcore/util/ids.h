/* A growable array of token ids. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_IDS_H
#define L2_IDS_H

#include "util/err.h"

/* Caller's storage; all zero is valid and empty. */
struct l2_ids {
    uint32_t *v; /* owned */
    size_t n;
    size_t cap;
};

void l2_ids_release(struct l2_ids *a);
int l2_ids_reserve(struct l2_ids *a, size_t extra, struct l2_err *err) L2_MUST_CHECK;
int l2_ids_append(struct l2_ids *a, uint32_t id, struct l2_err *err) L2_MUST_CHECK;
int l2_ids_append_n(struct l2_ids *a, const uint32_t *ids, size_t n,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
