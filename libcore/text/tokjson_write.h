/* Writing a byte-level vocabulary as a tokenizer.json. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TOKJSON_WRITE_H
#define L2_TOKJSON_WRITE_H

#include "text/vocab.h"
#include "util/buf.h"

/* Appends v as a tokenizer.json, which l2_vocab_open reads as the same vocabulary. One that is not
 * byte-level is L2_UNSUPPORTED: SentencePiece has a form of its own. */
int l2_vocab_to_tokjson(struct l2_buf *out, const struct l2_vocab *v,
                        struct l2_err *err) L2_MUST_CHECK;

/* Appends the tokenizer_config.json that belongs to it or to a SentencePiece model: which pieces
 * are BOS and EOS, whether BOS is put before texts, and the chat template (Jinja, UTF-8; NULL:
 * none). */
int l2_vocab_to_tokconfig(struct l2_buf *out, const struct l2_vocab *v, const char *jinja, size_t n,
                          struct l2_err *err) L2_MUST_CHECK;

#endif
