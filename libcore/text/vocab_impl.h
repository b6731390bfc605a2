/* The inside of a vocabulary, shared by its readers and the encoder. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VOCAB_IMPL_H
#define L2_VOCAB_IMPL_H

#include "text/bpe.h"
#include "text/piece_index.h"
#include "text/split.h"
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
    bool dummy_prefix;     /* encoding puts a space before the text */
    bool prefix_once;      /* but not where it begins with one, nor behind a user-defined piece */
    bool keep_first_space; /* decoding keeps it */
    bool no_bos;           /* BOS is not put before texts */
    bool remove_extra_spaces; /* encoding strips and collapses runs of spaces */
    bool byte_fallback;       /* unknown characters become their bytes' pieces */
    bool has_user_defined, has_unused;
    bool user_cuts;     /* user-defined pieces cut the text before anything else is done to it */
    bool listed;        /* merges has the order of merging, not the scores */
    bool byte_level;    /* listed, from bytes in GPT-2's alphabet, word by word */
    bool ignore_merges; /* byte_level: a word that is a piece is that piece */
    struct l2_merge *merges; /* owned */
    size_t n_merges;
    struct l2_splitter splitter; /* of byte_level */
    struct l2_piece_index index; /* of byte_level: pieces that words can be */
    uint32_t byte_symbols[256];  /* of byte_level: the piece of each byte, or L2_NO_ID */
    uint32_t *specials;          /* owned; control and user-defined pieces, sorted by text */
    size_t n_specials;
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
int l2_tokjson_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err) L2_MUST_CHECK;
/* True when the file begins as a JSON object does. */
bool l2_tokjson_detect(const struct l2_map *m);
/* Sets bos and eos as a tokenizer_config.json says. */
int l2_tokjson_config(struct l2_vocab *v, const char *path, struct l2_err *err) L2_MUST_CHECK;
/* True when the file begins as a llama2.c tokenizer.bin does, which no SentencePiece model can. */
bool l2_tokbin_detect(const struct l2_map *m);

/* The code point that stands for a byte in GPT-2's alphabet, below 512. */
uint32_t l2_byte_char(uint8_t byte);
/* And back; -1 where it stands for none. */
int l2_byte_of_char(uint32_t cp);

/* Appends the merge of two pieces given by their texts; index has the pieces that can be.
 * L2_CORRUPT where one of them or the two together are no piece. */
int l2_merge_add(struct l2_vocab *v, const struct l2_piece_index *index, const char *left,
                 size_t n_left, const char *right, size_t n_right, const char *file,
                 struct l2_err *err) L2_MUST_CHECK;
/* The index for that: of all pieces but control ones. */
int l2_merge_index(const struct l2_vocab *v, struct l2_piece_index *out, const char *file,
                   struct l2_err *err) L2_MUST_CHECK;
/* Scores of a listed vocabulary, and byte_symbols and index of a byte-level one. */
int l2_merges_finish(struct l2_vocab *v, const char *file, struct l2_err *err) L2_MUST_CHECK;

/* The value of a byte piece's text "<0xNN>", or -1. */
int l2_piece_byte(const char *piece, size_t n);

/* The text of id. */
static inline const char *l2_piece_text(const struct l2_vocab *v, uint32_t id, size_t *n)
{
    *n = v->pieces[id].text_len;
    return (const char *)v->text.data + v->pieces[id].text;
}

#endif
