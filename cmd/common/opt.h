/* The option table: one row holds an option's name, letter, argument, help and target, so that the
 * parser, --help, --print-config and the configuration file cannot drift apart. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OPT_H
#define L2_OPT_H

#include <stdbool.h>
#include "util/arena.h"
#include "util/buf.h"
#include "util/err.h"

enum l2_opt_kind {
    L2_OPT_HEADING, /* no option: help is a heading of --help */
    L2_OPT_FLAG,   /* bool *; --NAME sets, --no-NAME clears it (of a "no-NAME", --NAME clears it) */
    L2_OPT_STRING, /* const char ** */
    L2_OPT_LIST,   /* struct l2_strings *; may be repeated */
    L2_OPT_INT,    /* int64_t *, within [min, max] */
    L2_OPT_SEED,   /* uint64_t *, the whole range */
    L2_OPT_REAL,   /* double *, within [min, max] */
    L2_OPT_BYTES,  /* uint64_t *, with suffix K M G T */
    L2_OPT_CHOICE, /* int *: index into choices */
    L2_OPT_CALL    /* call(target, value, err), once for each time it is given */
};

struct l2_strings {
    const char **v; /* the array is owned by struct l2_options, the strings live as long */
    size_t n;
};

struct l2_opt {
    const char *name; /* long, without dashes; "" for a heading; NULL ends a table */
    char letter;      /* or 0 */
    enum l2_opt_kind kind;
    const char *arg; /* name of the argument in --help, NULL for flags */
    const char *help;
    void *target;               /* holds the default before parsing */
    double min, max;            /* INT and REAL; both 0: no limits */
    const char *const *choices; /* CHOICE: NULL-terminated names */
    const char
        *default_text; /* what --help shows as the default instead of target's value; "": nothing */
    bool is_path;      /* values in a configuration file are relative to that file */
    bool *given;       /* set when the option was given; may be NULL */
    bool not_in_config; /* command line only (--help, --config, ...) */
    bool no_effect; /* on what is written: speed, messages, places; the history leaves it out, and
                       --resume may change it */
    bool (*call)(void *target, const char *value, struct l2_err *err);
};

#define L2_OPT_TITLE(text)                                                                         \
    {                                                                                              \
        .name = "", .kind = L2_OPT_HEADING, .help = text                                           \
    }
#define L2_OPT_TABLE_END                                                                           \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* An option as the command line gives it. */
struct l2_opt_given {
    const struct l2_opt *opt;
    const char *value; /* "true" or "false" for a flag */
};

/* A program's options in one run. Caller's storage. */
struct l2_options {
    const struct l2_opt *const *tables; /* NULL-terminated array of tables; borrowed */
    struct l2_arena arena;              /* lists, and strings of the configuration file */
    struct l2_opt_given *given;         /* the command line's, in order; in arena */
    size_t n_given;
    struct l2_opt_given *called; /* values that were set of CALL rows; in arena */
    size_t n_called;
};

void l2_options_init(struct l2_options *o, const struct l2_opt *const *tables);
void l2_options_release(struct l2_options *o); /* string and list targets become invalid */

/* Reads argv into o->given without setting anything. Options and operands may be mixed; "--" ends
 * options; names may be cut short where that is unambiguous. argv is permuted. operands gets what
 * is left. L2_ARGUMENT on wrong usage. */
int l2_options_scan(struct l2_options *o, int argc, char **argv, struct l2_strings *operands,
                    struct l2_err *err) L2_MUST_CHECK;
/* Sets the targets from o->given. A list given here replaces what the target held. */
int l2_options_apply(struct l2_options *o, struct l2_err *err) L2_MUST_CHECK;
/* The last value given to the row, or NULL. */
const char *l2_options_value(const struct l2_options *o, const struct l2_opt *row);

/* Sets one option from text, as both the command line and the configuration file do; lists grow.
 * value must live as long as o. The error's text says what was wanted and what was found, not the
 * name. */
int l2_options_set(struct l2_options *o, const struct l2_opt *row, const char *value,
                   struct l2_err *err) L2_MUST_CHECK;
/* The row of that name (headings have none), or NULL. */
const struct l2_opt *l2_opt_find(const struct l2_opt *const *tables, const char *name);

/* The options part of --help, wrapped to 80 columns, with defaults where the targets hold some. */
int l2_opt_help(const struct l2_opt *const *tables, struct l2_buf *out,
                struct l2_err *err) L2_MUST_CHECK;
/* Appends text wrapped to 80 columns, every line but the first indented; column is where it starts.
 */
int l2_opt_wrap(struct l2_buf *out, const char *text, size_t column, size_t indent,
                struct l2_err *err) L2_MUST_CHECK;

#endif
