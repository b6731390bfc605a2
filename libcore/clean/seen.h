/* A set of 64-bit hashes in memory of a fixed size. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SEEN_H
#define L2_SEEN_H

#include <stdbool.h>
#include "util/err.h"

/* Caller's storage. */
struct l2_seen {
    uint64_t *slots; /* (n_slots), 0: empty; owned */
    size_t n_slots;  /* a power of two */
    size_t n;        /* hashes in it */
    uint64_t missed; /* new ones for which there was no room */
};

/* Takes bytes (rounded down to a power of two, at least 1 KiB) at once; pages are touched as they
 * fill. */
int l2_seen_init(struct l2_seen *s, uint64_t bytes, struct l2_err *err) L2_MUST_CHECK;
void l2_seen_release(struct l2_seen *s);
/* How many hashes it can hold. */
size_t l2_seen_room(const struct l2_seen *s);

/* True when hash is in the set; else it is put in, if there is room. Two texts of one hash are
 * taken for equal: among n texts that happens with probability n^2 / 2^65. */
bool l2_seen_add(struct l2_seen *s, uint64_t hash);

#endif
