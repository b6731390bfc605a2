/* SHA-256 (FIPS 180-4). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SHA256_H
#define L2_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define L2_SHA256_SIZE 32

struct l2_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes taken so far */
    uint8_t block[64];
};

void l2_sha256_init(struct l2_sha256 *s);
void l2_sha256_update(struct l2_sha256 *s, const void *data, size_t n);
/* The length as 8 bytes, little-endian, and the bytes: two texts are not one that is longer. */
void l2_sha256_text(struct l2_sha256 *s, const void *data, size_t n);
/* Values as 4 bytes each, little-endian. */
void l2_sha256_u32s(struct l2_sha256 *s, const uint32_t *v, size_t n);
void l2_sha256_final(struct l2_sha256 *s, uint8_t out[L2_SHA256_SIZE]);

/* Writes 64 lower-case hexadecimal digits and a NUL. */
void l2_sha256_hex(const uint8_t digest[L2_SHA256_SIZE], char out[65]);

#endif
