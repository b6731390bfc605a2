/* Pieces of a vocabulary by their text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/piece_index.h"

#include <stdlib.h>
#include <string.h>

#include "text/vocab_impl.h"

uint64_t l2_piece_hash(const char *s, size_t n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n; i++)
        h = h * L2_PIECE_HASH_BASE + (uint8_t)s[i] + 1;
    return h;
}

int l2_piece_index_init(struct l2_piece_index *t, const struct l2_vocab *v, struct l2_err *err)
{
    size_t n = 16;
    *t = (struct l2_piece_index){.v = v, .shift = 60};
    while (n < 2 * (size_t)v->n) {
        n *= 2;
        t->shift--;
    }
    t->slots = malloc(n * sizeof *t->slots);
    if (!t->slots)
        return l2_err_memory(err, n * sizeof *t->slots);
    memset(t->slots, 0xFF, n * sizeof *t->slots);
    t->mask = n - 1;
    return L2_OK;
}

void l2_piece_index_release(struct l2_piece_index *t)
{
    free(t->slots);
    *t = (struct l2_piece_index){0};
}

uint32_t *l2_piece_index_find(const struct l2_piece_index *t, const char *s, size_t n, uint64_t h)
{
    h = (h ^ h >> 29) * 0xD6E8FEB86659FD93u;
    for (size_t i = (size_t)(h >> t->shift);; i = (i + 1) & t->mask) {
        size_t m;
        if (t->slots[i] == L2_NO_ID)
            return &t->slots[i];
        const char *piece = l2_piece_text(t->v, t->slots[i], &m);
        if (m == n && memcmp(piece, s, n) == 0)
            return &t->slots[i];
    }
}

int l2_piece_index_add(struct l2_piece_index *t, uint32_t id, const char *file, struct l2_err *err)
{
    size_t n;
    const char *s = l2_piece_text(t->v, id, &n);
    uint32_t *slot = l2_piece_index_find(t, s, n, l2_piece_hash(s, n));
    if (*slot != L2_NO_ID)
        return l2_err_at(err, L2_CORRUPT, file, -1, "pieces %u and %u are both '%.*s'", *slot, id,
                         n < 64 ? (int)n : 64, s);
    *slot = id;
    return L2_OK;
}
