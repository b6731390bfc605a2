/* Writing vocabularies: into GGUF files, and as SentencePiece models. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VOCAB_WRITE_H
#define L2_VOCAB_WRITE_H

#include "text/vocab.h"
#include "util/buf.h"
#include "util/gguf_build.h"

/* Appends the metadata that describes v to a GGUF file: the model, tokens, scores, types and what
 * is done to text; but not the ids of BOS and EOS, which are the model's. Where the model has more
 * rows than v has ids, unused pieces "[PADn]" fill up. L2_ARGUMENT where it has fewer,
 * L2_UNSUPPORTED where GGUF has no name for the way in which v cuts words. */
int l2_vocab_to_gguf(struct l2_gguf_values *out, const struct l2_vocab *v, uint32_t rows,
                     struct l2_err *err) L2_MUST_CHECK;

/* Appends v as a SentencePiece BPE model. A byte-level vocabulary is L2_UNSUPPORTED. */
int l2_vocab_to_spm(struct l2_buf *out, const struct l2_vocab *v, struct l2_err *err) L2_MUST_CHECK;

#endif
