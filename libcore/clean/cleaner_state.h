/* A cleaner's counts; internal to the cleaner and its report. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CLEANER_STATE_H
#define L2_CLEANER_STATE_H

#include "clean/cleaner.h"
#include "clean/measure.h"
#include "clean/near.h"
#include "clean/seen.h"

enum { L2_EXAMPLE_ID = 80, L2_EXAMPLE_TEXT = 160, L2_MAX_EXAMPLES = 20 };

struct l2_example {
    char id[L2_EXAMPLE_ID];
    char text[L2_EXAMPLE_TEXT]; /* UTF-8, cut */
};

/* What one rule did. */
struct l2_effect {
    const char *name, *kind; /* borrowed; kind: text, replace, line, document */
    uint64_t documents;      /* dropped, or changed */
    uint64_t lines;          /* dropped */
    uint64_t bytes;          /* dropped */
    uint64_t changes;        /* characters, tags or matches that were changed */
    uint64_t gave_up;
    int64_t line;  /* of the rules file; 0: built in */
    uint64_t turn; /* the document that was counted last */
    struct l2_example *examples;
    uint32_t n_examples;
};

/* The effects that every cleaner has; those of rules stand between, see l2_cleaner.effects. */
enum l2_builtin {
    L2_EFFECT_INVALID,
    L2_EFFECT_UNICODE,
    L2_EFFECT_MARKUP,
    L2_EFFECT_CONTROLS,
    L2_EFFECT_SPACES,
    L2_EFFECT_REPEATED_LINE,
    L2_EFFECT_EMPTY,
    L2_EFFECT_DUPLICATE,
    L2_EFFECT_NEAR,
    L2_EFFECT_CONTAMINATED,
    L2_N_BUILTIN
};

struct l2_term_count {
    uint64_t documents, gave_up;
};

struct l2_cleaner {
    struct l2_cleaner_settings s;
    struct l2_effect *effects; /* the built-in ones, then replace, lines, documents */
    size_t n_effects;
    struct l2_effect *replace, *lines, *documents; /* in effects */
    struct l2_measurer *measurer;
    struct l2_seen seen_lines, seen_documents;
    struct l2_near *near;
    struct l2_buf buf[2]; /* the text as it changes, from one to the other */
    uint64_t *tokens;     /* of the present text, for contamination */
    size_t tokens_cap;
    struct l2_term_count *groups; /* (n_groups) */
    struct l2_term_count **terms; /* (n_groups)(terms of the group) */
    uint64_t read, kept, bytes_read, bytes_kept, n_gave_up;
    const char *id, *given; /* of the present text, and itself before any change */
    size_t given_n;
};

#endif
