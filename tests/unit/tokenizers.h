/* The vocabularies in tests/golden/tokenizer, for unit tests. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_TOKENIZERS_H
#define L2_TEST_TOKENIZERS_H

#include "text/vocab.h"

/* The path of one of their files; overwritten by the next call. */
const char *golden_tokenizer(const char *name, const char *suffix);
/* Opens a vocabulary, or fails the test. Owned. */
struct l2_vocab *open_tokenizer(const char *path);

#endif
