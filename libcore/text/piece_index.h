/* Pieces of a vocabulary by their text. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PIECE_INDEX_H
#define L2_PIECE_INDEX_H

#include "text/vocab.h"

/* Open addressing. Caller's storage; all zero is valid for release only. */
struct l2_piece_index {
    const struct l2_vocab *v; /* borrowed */
    uint32_t *slots;          /* owned; ids, or L2_NO_ID */
    size_t mask;
    unsigned shift;
};

/* Room for all of v's pieces; none is in it yet. */
int l2_piece_index_init(struct l2_piece_index *t, const struct l2_vocab *v,
                        struct l2_err *err) L2_MUST_CHECK;
void l2_piece_index_release(struct l2_piece_index *t);

/* Texts are hashed as polynomials in the base modulo 2^64, so that the hashes of all of a piece's
 * halves come from one pass over it. */
#define L2_PIECE_HASH_BASE 0x9E3779B97F4A7C15u
uint64_t l2_piece_hash(const char *s, size_t n);

/* The slot of a text whose hash is h: holds its id, or L2_NO_ID. */
uint32_t *l2_piece_index_find(const struct l2_piece_index *t, const char *s, size_t n, uint64_t h);

/* Puts piece id in. Two pieces of one text are L2_CORRUPT. */
int l2_piece_index_add(struct l2_piece_index *t, uint32_t id, const char *file,
                       struct l2_err *err) L2_MUST_CHECK;

/* The id of a text, or L2_NO_ID. */
static inline uint32_t l2_piece_index_get(const struct l2_piece_index *t, const char *s, size_t n)
{
    return *l2_piece_index_find(t, s, n, l2_piece_hash(s, n));
}

#endif
