/* main() of every program: options, --help, --version, the configuration, the summary line, the
 * exit status. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/completion.h"
#include "common/config_file.h"
#include "common/message.h"
#include "common/progress.h"
#include "common/rows.h"
#include "kern/backend.h"
#include "kern/simd.h"

/* One run of a program. */
struct session {
    struct l2_cli cli;
    struct l2_rows_targets targets;
    struct l2_opt model_rows[L2_ROWS_MAX], common_rows[L2_ROWS_MAX];
    const struct l2_opt *tables[4];
    struct l2_options options;
    char **args; /* argv for getopt to permute; owned */
    double began;
};

/* Descriptors 0 to 2 that the caller closed are taken, so that no file that we open becomes
 * "standard output"; reading or writing them fails as before. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return;
}

/* jansson takes no notice of some allocations that fail, and makes texts with characters missing.
 * So none fails for it: where memory is short for JSON, the program ends. */
static const char *program_name; /* for json_alloc, which gets no argument of ours */

static void *json_alloc(size_t n)
{
    void *p = malloc(n);
    if (!p && n > 0) {
        fprintf(stderr, "%s: out of memory: could not allocate %zu bytes\n", program_name, n);
        _exit(1);
    }
    return p;
}

/* ---- --help and --version ---- */

static int help_usage(const struct l2_cli *cli, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_program *p = cli->program;
    if (cli->subcommand)
        return l2_buf_printf(out, err, "Usage: %s %s %s\n", p->name, cli->subcommand->name,
                             cli->subcommand->usage);
    for (size_t i = 0; p->usage[i]; i++) {
        int r = l2_buf_printf(out, err, "%s %s %s\n", i == 0 ? "Usage:" : "      ", p->name,
                              p->usage[i]);
        if (r < 0)
            return r;
    }
    return L2_OK;
}

static int help_subcommands(const struct l2_cli *cli, struct l2_buf *out, struct l2_err *err)
{
    const size_t column = 14;
    const struct l2_subcommand *s = cli->program->subcommands;
    if (!s || cli->subcommand)
        return L2_OK;
    int r = l2_buf_append_str(out, "\nSubcommands:\n", err);
    for (; r == L2_OK && s->name; s++) {
        r = l2_buf_printf(out, err, "  %-*s", (int)column - 2, s->name);
        if (r == L2_OK)
            r = l2_opt_wrap(out, s->summary, column, column, err);
    }
    if (r == L2_OK)
        r = l2_buf_printf(out, err, "'%s SUBCOMMAND --help' tells a subcommand's options.\n",
                          cli->program->name);
    return r;
}

static int print_help(struct session *s, struct l2_err *err)
{
    struct l2_buf out = {0};
    const struct l2_cli *cli = &s->cli;
    const char *summary = cli->subcommand ? cli->subcommand->summary : cli->program->summary;

    int r = help_usage(cli, &out, err);
    if (r == L2_OK)
        r = l2_opt_wrap(&out, summary, 0, 0, err);
    if (r == L2_OK)
        r = help_subcommands(cli, &out, err);
    if (r == L2_OK && s->tables[0]->name && s->tables[0]->kind != L2_OPT_HEADING)
        r = l2_buf_append_str(&out, "\nOptions:\n", err);
    if (r == L2_OK)
        r = l2_opt_help(s->tables, &out, err);
    if (r == L2_OK)
        r = l2_buf_printf(&out, err,
                          "\nExit status: 0 done, 1 failed, 2 wrong usage. More: man %s\n",
                          cli->program->name);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}

static int print_version(const struct l2_cli *cli, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r =
        l2_buf_printf(&out, err, "%s (%s) %s\n", cli->program->name, PACKAGE_NAME, PACKAGE_VERSION);
    const struct l2_backend *const *b = cli->program->backends;
    for (; r == L2_OK && b && *b; b++) {
        char line[256];
        (*b)->describe(line, sizeof line);
        r = l2_buf_printf(&out, err, "kernels: %s\n", line);
    }
    if (r == L2_OK && cli->program->backends)
        r = l2_buf_printf(&out, err, "instructions: %s\n", l2_simd_best()->name);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}

static int print_config(struct session *s, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r = l2_config_print(&s->options, s->cli.program, s->cli.subcommand, false, &out, err);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}

