/* Writes SentencePiece models for tests, well formed and otherwise. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_SPM_WRITER_H
#define L2_TEST_SPM_WRITER_H

#include <stdbool.h>

#include "text/vocab.h"
#include "util/buf.h"

/* Appenders of protobuf; they fail the test when out of memory. */
void pb_varint(struct l2_buf *b, uint64_t v);
void pb_int(struct l2_buf *b, unsigned field, uint64_t v);
void pb_float(struct l2_buf *b, unsigned field, float v);
void pb_bytes(struct l2_buf *b, unsigned field, const void *s, size_t n);

void spm_piece(struct l2_buf *b, const char *text, float score, enum l2_piece_kind kind);
/* <unk>, <s>, </s>, and with bytes the 256 byte pieces. */
void spm_specials(struct l2_buf *b, bool bytes);

struct spm_settings {
    unsigned type; /* 2: bpe */
    bool byte_fallback, dummy_prefix, remove_extra, suffix, no_escape;
    const char *charsmap, *denormalizer;
};
void spm_specs(struct l2_buf *b, const struct spm_settings *s);

/* Reads the bytes as a file of that name. */
int open_bytes(const char *name, const struct l2_buf *b, struct l2_vocab **out,
               struct l2_err *err) L2_MUST_CHECK;

#endif
