/* Chat templates: dialogues as token ids. Special tokens are put in by id, never parsed out of
 * text. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEMPLATE_H
#define L2_TEMPLATE_H

#include "text/encode.h"
#include "util/buf.h"

struct l2_template; /* a row of the static table of templates */

/* NULL when there is none of that name. */
const struct l2_template *l2_template_find(const char *name);
const char *l2_template_name(const struct l2_template *t);
/* The names, comma separated, for help and errors. */
const char *l2_template_names(void);

/* The template that a Jinja text stands for: one that puts out nothing but what a template of the
 * table does. NULL where it is none of them, or might not be. */
const struct l2_template *l2_template_recognise(const char *jinja, size_t n);

/* Appends the Jinja text of the chat template of the model that a vocabulary is of, by the path
 * that l2_vocab_open takes: from chat_template.jinja, tokenizer_config.json, or GGUF's
 * tokenizer.chat_template. *found is false where there is none. */
int l2_template_text(struct l2_buf *out, bool *found, const char *path,
                     struct l2_err *err) L2_MUST_CHECK;

/* The template that it stands for. *out is NULL where there is none; one that is not recognised is
 * L2_UNSUPPORTED. */
int l2_template_of_vocab(const struct l2_template **out, const char *path,
                         struct l2_err *err) L2_MUST_CHECK;

/* A turn as text; role is "system", "user" or "assistant". Borrowed. */
struct l2_turn {
    const char *role;
    const char *content;
    size_t content_len;
    /* ids of an earlier answer that l2 generated, spliced in instead of content; NULL: none */
    const uint32_t *ids;
    size_t n_ids;
};

/* Renders turns[0..n) as a prompt to out, BOS included. Where the last turn is the user's, the
 * prompt is ready for the answer. spans (may be NULL) gets [begin,end) pairs of the assistant
 * turns' ids, relative to the start of out. Roles in an order that the template has no form for are
 * L2_ARGUMENT. */
int l2_template_prompt(const struct l2_template *t, struct l2_encoder *e,
                       const struct l2_turn *turns, size_t n, struct l2_ids *out,
                       struct l2_ids *spans, struct l2_err *err) L2_MUST_CHECK;

/* Renders turns as the completion of a prompt (assistant first, then alternating), without the
 * final EOS where with_eos is false. spans as above. */
int l2_template_completion(const struct l2_template *t, struct l2_encoder *e,
                           const struct l2_turn *turns, size_t n, bool with_eos, struct l2_ids *out,
                           struct l2_ids *spans, struct l2_err *err) L2_MUST_CHECK;

#endif
