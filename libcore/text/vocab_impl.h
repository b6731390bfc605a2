/* The inside of a vocabulary, shared by its readers and the encoder. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VOCAB_IMPL_H
#define L2_VOCAB_IMPL_H

#include "text/bpe.h"
#include "text/vocab.h"
#include "util/buf.h"
#include "util/map.h"

#define L2_SPACE_SYMBOL     "\xE2\x96\x81" /* U+2581, what pieces have for a space */
#define L2_SPACE_SYMBOL_LEN 3
#define L2_SPACE_CP         0x2581

/* One row a token id; offsets into the vocabulary's text and bytes. */
struct l2_piece {
    uint32_t text, text_len;
    uint32_t bytes, bytes_len;
    float score;
    enum l2_piece_kind kind;
};

struct l2_vocab {
    struct l2_piece *pieces; /* owned */
    uint32_t n, cap;
    struct l2_buf text;  /* the pieces, one after the other */
    struct l2_buf bytes; /* what they decode to */
    uint32_t bos, eos, unk;
    bool dummy_prefix;        /* encoding puts a space before the text */
    bool remove_extra_spaces; /* encoding strips and collapses runs of spaces */
    bool byte_fallback;       /* unknown characters become their bytes' pieces */
    bool has_user_defined, has_unused;
    uint32_t byte_ids[256]; /* where byte_fallback */
    uint8_t hash[L2_SHA256_SIZE];
    struct l2_bpe bpe;
};

/* Appends a piece: valid UTF-8 that is not empty, a finite score, else L2_CORRUPT at offset of
 * file. */
int l2_vocab_add(struct l2_vocab *v, const char *piece, size_t n, float score,
                 enum l2_piece_kind kind, const char *file, int64_t offset,
                 struct l2_err *err) L2_MUST_CHECK;

/* A vocabulary from the bytes of a file; m is not needed afterwards. */
int l2_vocab_read(struct l2_vocab **out, const struct l2_map *m, struct l2_err *err) L2_MUST_CHECK;

/* The readers: they add all pieces and set what the file says about normalisation, bos and eos. */
int l2_spm_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err) L2_MUST_CHECK;
int l2_tokbin_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err) L2_MUST_CHECK;
int l2_gguf_vocab_read(struct l2_vocab *v, const struct l2_map *m,
                       struct l2_err *err) L2_MUST_CHECK;
/* True when the file begins as a llama2.c tokenizer.bin does, which no SentencePiece model can. */
bool l2_tokbin_detect(const struct l2_map *m);

/* The value of a byte piece's text "<0xNN>", or -1. */
int l2_piece_byte(const char *piece, size_t n);

/* The text of id. */
static inline const char *l2_piece_text(const struct l2_vocab *v, uint32_t id, size_t *n)
{
    *n = v->pieces[id].text_len;
    return (const char *)v->text.data + v->pieces[id].text;
}

#endif
