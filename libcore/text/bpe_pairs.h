/* What BPE training counts: symbols by text, and pairs of symbols by number with the words they are
 * in. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BPE_PAIRS_H
#define L2_BPE_PAIRS_H

#include <stdbool.h>
#include "util/buf.h"

/* ---- symbols ---- */

struct l2_bpe_symbols { /* caller's storage; all zero is empty */
    struct l2_bpe_symbol_row {
        size_t text;
        uint32_t len, chars;
    } * v; /* (n); owned */
    uint32_t n, cap;
    struct l2_buf text;
    uint32_t *slots; /* owned */
    size_t n_slots;
};

/* The number of the symbol of that text, which *added says is new. */
int l2_bpe_symbol_intern(struct l2_bpe_symbols *s, const char *text, size_t len, uint32_t *symbol,
                         bool *added, struct l2_err *err) L2_MUST_CHECK;
uint32_t l2_bpe_symbol_chars(const struct l2_bpe_symbols *s, uint32_t symbol);
/* Appends the symbol's text. */
int l2_bpe_symbol_text(const struct l2_bpe_symbols *s, uint32_t symbol, struct l2_buf *out,
                       struct l2_err *err) L2_MUST_CHECK;
void l2_bpe_symbols_release(struct l2_bpe_symbols *s);

/* ---- pairs ---- */

struct l2_bpe_pair {
    uint32_t left, right;
    int64_t count;
    uint32_t postings; /* first of a list for l2_bpe_pairs_posting, or UINT32_MAX */
    bool touched;      /* in the list of pairs to queue */
};

struct l2_bpe_queued {
    int64_t count;
    uint64_t key;
    uint32_t pair;
};

struct l2_bpe_pairs {      /* caller's storage; all zero is empty */
    struct l2_bpe_pair *v; /* owned, as all below */
    size_t n, cap;
    uint32_t *slots;
    size_t n_slots;
    struct l2_bpe_posting {
        uint32_t word, next;
    } * postings;
    size_t n_postings, cap_postings;
    uint32_t *touched;
    size_t n_touched, cap_touched;
    struct l2_bpe_queued *heap;
    size_t n_heap, cap_heap;
};

/* Counts the pairs of neighbours in s[0..n), count times each, UINT32_MAX being no symbol. Pairs of
 * which one is only (of all, where only is UINT32_MAX) note the word and wait to be queued. */
int l2_bpe_pairs_count(struct l2_bpe_pairs *p, const uint32_t *s, uint32_t n, uint32_t word,
                       int64_t count, uint32_t only, struct l2_err *err) L2_MUST_CHECK;
void l2_bpe_pairs_uncount(struct l2_bpe_pairs *p, const uint32_t *s, uint32_t n, int64_t count);
/* Queues what waits. */
int l2_bpe_pairs_queue(struct l2_bpe_pairs *p, struct l2_err *err) L2_MUST_CHECK;
/* Takes the most frequent pair, of equals the lowest numbers, from the queue; false: there is none.
 */
bool l2_bpe_pairs_pop(struct l2_bpe_pairs *p, struct l2_bpe_pair *out);
/* The word at *at of a list of postings, which moves to the next. */
uint32_t l2_bpe_pairs_posting(const struct l2_bpe_pairs *p, uint32_t *at);
void l2_bpe_pairs_release(struct l2_bpe_pairs *p);

#endif
