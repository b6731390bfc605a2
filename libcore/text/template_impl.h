/* What the chat templates share: the parts that a rendered dialogue is put together from. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEMPLATE_IMPL_H
#define L2_TEMPLATE_IMPL_H

#include "text/template.h"

/* What a template renders to, and what it needs for that. */
struct l2_render {
    const struct l2_template *t;
    const struct l2_vocab *v;
    struct l2_encoder *e;
    struct l2_ids *out;
    struct l2_ids *spans; /* or NULL */
    size_t base;          /* where spans are counted from */
    struct l2_buf text;   /* of the part being put together */
};

/* How a template with a header before each turn writes it: open role close between, the content,
 * end, after. open, close and end are pieces, put in by id. */
struct l2_header_form {
    const char *open;    /* NULL: none; then the role is put as the text "<|role|>" */
    const char *close;   /* or NULL */
    const char *between; /* text between header and content */
    const char *end;     /* NULL: EOS */
    const char *after;   /* text behind it, before the next turn */
    bool strips;         /* white space around contents goes */
    bool bos;            /* BOS always; else where the vocabulary puts one before texts */
};

struct l2_template {
    const char *name;
    /* turns[0..n) from the start of a dialogue */
    int (*prompt)(struct l2_render *r, const struct l2_turn *turns, size_t n, struct l2_err *err);
    /* turns[0..n) after a prompt that ends with the user's turn */
    int (*completion)(struct l2_render *r, const struct l2_turn *turns, size_t n, bool with_eos,
                      struct l2_err *err);
    const struct l2_header_form *form; /* of those with headers */
};

int l2_inst_llama2_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n,
                          struct l2_err *err) L2_MUST_CHECK;
int l2_inst_llama2_completion(struct l2_render *r, const struct l2_turn *turns, size_t n,
                              bool with_eos, struct l2_err *err) L2_MUST_CHECK;
int l2_inst_mistral_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n,
                           struct l2_err *err) L2_MUST_CHECK;
int l2_inst_mistral_completion(struct l2_render *r, const struct l2_turn *turns, size_t n,
                               bool with_eos, struct l2_err *err) L2_MUST_CHECK;
int l2_headed_prompt(struct l2_render *r, const struct l2_turn *turns, size_t n,
                     struct l2_err *err) L2_MUST_CHECK;
int l2_headed_completion(struct l2_render *r, const struct l2_turn *turns, size_t n, bool with_eos,
                         struct l2_err *err) L2_MUST_CHECK;

/* Takes white space off both ends, as Python's str.strip() has it, which the published templates
 * were written with. */
void l2_render_strip(const char **s, size_t *n);
bool l2_turn_is(const struct l2_turn *t, const char *role);
/* The roles must alternate, beginning with first. */
int l2_turns_alternate(const struct l2_turn *turns, size_t n, const char *first,
                       struct l2_err *err) L2_MUST_CHECK;
/* Puts a piece by its id; L2_NO_ID is an error that says what is missing. */
int l2_render_id(struct l2_render *r, uint32_t id, const char *what,
                 struct l2_err *err) L2_MUST_CHECK;
int l2_render_bos(struct l2_render *r, struct l2_err *err) L2_MUST_CHECK;
int l2_render_eos(struct l2_render *r, struct l2_err *err) L2_MUST_CHECK;
/* Adds to the text being gathered; encodes it and empties it. */
int l2_render_add(struct l2_render *r, const char *s, size_t n, struct l2_err *err) L2_MUST_CHECK;
int l2_render_flush(struct l2_render *r, unsigned flags, struct l2_err *err) L2_MUST_CHECK;
/* Notes [begin, here) as an answer. */
int l2_render_span(struct l2_render *r, size_t begin, struct l2_err *err) L2_MUST_CHECK;

#endif
