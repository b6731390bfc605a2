/* Packed weights in a file, so that they are packed once and mapped from then on. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PACK_CACHE_H
#define L2_PACK_CACHE_H

#include "kern/backend.h"
#include "util/map.h"
#include "util/sha256.h"

/* The file: 64 bytes of header (magic, key, size of the file) and the matrices one after the other,
 * each at a multiple of 64. Where they lie is computed from the model, never read from the file, so
 * that a file which lies gives wrong numbers at worst. Caller's storage; all zero is empty. */
struct l2_pack_cache {
    struct l2_map map;
    size_t at; /* of the next matrix */
};

/* Maps the file. *hit: it was written for this key and is whole. A file that is absent, cut or of
 * another key is a miss, and to be written anew; one that is no such cache is L2_FORMAT, and left
 * alone. */
int l2_pack_cache_open(struct l2_pack_cache *c, const char *path, const uint8_t key[L2_SHA256_SIZE],
                       bool *hit, struct l2_err *err) L2_MUST_CHECK;
/* Gives w, which has been planned, the next matrix of a hit. */
int l2_pack_cache_take(struct l2_pack_cache *c, struct l2_weight *w,
                       struct l2_err *err) L2_MUST_CHECK;
void l2_pack_cache_release(struct l2_pack_cache *c);

/* Writes the file under a temporary name beside path and renames it. */
int l2_pack_cache_write(const char *path, const uint8_t key[L2_SHA256_SIZE],
                        const struct l2_weight *const *weights, size_t n,
                        struct l2_err *err) L2_MUST_CHECK;

#endif
