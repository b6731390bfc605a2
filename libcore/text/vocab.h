/* A vocabulary: token ids, the bytes they stand for, and its hash. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VOCAB_H
#define L2_VOCAB_H

#include <stdbool.h>
#include "util/err.h"
#include "util/sha256.h"

#define L2_NO_ID UINT32_MAX

enum l2_piece_kind {
    L2_PIECE_NORMAL = 1,
    L2_PIECE_UNKNOWN,
    L2_PIECE_CONTROL,
    L2_PIECE_USER_DEFINED,
    L2_PIECE_UNUSED,
    L2_PIECE_BYTE
};

struct l2_vocab; /* immutable once open; may be used by several threads */

/* Opens a tokenizer.json, a SentencePiece BPE tokenizer.model, a llama2.c tokenizer.bin or the
 * vocabulary inside a GGUF file (told apart by content), or the first of tokenizer.json,
 * tokenizer.model and tokenizer.bin that is inside a directory. A tokenizer_config.json beside a
 * tokenizer.json says which pieces are BOS and EOS. A directory without any is L2_SYSTEM with
 * ENOENT. Owned, free with l2_vocab_free. */
int l2_vocab_open(struct l2_vocab **out, const char *path, struct l2_err *err) L2_MUST_CHECK;
void l2_vocab_free(struct l2_vocab *v);

uint32_t l2_vocab_size(const struct l2_vocab *v);
uint32_t l2_vocab_bos(const struct l2_vocab *v); /* L2_NO_ID where the vocabulary has none */
uint32_t l2_vocab_eos(const struct l2_vocab *v);
uint32_t l2_vocab_unk(const struct l2_vocab *v);
enum l2_piece_kind l2_vocab_kind(const struct l2_vocab *v, uint32_t id);

/* The piece as the file has it: U+2581 for space, or GPT-2's characters for bytes where
 * l2_vocab_byte_level. Borrowed. */
const char *l2_vocab_piece(const struct l2_vocab *v, uint32_t id, size_t *len);

/* The bytes that id decodes to: spaces for U+2581, one byte for byte pieces, none for control and
 * unknown pieces. Borrowed. */
const char *l2_vocab_bytes(const struct l2_vocab *v, uint32_t id, size_t *len);

/* Of SentencePiece; of vocabularies with merges in order, minus the place of the first that makes
 * the piece. */
float l2_vocab_score(const struct l2_vocab *v, uint32_t id);

/* True where text is cut into words and merged from bytes, as GPT-2 does it; false for
 * SentencePiece's way. */
bool l2_vocab_byte_level(const struct l2_vocab *v);
/* The name of the way in which a byte-level vocabulary cuts words, as GGUF's tokenizer.ggml.pre has
 * it; NULL where it has no name. */
const char *l2_vocab_pre(const struct l2_vocab *v);

/* Pairs of pieces in the order in which they merge; none where scores say the order. Borrowed. */
struct l2_merge {
    uint32_t left, right;
};
const struct l2_merge *l2_vocab_merges(const struct l2_vocab *v, size_t *n);

/* Whether a space is put before a text, and whether BOS is. */
bool l2_vocab_dummy_prefix(const struct l2_vocab *v);
bool l2_vocab_add_bos(const struct l2_vocab *v);

/* The control or user-defined piece of that text, or L2_NO_ID. */
uint32_t l2_vocab_special(const struct l2_vocab *v, const char *text);

/* SHA-256 over the pieces; equal for equal vocabularies whatever file they came from. For each id:
 * one byte for its kind (1 normal, user-defined and unused; 2 unknown; 3 control; 6 byte), the
 * length of l2_vocab_bytes as 4 bytes LE, those bytes. */
const uint8_t *l2_vocab_hash(const struct l2_vocab *v);

#endif
