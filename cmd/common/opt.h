/* The option table: one row holds an option's name, letter, argument, help and target, so that the
 * parser, --help, --print-config and the configuration file cannot drift apart. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_OPT_H
#define L2_OPT_H

#include <stdbool.h>
#include "util/buf.h"
#include "util/err.h"

enum l2_opt_kind {
    L2_OPT_FLAG,   /* bool *; also --no-NAME where the row says so */
    L2_OPT_STRING, /* const char ** */
    L2_OPT_LIST,   /* struct l2_strings *; may be repeated */
    L2_OPT_INT,    /* int64_t *, within [min, max] */
    L2_OPT_SEED,   /* uint64_t *, the whole range */
    L2_OPT_REAL,   /* double *, within [min, max] */
    L2_OPT_BYTES,  /* uint64_t *, with suffix K M G T */
    L2_OPT_CHOICE, /* int *: index into choices */
    L2_OPT_CALL    /* bool (*)(void *target, const char *value, struct l2_err *) */
};

struct l2_strings {
    const char **v; /* the array is owned by the option parser, the strings are borrowed */
    size_t n;
};

struct l2_opt {
    const char *name; /* long, without dashes; NULL ends a table; "" with only help: a heading */
    char letter;      /* or 0 */
    enum l2_opt_kind kind;
    const char *arg; /* name of the argument in --help, NULL for flags */
    const char *help;
    void *target;
    double min, max;            /* INT and REAL */
    const char *const *choices; /* CHOICE: NULL-terminated names */
    bool is_path;               /* values in a configuration file are relative to that file */
    bool *given;                /* set when the option was given; may be NULL */
    bool not_in_config;         /* command line only (--help, --config, ...) */
    bool (*call)(void *target, const char *value, struct l2_err *err);
};

/* Parses argv by the tables (a NULL-terminated array of tables). Options and operands may be mixed; "--" ends
 * options. operands gets what is left (array owned by the parser). L2_ARGUMENT on wrong usage. */
int l2_opt_parse(const struct l2_opt *const *tables, int argc, char **argv,
                 struct l2_strings *operands, struct l2_err *err) L2_MUST_CHECK;

/* Sets one option from text, as both the command line and the configuration file do. */
int l2_opt_set(const struct l2_opt *o, const char *value, struct l2_err *err) L2_MUST_CHECK;
const struct l2_opt *l2_opt_find(const struct l2_opt *const *tables, const char *name);

/* The options part of --help, wrapped to 80 columns, with defaults where the targets hold some. */
int l2_opt_help(const struct l2_opt *const *tables, struct l2_buf *out, struct l2_err *err)
    L2_MUST_CHECK;
/* --print-config: the settings in force as YAML that --config reads back. */
int l2_opt_print_config(const struct l2_opt *const *tables, const char *section, struct l2_buf *out,
                        struct l2_err *err) L2_MUST_CHECK;

#endif
