/* Training a BPE vocabulary in SentencePiece's form from counted words. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BPE_TRAIN_H
#define L2_BPE_TRAIN_H

#include "text/bpe_words.h"
#include "text/vocab.h"

struct l2_bpe_settings {
    uint32_t size;      /* pieces in all */
    double coverage;    /* share of the text's characters that have pieces of their own, 0 to 1 */
    uint32_t max_chars; /* characters of a piece at most */
    bool byte_fallback;
    const char *const *control; /* (n_control) further control pieces; borrowed */
    size_t n_control;
    const char *const *symbols; /* (n_symbols) user-defined pieces; borrowed */
    size_t n_symbols;
};

/* A vocabulary of <unk>, <s>, </s>, the special pieces, 256 bytes where wanted, merged pieces in
 * the order of merging, and single characters, the most frequent first. Equal words in equal order
 * give equal vocabularies. L2_LIMIT where the size has no room for the characters or the words do
 * not give that many pieces; L2_ARGUMENT where two special pieces are equal. Owned, free with
 * l2_vocab_free. */
int l2_bpe_train(struct l2_vocab **out, const struct l2_bpe_words *words,
                 const struct l2_bpe_settings *settings, struct l2_err *err) L2_MUST_CHECK;

#endif
