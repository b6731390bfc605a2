/* What every program shares: start-up, messages, outputs, the summary line, exit status. Only cmd/common
 * prints or exits. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CLI_H
#define L2_CLI_H

#include <jansson.h>
#include <stdio.h>
#include "common/opt.h"

struct l2_cli;

/* A program, or a subcommand of one. */
struct l2_program {
    const char *name;              /* "l2-score" */
    const char *const *usage;      /* lines after the name, NULL-terminated: "[OPTION]... [FILE]..." */
    const char *summary;           /* one sentence for --help */
    const struct l2_opt *options;  /* its own table, ended by a NULL name; NULL where all is in subcommands */
    const struct l2_subcommand *subcommands; /* or NULL */
    bool loads_model; /* --version adds the kernels line */
    /* Does the work; 0, 1 or 2. Errors have been reported with l2_cli_error. */
    int (*run)(struct l2_cli *cli);
};

struct l2_subcommand {
    const char *name; /* NULL ends the list */
    const char *usage;
    const char *summary;
    const struct l2_opt *options;
    int (*run)(struct l2_cli *cli);
};

enum l2_verbosity { L2_QUIET = 0, L2_NORMAL = 1, L2_VERBOSE = 2 };

/* Settings of the common rows, filled before run() is called. */
struct l2_cli {
    const struct l2_program *program;
    const struct l2_subcommand *subcommand; /* or NULL */
    struct l2_strings operands;
    int argc;
    char **argv; /* as given, for the history */
    enum l2_verbosity verbosity;
    const char *output; /* -o, or NULL for stdout */
    bool force;
    bool progress;
    bool no_history;
    int64_t threads; /* -j, never 0 here */
    int64_t level;   /* zstd level, or INT64_MIN for the default of the kind of output */
    bool partial;
    uint64_t max_record;
    const char *id_prefix;
    int status;     /* the largest status so far */
    json_t *report; /* the summary line, an object that programs add to; owned */
};

/* main() of every program: parses, handles --help, --version, --config and --print-config, ignores SIGPIPE, calls
 * run, prints the summary line, closes stdout and checks it. Returns the exit status. */
int l2_cli_main(const struct l2_program *program, int argc, char **argv);

/* Prints "l2-score: file: byte 12: text" once; a broken pipe (EPIPE) is silent. Returns 1 (and remembers
 * it), or 0 for EPIPE. */
int l2_cli_error(struct l2_cli *cli, const struct l2_err *err);
/* "l2-score: text" and "Try 'l2-score --help' for more information."; returns 2. */
int l2_cli_usage(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);
/* A remark, not with -q. */
void l2_cli_note(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);
/* With -v only. */
void l2_cli_verbose(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);

/* Opens -o FILE (refused where it exists, without --force) or stdout (refused when binary and a
 * terminal). *name is for messages. */
int l2_cli_open_output(struct l2_cli *cli, bool binary, int *fd, const char **name,
                       struct l2_err *err) L2_MUST_CHECK;
/* Opens an operand for reading; "-" is stdin. */
int l2_cli_open_input(struct l2_cli *cli, const char *path, int *fd, const char **name,
                      struct l2_err *err) L2_MUST_CHECK;
/* Closes what the two above opened, checking output; stdin and stdout stay. */
int l2_cli_close_output(struct l2_cli *cli, int fd, const char *name, struct l2_err *err)
    L2_MUST_CHECK;
void l2_cli_close_input(int fd);
/* Writes all of data to fd, retrying short writes. */
int l2_cli_write(int fd, const char *name, const void *data, size_t n, struct l2_err *err)
    L2_MUST_CHECK;

/* Progress on stderr: done of total (0: unknown) in unit, with rate and ETA; redrawn at most 5 times a second, only with
 * --progress. */
void l2_cli_progress(struct l2_cli *cli, uint64_t done, uint64_t total, const char *unit);
void l2_cli_progress_done(struct l2_cli *cli);

#endif
