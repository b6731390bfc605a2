/* Pre-prompts for safety context distillation (section 4.2.4 of the paper): a prompt is answered
 * under a text like "you are a safe and responsible assistant", and the answer kept without it. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PREPROMPT_H
#define L2_PREPROMPT_H

#include "data/dialogue.h"
#include "stream/record.h"

/* The pre-prompts of prompts that belong to no category. */
#define L2_PREPROMPT_GENERIC "generic"

struct l2_preprompt {
    const char *name; /* "CATEGORY/N", N from 1 */
    const char *text;
    uint64_t used; /* records that have it; the caller's to count */
};

struct l2_preprompts; /* by category */

/* Reads YAML, categories with a text or a list of texts each. What is wrong with it is L2_FORMAT or
 * L2_CORRUPT with file and line. Owned, free with l2_preprompts_free. */
int l2_preprompts_read(struct l2_preprompts **out, const char *text, size_t n, const char *file,
                       struct l2_err *err) L2_MUST_CHECK;
/* One text for all prompts. */
int l2_preprompts_of_text(struct l2_preprompts **out, const char *text,
                          struct l2_err *err) L2_MUST_CHECK;
void l2_preprompts_free(struct l2_preprompts *p);

/* All of them, *n, in the file's order. */
const struct l2_preprompt *l2_preprompts_all(const struct l2_preprompts *p, size_t *n);

/* One for rec: of the category that meta has in field (NULL: none is looked for), else a generic
 * one, by chance that depends on the seed and on rec's id alone. *unknown is true where the
 * category has none of its own. L2_FORMAT where there is no generic one either. */
int l2_preprompts_choose(struct l2_preprompts *p, const struct l2_record *rec, const char *field,
                         uint64_t seed, struct l2_preprompt **out, bool *unknown,
                         struct l2_err *err) L2_MUST_CHECK;

/* ---- records ----
 * While a record has a pre-prompt its field "preprompt" is {name, plain}: plain is a record of its
 * own with what adding changes. A completion's gen.preprompt is the name of what it was made under,
 * false where that was nothing and it stood there before a pre-prompt was added; completions
 * without it were made plainly. */

enum l2_preprompt_place {
    L2_PREPROMPT_SYSTEM, /* the system turn, or before its text */
    L2_PREPROMPT_USER,   /* before the text of the first user turn */
    L2_PREPROMPT_START   /* ids at the start of the prompt, after BOS: no messages are needed */
};

/* Where and how pre-prompts are put. All is borrowed. */
struct l2_preprompt_opts {
    enum l2_preprompt_place place;
    struct l2_dialogue *dialogue; /* SYSTEM and USER */
    struct l2_encoder *encoder;   /* START */
};

/* What is wrong with rec (another template, no messages, a pre-prompt that is there) is L2_FORMAT
 * or L2_ARGUMENT; rec is not to be used then. */
int l2_preprompt_add(const struct l2_preprompt_opts *o, const struct l2_preprompt *p,
                     struct l2_record *rec, struct l2_err *err) L2_MUST_CHECK;

/* Makes prompt, messages and spans what they were before, to the id, and names the pre-prompt in
 * the completions that were made under it. *had is false where rec has none. rec borrows from
 * scratch, which has been initialised. */
int l2_preprompt_remove(struct l2_record *rec, struct l2_record *scratch, bool *had,
                        struct l2_err *err) L2_MUST_CHECK;

/* Whether the completion was made under a pre-prompt. */
int l2_preprompt_is_under(const struct l2_completion *c, bool *under,
                          struct l2_err *err) L2_MUST_CHECK;

#endif
