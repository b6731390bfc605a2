/* The inside of the reader of tokenizer.json: pieces in one file, steps around them in another. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TOKJSON_H
#define L2_TOKJSON_H

#include <jansson.h>
#include "text/vocab_impl.h"

/* Largest tokenizer_config.json. */
#define L2_TOKJSON_MAX_CONFIG ((size_t)16 << 20)

struct l2_tokjson {
    struct l2_vocab *v;
    const json_t *root; /* borrowed */
    const char *file;
};

/* Reads normalizer, pre_tokenizer, post_processor and decoder, once the pieces are there; the
 * pre-tokenizer has said before whether the vocabulary is byte-level. */
int l2_tokjson_steps(struct l2_tokjson *t, struct l2_err *err) L2_MUST_CHECK;
/* Whether the pre-tokenizer or the decoder works on bytes. */
bool l2_tokjson_is_byte_level(const json_t *root);

/* L2_OK when every member of obj is one of names (NULL-terminated). */
int l2_tokjson_only(const struct l2_tokjson *t, const json_t *obj, const char *what,
                    const char *const *names, struct l2_err *err) L2_MUST_CHECK;
/* The id of a piece by its text, in the whole vocabulary; L2_NO_ID where there is none. */
uint32_t l2_tokjson_find(const struct l2_vocab *v, const char *s, size_t n);

#endif
