/* Counting the words of training text: what merges happen inside of. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BPE_WORDS_H
#define L2_BPE_WORDS_H

#include <stdbool.h>
#include "util/buf.h"

struct l2_bpe_word {
    size_t text, len; /* bytes of l2_bpe_words.text, with U+2581 for a space */
    uint64_t hash;
    uint64_t count;
};

/* Caller's storage; zero but for the settings is a valid empty table. */
struct l2_bpe_words {
    bool dummy_prefix;     /* a space is put before each text */
    bool split_digits;     /* a digit is a word */
    bool across_spaces;    /* a space ends no word */
    bool space_runs;       /* where spaces stand together, all but the last are a word */
    bool collapse_spaces;  /* such are one; none at the ends of a text */
    struct l2_bpe_word *v; /* (n), in the order of first appearance; owned */
    size_t n, cap;
    struct l2_buf text;
    uint64_t n_bytes;   /* of the texts */
    uint64_t n_invalid; /* bytes passed over: not UTF-8, or NUL */
    uint32_t *slots;    /* hash table of indices into v, n_slots a power of two; owned */
    size_t n_slots;
    struct l2_buf word; /* the word that is being read */
};

/* Counts the words of one text; no word goes from one text to the next. */
int l2_bpe_words_add(struct l2_bpe_words *w, const char *text, size_t n,
                     struct l2_err *err) L2_MUST_CHECK;
void l2_bpe_words_release(struct l2_bpe_words *w);

#endif
