/* What every program shares: start-up, messages, outputs, the summary line, exit status. Only
 * cmd/common prints or exits. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CLI_H
#define L2_CLI_H

#include <jansson.h>
#include <stdio.h>
#include "common/opt.h"

struct l2_cli;
struct l2_backend;

/* Sets of shared option rows. Every program has --help, --version, --quiet, --verbose, --progress,
 * --config and --print-config. */
enum l2_rows {
    L2_ROWS_OUTPUT = 1,   /* -o, --force */
    L2_ROWS_STREAM = 2,   /* writes a stream: --level, --no-history */
    L2_ROWS_RECORDS = 4,  /* reads streams: --max-record */
    L2_ROWS_PARTIAL = 8,  /* --partial */
    L2_ROWS_ID = 16,      /* --id-prefix */
    L2_ROWS_THREADS = 32, /* -j */
    L2_ROWS_RESUME = 128, /* --resume, --shard */
    L2_ROWS_MODEL = 64    /* -m, -z, --backend, --kv-memory, --batch, --overlong, into cli->model */
};
/* A filter from stream to stream. */
#define L2_ROWS_FILTER (L2_ROWS_OUTPUT | L2_ROWS_STREAM | L2_ROWS_RECORDS)

/* A program, or a subcommand of one. */
struct l2_program {
    const char *name;         /* "l2-score" */
    const char *const *usage; /* lines after the name, NULL-terminated: "[OPTION]... [FILE]..." */
    const char *summary;      /* one sentence for --help */
    const struct l2_opt *options; /* its own table; NULL: none, or all is in subcommands */
    unsigned rows;                /* of enum l2_rows */
    const struct l2_subcommand *subcommands;  /* or NULL; ended by a NULL name */
    const struct l2_backend *const *backends; /* l2_model_backends where it loads a model: --version
                                                 describes them */
    /* Does the work; 0, 1 or 2. Errors have been reported with l2_cli_error. */
    int (*run)(struct l2_cli *cli);
};

struct l2_subcommand {
    const char *name;  /* NULL ends the list */
    const char *usage; /* after the names */
    const char *summary;
    const struct l2_opt *options;
    unsigned rows;
    int (*run)(struct l2_cli *cli);
};

enum l2_verbosity { L2_QUIET = 0, L2_NORMAL = 1, L2_VERBOSE = 2 };

/* Targets of L2_ROWS_MODEL. */
struct l2_engine;
struct l2_model_settings {
    const char *model;
    const char *vocab;
    int backend;            /* index into l2_model_backends */
    int quantize;           /* enum l2_pack_type */
    int activations;        /* 0: as narrow as the weights, 1: f32 */
    const char *pack_cache; /* file, or NULL */
    int kv_type;            /* enum l2_kv_type */
    uint64_t kv_bytes;      /* 0: chosen from the machine's memory and said with -v */
    int64_t batch;          /* rows of one forward pass at most */
    int overlong;           /* enum l2_overlong */
    bool no_prefix_sharing;
    bool unordered; /* records are written as they finish */
    const struct l2_engine *lender; /* of packed weights, see l2_engine_opts; or NULL */
};

/* Settings of the shared rows, filled before run() is called. */
struct l2_cli {
    const struct l2_program *program;
    const struct l2_subcommand *subcommand; /* or NULL */
    struct l2_strings operands;
    int argc;
    char **argv; /* as given, for the history */
    enum l2_verbosity verbosity;
    const char *output; /* -o, or NULL for stdout */
    bool force;
    bool resume;
    const char *shard; /* "I/N", or NULL */
    bool progress;
    bool no_history;
    int64_t threads; /* -j, never 0 here */
    int64_t level;   /* zstd level, or INT64_MIN for the default of the kind of output */
    bool partial;
    uint64_t max_record; /* bytes; 0: the stream's default */
    const char *id_prefix;
    struct l2_model_settings model;
    int status;        /* the largest status so far */
    bool broken;       /* the reader of our output went away: nothing more is said */
    json_t *report;    /* the summary line, an object that programs add to; owned */
    char *settings;    /* YAML of the options that change what is written, for the history; owned */
    char model_id[65]; /* the model's fingerprint, for the history; "" without a model */
    struct l2_progress *progress_state; /* owned; NULL until something was drawn */
};

