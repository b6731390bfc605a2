/* Cleaning texts one after the other, and what every rule did to them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CLEANER_H
#define L2_CLEANER_H

#include <jansson.h>
#include "clean/contam.h"
#include "clean/rules.h"
#include "text/encode.h"

struct l2_cleaner_settings {
    const struct l2_rules *rules; /* borrowed */
    uint64_t memory;              /* bytes for all tables of duplicates */
    uint64_t seed;                /* of the signatures */
    uint32_t examples;            /* of what a rule dropped, kept for the report */
    struct l2_contam *contam;     /* indexed; borrowed; may be NULL */
    struct l2_encoder *encoder;   /* whose tokens contam holds; NULL: words. Borrowed */
};

struct l2_cleaner;

/* Takes its memory at once. Owned, free with l2_cleaner_free. */
int l2_cleaner_new(struct l2_cleaner **out, const struct l2_cleaner_settings *s,
                   struct l2_err *err) L2_MUST_CHECK;
void l2_cleaner_free(struct l2_cleaner *c);
/* One line that says what the tables take and hold: "lines 64.0 MiB (room for 7340032), ..."; empty
 * where there are none. */
int l2_cleaner_describe(const struct l2_cleaner *c, struct l2_buf *out,
                        struct l2_err *err) L2_MUST_CHECK;

/* What became of a text. */
struct l2_cleaned {
    bool keep;
    bool changed;     /* text is not what was given */
    const char *text; /* what is left; valid until the next text or the end of the given one */
    size_t n;
    const char *why; /* the rule that dropped it; NULL where kept */
    /* A rule whose pattern met its limits for the first time, and the line of its file; NULL: none.
     * The rule did nothing to this text. */
    const char *gave_up;
    int64_t gave_up_line;
};

/* Cleans text[0..n). id is for examples. */
int l2_cleaner_clean(struct l2_cleaner *c, const char *id, const char *text, size_t n,
                     struct l2_cleaned *out, struct l2_err *err) L2_MUST_CHECK;

/* How often patterns met their limits so far. */
uint64_t l2_cleaner_n_gave_up(const struct l2_cleaner *c);
/* True when a table was full, and some duplicates may not have been found. */
bool l2_cleaner_was_full(const struct l2_cleaner *c);

/* The tokens by which contamination is found: ids where there is an encoder, else hashes of words.
 * *v grows and is owned by the caller, free with free. */
int l2_contam_tokens(struct l2_encoder *encoder, const char *text, size_t n, uint64_t **v,
                     size_t *cap, size_t *n_tokens, struct l2_err *err) L2_MUST_CHECK;

/* The report as JSON: documents, rules, tables, contamination, terms. Owned by the caller. NULL:
 * out of memory. */
json_t *l2_cleaner_report(const struct l2_cleaner *c);
/* The same, and what a caller added under "sources", as text in columns. */
int l2_clean_table(const json_t *report, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
