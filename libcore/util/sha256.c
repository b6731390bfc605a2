/* SHA-256 (FIPS 180-4). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/sha256.h"

#include <string.h>

#include "util/num.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t get_u32be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void put_u32be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* A round, of which only d and h change: the next one has the eight names turned by one. */
static inline void turn(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f,
                        uint32_t g, uint32_t *h, uint32_t word)
{
    uint32_t s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25), choose = g ^ (e & (f ^ g));
    uint32_t s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22), majority = (a & b) | (c & (a | b));
    uint32_t t1 = *h + s1 + choose + word;
    *d += t1;
    *h = t1 + s0 + majority;
}

static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4],
                    f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 16; i++)
        w[i] = get_u32be(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    for (int i = 0; i < 64; i += 8) {
        turn(a, b, c, &d, e, f, g, &h, K[i] + w[i]);
        turn(h, a, b, &c, d, e, f, &g, K[i + 1] + w[i + 1]);
        turn(g, h, a, &b, c, d, e, &f, K[i + 2] + w[i + 2]);
        turn(f, g, h, &a, b, c, d, &e, K[i + 3] + w[i + 3]);
        turn(e, f, g, &h, a, b, c, &d, K[i + 4] + w[i + 4]);
        turn(d, e, f, &g, h, a, b, &c, K[i + 5] + w[i + 5]);
        turn(c, d, e, &f, g, h, a, &b, K[i + 6] + w[i + 6]);
        turn(b, c, d, &e, f, g, h, &a, K[i + 7] + w[i + 7]);
    }
    const uint32_t sums[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++)
        state[i] += sums[i];
}

void l2_sha256_init(struct l2_sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, start, sizeof start);
    s->length = 0;
}

void l2_sha256_update(struct l2_sha256 *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t used = (size_t)(s->length % 64);
    s->length += n;
    if (used > 0) {
        size_t take = n < 64 - used ? n : 64 - used;
        if (take > 0)
            memcpy(s->block + used, p, take);
        if (used + take < 64)
            return;
        compress(s->state, s->block);
        p += take;
        n -= take;
    }
    for (; n >= 64; p += 64, n -= 64)
        compress(s->state, p);
    if (n > 0)
        memcpy(s->block, p, n);
}

void l2_sha256_text(struct l2_sha256 *s, const void *data, size_t n)
{
    uint8_t length[8];
    l2_put_u64le(length, n);
    l2_sha256_update(s, length, sizeof length);
    l2_sha256_update(s, data, n);
}

void l2_sha256_u32s(struct l2_sha256 *s, const uint32_t *v, size_t n)
{
    uint8_t bytes[1024];
    for (size_t at = 0; at < n;) {
        size_t some = n - at < sizeof bytes / 4 ? n - at : sizeof bytes / 4;
        l2_put_u32le_array(bytes, v + at, some);
        l2_sha256_update(s, bytes, some * 4);
        at += some;
    }
}

void l2_sha256_final(struct l2_sha256 *s, uint8_t out[L2_SHA256_SIZE])
{
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = s->length * 8;
    size_t used = (size_t)(s->length % 64);
    uint8_t tail[8];
    put_u32be(tail, (uint32_t)(bits >> 32));
    put_u32be(tail + 4, (uint32_t)bits);
    l2_sha256_update(s, padding, used < 56 ? 56 - used : 120 - used);
    l2_sha256_update(s, tail, sizeof tail);
    for (int i = 0; i < 8; i++)
        put_u32be(out + 4 * i, s->state[i]);
}

void l2_sha256_hex(const uint8_t digest[L2_SHA256_SIZE], char out[65])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < L2_SHA256_SIZE; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = '\0';
}
