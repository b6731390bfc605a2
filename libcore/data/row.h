/* A row of JSON taken apart: what is the prompt, what are the completions, in which form. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ROW_H
#define L2_ROW_H

#include <jansson.h>
#include <stdbool.h>
#include "util/err.h"

/* Which fields a row's text is in. */
enum l2_form {
    L2_FORM_TEXT,
    L2_FORM_PROMPT,
    L2_FORM_PROMPT_COMPLETION,
    L2_FORM_PROMPT_COMPLETIONS, /* l2's own, for any number of completions */
    L2_FORM_MESSAGES,
    L2_FORM_PROMPT_PAIR, /* prompt, chosen, rejected */
    L2_FORM_PAIR,        /* chosen, rejected */
    L2_N_FORMS
};

/* What the fields' values are. All but the first are rendered by a template. */
enum l2_style {
    L2_STYLE_PLAIN,    /* texts, encoded as they are */
    L2_STYLE_MESSAGES, /* lists of {role, content} */
    L2_STYLE_HH,       /* texts that are dialogues */
    L2_STYLE_TURN,     /* texts that are turns: the user's, and answers to it */
    L2_N_STYLES
};

/* A record's shape is "FORM" or "FORM:STYLE"; "lines" is read as "text". False: neither. */
bool l2_shape_parse(const char *s, size_t n, enum l2_form *form, enum l2_style *style);
/* Writes it; out has at least L2_SHAPE_MAX bytes. */
#define L2_SHAPE_MAX 64
void l2_shape_format(enum l2_form form, enum l2_style style, char *out);

/* A prompt or a completion. */
struct l2_side {
    const char *s; /* borrowed from the row; NULL where only turns are known */
    size_t n;
    json_t *turns; /* owned; NULL in plain style */
    json_t *notes; /* borrowed: an object with finish, scores, ...; NULL: none */
};

struct l2_row {
    enum l2_form form;
    enum l2_style style;
    struct l2_side prompt;
    struct l2_side *completions; /* owned */
    size_t n_completions;
    json_t *margin; /* borrowed; NULL: none */
    json_t *meta;   /* owned; NULL: none */
};

/* Takes a row apart. templated: dialogues will be rendered. Caller's storage, to be released in any
 * case. */
int l2_row_parse(struct l2_row *r, const json_t *row, bool templated,
                 struct l2_err *err) L2_MUST_CHECK;
void l2_row_release(struct l2_row *r);

#endif
