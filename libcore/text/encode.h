/* Text to token ids and back. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ENCODE_H
#define L2_ENCODE_H

#include "text/vocab.h"
#include "util/buf.h"
#include "util/ids.h"

/* Encoding: BPE in SentencePiece's way, or over bytes. An encoder keeps working memory and a cache
 * of words; one a thread.
 */
struct l2_encoder;

enum l2_encode_flags {
    L2_ENCODE_CONTINUE = 1 /* a continuation: no dummy prefix */
};

/* v is borrowed and outlives the encoder. Owned, free with l2_encoder_free. */
int l2_encoder_new(struct l2_encoder **out, const struct l2_vocab *v,
                   struct l2_err *err) L2_MUST_CHECK;
void l2_encoder_free(struct l2_encoder *e);
const struct l2_vocab *l2_encoder_vocab(const struct l2_encoder *e);

/* Appends the ids of text[0..n) to out, equal to SentencePiece's; no BOS, no EOS, special pieces in
 * text stay text; added tokens of a tokenizer.json that are not special are met in text. An invalid
 * UTF-8 byte counts as U+FFFD, as SentencePiece has it. */
int l2_encode(struct l2_encoder *e, const char *text, size_t n, unsigned flags, struct l2_ids *out,
              struct l2_err *err) L2_MUST_CHECK;

/* Decoding: keeps back the bytes of an unfinished UTF-8 sequence until it is finished; bytes that
 * can never be part of one come out as U+FFFD each. Control pieces decode to nothing. */
struct l2_decoder {
    const struct l2_vocab *vocab; /* borrowed */
    bool at_start;                /* the dummy prefix's space is still to be dropped */
    char held[4];
    size_t n_held;
};

/* continuation: text that follows other text, whose first space is kept. */
void l2_decoder_init(struct l2_decoder *d, const struct l2_vocab *v, bool continuation);
/* Appends what is decided. id must be < l2_vocab_size. */
int l2_decode_id(struct l2_decoder *d, uint32_t id, struct l2_buf *out,
                 struct l2_err *err) L2_MUST_CHECK;
/* Appends what was held back, as U+FFFD. */
int l2_decode_finish(struct l2_decoder *d, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
/* All of it at once. */
int l2_decode(const struct l2_vocab *v, const uint32_t *ids, size_t n, bool continuation,
              struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
