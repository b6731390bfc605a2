/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers, SC 2011). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/philox.h"

#include "util/num.h"
#include "util/sha256.h"

#define ROUNDS 10

void l2_philox(struct l2_philox_key key, const uint32_t counter[4], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key.k[0], k1 = key.k[1];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* the golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct l2_philox_key l2_philox_key_of(uint64_t seed)
{
    return (struct l2_philox_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}};
}

struct l2_philox_key l2_philox_key_for(uint64_t seed, const uint8_t id_hash[32])
{
    struct l2_sha256 s;
    uint8_t bytes[8], digest[L2_SHA256_SIZE];
    l2_put_u64le(bytes, seed);
    l2_sha256_init(&s);
    l2_sha256_update(&s, bytes, sizeof bytes);
    l2_sha256_update(&s, id_hash, 32);
    l2_sha256_final(&s, digest);
    return (struct l2_philox_key){{l2_get_u32le(digest), l2_get_u32le(digest + 4)}};
}

double l2_philox_uniform(struct l2_philox_key key, uint64_t k, uint64_t position)
{
    uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), (uint32_t)k,
                           (uint32_t)(k >> 32)};
    uint32_t r[4];
    l2_philox(key, counter, r);
    uint64_t bits = (uint64_t)r[1] << 32 | r[0];
    return (double)(bits >> 11) * 0x1p-53;
}

/* Fisher and Yates, as Durstenfeld has it. */
void l2_philox_shuffle(struct l2_philox_key key, uint64_t k, uint32_t *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(l2_philox_uniform(key, k, i) * (double)i);
        uint32_t other = v[j];
        v[j] = v[i - 1];
        v[i - 1] = other;
    }
}