static int build_tables(struct session *s)
{
    struct l2_cli *cli = &s->cli;
    const struct l2_opt *own = cli->subcommand ? cli->subcommand->options : cli->program->options;
    unsigned rows = cli->subcommand ? cli->subcommand->rows : cli->program->rows;
    size_t n = 0;

    l2_rows_build(rows, cli, &s->targets, s->model_rows, s->common_rows);
    if (own)
        s->tables[n++] = own;
    s->tables[n++] = s->model_rows;
    s->tables[n++] = s->common_rows;
    s->tables[n] = NULL;
    l2_options_init(&s->options, s->tables);
    return L2_OK;
}

static int print_completion(struct session *s, const char *shell, struct l2_err *err)
{
    const struct l2_program *p = s->cli.program;
    struct l2_completion_part parts[16];
    struct session subs[16]; /* for their tables */
    struct l2_buf out = {0};
    size_t n = 0;
    if (strcmp(shell, "bash") != 0 && strcmp(shell, "zsh") != 0)
        return l2_err_set(err, L2_ARGUMENT, "--print-completion: want bash or zsh, got '%s'",
                          shell);
    if (!p->subcommands || s->cli.subcommand)
        parts[n++] = (struct l2_completion_part){NULL, s->tables};
    for (const struct l2_subcommand *c = p->subcommands;
         c && c->name && n < 16 && !s->cli.subcommand; c++, n++) {
        subs[n] = (struct session){.cli = {.program = p, .subcommand = c}};
        build_tables(&subs[n]);
        parts[n] = (struct l2_completion_part){c->name, subs[n].tables};
    }
    int r = l2_completion_print(strcmp(shell, "zsh") == 0 ? L2_ZSH : L2_BASH, p->name, parts, n,
                                &out, err);
    if (r == L2_OK)
        r = l2_cli_write(STDOUT_FILENO, "standard output", out.data, out.len, err);
    l2_buf_release(&out);
    return r;
}

/* ---- options ---- */

/* The subcommand that argv[1] names; NULL where it is an option, or where err is set. */
static const struct l2_subcommand *find_subcommand(const struct l2_program *p, int argc,
                                                   char **argv, struct l2_err *err)
{
    char names[256] = "";
    err->code = L2_OK;
    if (argc > 1 && argv[1][0] == '-' && argv[1][1])
        return NULL;
    for (const struct l2_subcommand *s = p->subcommands; s->name; s++) {
        if (argc > 1 && strcmp(s->name, argv[1]) == 0)
            return s;
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n > 0 ? ", " : "", s->name);
    }
    if (argc > 1)
        (void)l2_err_set(err, L2_ARGUMENT, "want a subcommand out of %s, got '%s'", names, argv[1]);
    else
        (void)l2_err_set(err, L2_ARGUMENT, "want a subcommand: %s", names);
    return NULL;
}

/* Reads the command line without acting on it. */
static int scan(struct session *s, struct l2_err *err)
{
    struct l2_cli *cli = &s->cli;
    int skip = 0;

    if (cli->program->subcommands) {
        cli->subcommand = find_subcommand(cli->program, cli->argc, cli->argv, err);
        if (err->code != L2_OK)
            return err->code;
        skip = cli->subcommand ? 1 : 0;
    }
    build_tables(s);
    s->args = calloc((size_t)cli->argc + 1, sizeof *s->args);
    if (!s->args)
        return l2_err_memory(err, (size_t)cli->argc * sizeof *s->args);
    for (int i = skip; i < cli->argc; i++)
        s->args[i - skip] = cli->argv[i];
    return l2_options_scan(&s->options, cli->argc - skip, s->args, &cli->operands, err);
}

static const char *given(const struct session *s, const char *name)
{
    return l2_options_value(&s->options, l2_opt_find(s->tables, name));
}

/* Sets all targets: the files that --config names, in order, then the command line. 0, or an exit
 * status after the error has been reported. */
static int configure(struct session *s)
{
    struct l2_err err;
    struct l2_cli *cli = &s->cli;
    struct l2_rows_targets *t = &s->targets;

    for (size_t i = 0; i < s->options.n_given; i++) {
        const struct l2_opt_given *g = &s->options.given[i];
        if (strcmp(g->opt->name, "config") != 0)
            continue;
        int r = l2_config_load(&s->options, g->value, cli->program, cli->subcommand, &err);
        if (r < 0) {
            l2_cli_error(cli, &err);
            return r == L2_ARGUMENT || r == L2_FORMAT ? 2 : 1;
        }
    }
    t->quiet_given = t->verbose_given = false;
    if (l2_options_apply(&s->options, &err) < 0)
        return l2_cli_error(cli, &err);
    if (t->quiet && t->verbose) {
        if (t->quiet_given == t->verbose_given)
            return l2_cli_usage(cli, "--quiet and --verbose exclude each other");
        t->quiet = t->quiet_given;
    }
    cli->verbosity = t->quiet ? L2_QUIET : t->verbose ? L2_VERBOSE : L2_NORMAL;
    if (cli->program->subcommands && !cli->subcommand)
        return l2_cli_usage(cli, "want a subcommand before the options");
    return 0;
}