/* main() of every program: parses, handles --help, --version, --config and --print-config, ignores
 * SIGPIPE, calls run, prints the summary line, closes stdout and checks it. Returns the exit
 * status. */
int l2_cli_main(const struct l2_program *program, int argc, char **argv);

/* Prints "l2-score: file: byte 12: text" and returns 1; a broken pipe (EPIPE) is silent and returns
 * 0; L2_ARGUMENT that names no file is wrong usage, as l2_cli_usage has it. cli->status remembers.
 */
int l2_cli_error(struct l2_cli *cli, const struct l2_err *err);
/* "l2-score: text" and "Try 'l2-score --help' for more information."; returns 2. */
int l2_cli_usage(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);
/* A remark, not with -q. */
void l2_cli_note(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);
/* With -v only. */
void l2_cli_verbose(struct l2_cli *cli, const char *fmt, ...) L2_PRINTF(2, 3);

/* The sizes of the operands together, or of standard input without one; 0 when one is not a file.
 */
uint64_t l2_cli_operand_bytes(const struct l2_cli *cli);

/* Opens -o FILE (a regular file that exists is refused without --force, and emptied with it) or
 * stdout. binary output to a terminal is refused. *name is for messages. */
int l2_cli_open_output(struct l2_cli *cli, bool binary, int *fd, const char **name,
                       struct l2_err *err) L2_MUST_CHECK;
/* Opens -o FILE for reading and writing where it holds something that --resume goes on with; else
 * as l2_cli_open_output, with *resumes false. */
int l2_cli_open_resumed(struct l2_cli *cli, int *fd, const char **name, bool *resumes,
                        struct l2_err *err) L2_MUST_CHECK;
/* Writes all of the output at once: -o FILE, under the rules of l2_cli_open_output, is whole or as
 * it was before. */
int l2_cli_write_output(struct l2_cli *cli, bool binary, const void *data, size_t n,
                        struct l2_err *err) L2_MUST_CHECK;
/* The same for a path of the program's own making (l2-cat --split). */
int l2_cli_create(struct l2_cli *cli, const char *path, bool binary, int *fd,
                  struct l2_err *err) L2_MUST_CHECK;
/* Opens an operand for reading; "-" is stdin. */
int l2_cli_open_input(struct l2_cli *cli, const char *path, int *fd, const char **name,
                      struct l2_err *err) L2_MUST_CHECK;
/* L2_ARGUMENT where fd is a terminal: what to type there is not known to anybody. */
int l2_cli_refuse_terminal(int fd, struct l2_err *err) L2_MUST_CHECK;
/* L2_ARGUMENT where in and out are one regular file that is not empty. */
int l2_cli_refuse_same_file(int in, const char *in_name, int out, struct l2_err *err) L2_MUST_CHECK;
/* Closes what the two above opened, checking output; stdin and stdout stay. */
int l2_cli_close_output(struct l2_cli *cli, int fd, const char *name,
                        struct l2_err *err) L2_MUST_CHECK;
void l2_cli_close_input(int fd);
/* Writes all of data to fd, retrying short writes. */
int l2_cli_write(int fd, const char *name, const void *data, size_t n,
                 struct l2_err *err) L2_MUST_CHECK;

/* Weights of n files as numbers from 0 to 1000: what was given, one for each, or 1. */
int l2_cli_weights(const struct l2_strings *given, double *weights, size_t n,
                   struct l2_err *err) L2_MUST_CHECK;

/* Where r is the data's fault and not the system's, err is told its place (line 0: none), and with
 * skip (--skip-bad) it is counted in *n_bad, the first one told, and L2_OK returned; else r. */
int l2_cli_bad_data(struct l2_cli *cli, bool skip, uint64_t *n_bad, int r, const char *name,
                    int64_t line, struct l2_err *err) L2_MUST_CHECK;

/* Progress on stderr, only with --progress: done of total (0: unknown) in unit, with rate and time
 * left; redrawn at most 5 times a second. */
void l2_cli_progress(struct l2_cli *cli, uint64_t done, uint64_t total, const char *unit);
/* The same where the share that is done (0 to 1; below 0: unknown) is known in other terms than
 * unit. */
void l2_cli_progress_share(struct l2_cli *cli, double share, uint64_t done, const char *unit);
/* Draws the last state and ends the line; nothing where nothing was drawn. */
void l2_cli_progress_done(struct l2_cli *cli);

#endif
