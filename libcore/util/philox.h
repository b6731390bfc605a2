/* Philox4x32-10, a counter-based random number generator (Salmon et al., 2011): a number depends on
 * its key and counter alone, so that draws need no order and no state. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PHILOX_H
#define L2_PHILOX_H

#include <stddef.h>
#include <stdint.h>

struct l2_philox_key {
    uint32_t k[2];
};

/* Four random words for (key, counter). */
void l2_philox(struct l2_philox_key key, const uint32_t counter[4], uint32_t out[4]);

/* The key that is the seed itself. */
struct l2_philox_key l2_philox_key_of(uint64_t seed);
/* The key for records: the first 8 bytes of SHA-256(seed as 8 bytes LE, then id_hash). */
struct l2_philox_key l2_philox_key_for(uint64_t seed, const uint8_t id_hash[32]);

/* A uniform number in [0, 1) with 53 random bits for draw (k, position) of key. */
double l2_philox_uniform(struct l2_philox_key key, uint64_t k, uint64_t position);

/* Puts v[0..n) into an order that (key, k) decides: draws k of positions 2 to n. */
void l2_philox_shuffle(struct l2_philox_key key, uint64_t k, uint32_t *v, size_t n);

#endif