/* The settings for the history; none where an option is not UTF-8, which YAML cannot say. */
static int note_settings(struct session *s, struct l2_err *err)
{
    struct l2_buf out = {0};
    int r = l2_config_print(&s->options, s->cli.program, s->cli.subcommand, true, &out, err);
    if (r == L2_OK)
        r = l2_buf_append_byte(&out, '\0', err);
    if (r == L2_OK)
        s->cli.settings = (char *)out.data;
    else
        l2_buf_release(&out);
    return r == L2_ARGUMENT ? L2_OK : r;
}

/* ---- the end ---- */

/* One line of JSON, put out with one write so that the stages of a pipe do not mix theirs. */
static void print_summary(struct session *s)
{
    struct l2_cli *cli = &s->cli;
    if (cli->verbosity == L2_QUIET || cli->broken || !cli->report)
        return;
    double seconds = l2_seconds() - s->began;
    json_object_set_new(cli->report, "seconds", json_real((double)(int64_t)(seconds * 1e3) / 1e3));
    if (cli->status != 0)
        json_object_set_new(cli->report, "status", json_integer(cli->status));
    char *text = json_dumps(cli->report, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!text)
        return;
    size_t n = strlen(text);
    text[n] = '\n';
    struct l2_err ignored; /* there is nobody left to tell */
    if (l2_cli_write(STDERR_FILENO, "standard error", text, n + 1, &ignored) < 0)
        cli->status = cli->status > 0 ? cli->status : 1;
    free(text);
}

/* Writes that the system put off fail here, at the latest. */
static void close_stdout(struct l2_cli *cli)
{
    struct l2_err err;
    int failed = fflush(stdout) != 0 || ferror(stdout);
    int why = errno;
    if (close(STDOUT_FILENO) != 0 && !failed && errno != EINTR && errno != EBADF) {
        failed = 1;
        why = errno;
    }
    if (!failed || cli->broken)
        return;
    (void)l2_err_sys(&err, why, "standard output", "cannot write");
    l2_cli_error(cli, &err);
}

static int run(struct session *s)
{
    struct l2_err err;
    struct l2_cli *cli = &s->cli;
    int r;

    if (scan(s, &err) < 0)
        return l2_cli_error(cli, &err);
    if (given(s, "help"))
        r = print_help(s, &err);
    else if (given(s, "version"))
        r = print_version(cli, &err);
    else if (given(s, "print-completion"))
        r = print_completion(s, given(s, "print-completion"), &err);
    else {
        int status = configure(s);
        if (status != 0)
            return status;
        if (!s->targets.print_config) {
            cli->report = json_pack("{s:s}", "program", cli->program->name);
            if (cli->report && cli->subcommand)
                json_object_set_new(cli->report, "subcommand", json_string(cli->subcommand->name));
            s->began = l2_seconds();
            if (note_settings(s, &err) < 0)
                return l2_cli_error(cli, &err);
            status = cli->subcommand ? cli->subcommand->run(cli) : cli->program->run(cli);
            l2_cli_progress_done(cli);
            return status;
        }
        r = print_config(s, &err);
    }
    return r < 0 ? l2_cli_error(cli, &err) : 0;
}

/* A read of a mapped file faulted: the file was cut, or its device failed. What was computed from
 * it cannot be trusted, so nothing more is written; a stream stays without its end. Only calls that
 * are safe in a signal handler. */
static void on_bus_error(int sig)
{
    static const char text[] =
        ": a file became shorter while it was read, or cannot be read (SIGBUS)\n";
    ssize_t n = write(STDERR_FILENO, program_name, strlen(program_name));
    (void)sig;
    n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(1);
}

int l2_cli_main(const struct l2_program *program, int argc, char **argv)
{
    struct session s = {
        .cli = {.program = program, .argc = argc, .argv = argv, .verbosity = L2_NORMAL}};

    hold_standard_descriptors();
    program_name = program->name;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGBUS, on_bus_error);
    json_set_alloc_funcs(json_alloc, free);
    int status = run(&s);
    if (status > s.cli.status)
        s.cli.status = status;
    close_stdout(&s.cli);
    if (s.cli.report && s.cli.status < 2)
        print_summary(&s);
    json_decref(s.cli.report);
    free(s.cli.settings);
    l2_options_release(&s.options);
    free(s.args);
    return s.cli.status;
}
