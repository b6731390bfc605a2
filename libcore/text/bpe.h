/* Byte-pair merging by the score of the merged piece, as SentencePiece does it. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BPE_H
#define L2_BPE_H

#include <stdbool.h>
#include "util/err.h"

struct l2_vocab;

/* A symbol is what merging works on. Values below L2_SYM_FROZEN are token ids of mergeable pieces;
 * with L2_SYM_FROZEN, ids of user-defined pieces, which merge with nothing; with L2_SYM_CHAR, code
 * points of characters that are no pieces (they may still be parts of one). */
#define L2_SYM_FROZEN 0x40000000u
#define L2_SYM_CHAR   0x80000000u

#define L2_NO_RANK UINT32_MAX

/* Which piece two neighbours make, by open addressing. */
struct l2_pair {
    uint32_t left, right; /* left == UINT32_MAX: an empty slot */
    uint32_t id;
    uint32_t rank; /* position of id's score, 0 for the highest; equal scores have equal ranks */
};
struct l2_pairs {
    struct l2_pair *slots; /* owned */
    size_t n, mask;        /* mask + 1 slots */
    unsigned shift;
};

/* A user-defined piece; its text is borrowed from the vocabulary. */
struct l2_user_piece {
    const char *s;
    size_t n;
    uint32_t id;
};

struct l2_bpe {
    struct l2_pairs merges;
    struct l2_pairs joins; /* characters that stand side by side in some piece; id and rank are 0 */
    uint64_t ascii_joins[128][2]; /* the same for ASCII, one bit each; a space counts as U+2581 */
    uint32_t ascii[128];          /* symbols of ASCII characters, U+2581's for the space */
    uint16_t page_of[0x110000 / 256];
    uint32_t (
        *pages)[256]; /* owned: symbols of all other characters that have one; [0] is unused */
    size_t n_pages;
    struct l2_user_piece *user; /* owned; sorted by text */
    size_t n_user;
};

/* Builds the tables from v's pieces. Duplicate pieces are L2_CORRUPT. */
int l2_bpe_build(struct l2_bpe *b, const struct l2_vocab *v, const char *file,
                 struct l2_err *err) L2_MUST_CHECK;
void l2_bpe_release(struct l2_bpe *b);

/* Working memory of l2_bpe_merge, grown as needed. All zero is valid. */
struct l2_bpe_work {
    uint32_t *links; /* owned; 4 arrays of cap */
    uint64_t *heap;  /* owned; 2 * cap keys */
    size_t cap;
    /* Where the vocabulary has unused pieces: for each id the pair that was last seen to make it
     * (left, right), so that the caller can split unused pieces again. Else NULL. Owned. */
    uint32_t (*splits)[2];
    const struct l2_vocab *vocab; /* borrowed; needed with splits */
};
void l2_bpe_work_release(struct l2_bpe_work *w);

/* Merges the n symbols in place, the pair of highest score first, the leftmost of equal ones; *n
 * becomes the number left. Time n log n. */
int l2_bpe_merge(const struct l2_bpe *b, struct l2_bpe_work *w, uint32_t *sym, size_t *n,
                 struct l2_err *err) L2_MUST_CHECK;

/* The longest user-defined piece that text begins with: its length and *id, or 0. */
size_t l2_bpe_match_user(const struct l2_bpe *b, const char *text, size_t n, uint32_t *id);

/* The symbol of a code point. */
static inline uint32_t l2_bpe_symbol(const struct l2_bpe *b, uint32_t cp)
{
    if (cp < 128)
        return b->ascii[cp];
    unsigned page = b->page_of[cp >> 8];
    return page ? b->pages[page][cp & 255] : L2_SYM_CHAR | cp;
}

/* The slot of a pair, or the empty slot where it would be. */
static inline struct l2_pair *l2_pairs_find(const struct l2_pairs *t, uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left * 0x9E3779B97F4A7C15u + right) * 0xD6E8FEB86659FD93u;
    size_t i = (size_t)(h >> t->shift);
    while (t->slots[i].left != UINT32_MAX &&
           (t->slots[i].left != left || t->slots[i].right != right))
        i = (i + 1) & t->mask;
    return &t->slots[i];
}

/* False when no piece holds these two characters side by side: nothing ever merges across. */
static inline bool l2_bpe_joins(const struct l2_bpe *b, uint32_t left, uint32_t right)
{
    return l2_pairs_find(&b->joins, left, right)->left != UINT32_MAX;
}

#endif
