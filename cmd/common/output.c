/* Opening, writing and closing what programs read and write. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cli.h"
#include "util/newfile.h"

static const char standard_input[] = "standard input";
static const char standard_output[] = "standard output";

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int refuse_binary(int fd, const char *name, struct l2_err *err)
{
    if (isatty(fd))
        return l2_err_set(err, L2_ARGUMENT,
                          "%s is a terminal: this output is binary, send it to a file or a pipe",
                          name);
    return L2_OK;
}

/* True when an operand, or standard input, is this very file: emptying it would lose the input. */
static bool is_input(const struct l2_cli *cli, const struct stat *st)
{
    struct stat in;
    for (size_t i = 0; i < cli->operands.n; i++) {
        const char *path = cli->operands.v[i];
        int r = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &in) : stat(path, &in);
        if (r == 0 && in.st_dev == st->st_dev && in.st_ino == st->st_ino)
            return true;
    }
    return cli->operands.n == 0 && fstat(STDIN_FILENO, &in) == 0 && in.st_dev == st->st_dev &&
           in.st_ino == st->st_ino;
}

/* Whether a regular file that exists may be written over. */
static int check_regular(const struct l2_cli *cli, const char *path, const struct stat *st,
                         struct l2_err *err)
{
    if (st->st_size > 0 && !cli->force)
        return l2_err_at(err, L2_ARGUMENT, path, -1,
                         "the file exists already (--force overwrites it)");
    if (is_input(cli, st))
        return l2_err_at(err, L2_ARGUMENT, path, -1, "is input and output at once");
    return L2_OK;
}

/* Opens a path that exists: a regular file only with --force, emptied; a pipe or a device as it is.
 */
static int open_existing(const struct l2_cli *cli, const char *path, int *fd, struct l2_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return l2_err_sys(err, errno, path, "cannot open");
    int flags = O_WRONLY | O_NOCTTY | O_CLOEXEC;
    if (S_ISREG(st.st_mode)) {
        int r = check_regular(cli, path, &st, err);
        if (r != L2_OK)
            return r;
        flags |= O_TRUNC;
    }
    *fd = open_retry(path, flags, 0);
    return *fd < 0 ? l2_err_sys(err, errno, path, "cannot open for writing") : L2_OK;
}

int l2_cli_create(struct l2_cli *cli, const char *path, bool binary, int *fd, struct l2_err *err)
{
    *fd = open_retry(path, O_WRONLY | O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC, 0666);
    if (*fd < 0 && errno == EEXIST) {
        int r = open_existing(cli, path, fd, err);
        if (r < 0)
            return r;
    } else if (*fd < 0) {
        return l2_err_sys(err, errno, path, "cannot create");
    }
    int r = binary ? refuse_binary(*fd, path, err) : L2_OK;
    if (r < 0) {
        close(*fd);
        *fd = -1;
    }
    return r;
}

int l2_cli_open_output(struct l2_cli *cli, bool binary, int *fd, const char **name,
                       struct l2_err *err)
{
    if (cli->output && strcmp(cli->output, "-") != 0) {
        *name = cli->output;
        return l2_cli_create(cli, cli->output, binary, fd, err);
    }
    *name = standard_output;
    *fd = STDOUT_FILENO;
    return binary ? refuse_binary(*fd, standard_output, err) : L2_OK;
}

int l2_cli_write_output(struct l2_cli *cli, bool binary, const void *data, size_t n,
                        struct l2_err *err)
{
    struct l2_newfile f;
    struct stat st;
    const char *name;
    int fd, r;
    bool to_file = cli->output && strcmp(cli->output, "-") != 0;
    bool exists = to_file && stat(cli->output, &st) == 0;
    if (!to_file || (exists && !S_ISREG(st.st_mode))) {
        r = l2_cli_open_output(cli, binary, &fd, &name, err);
        if (r != L2_OK)
            return r;
        r = l2_cli_write(fd, name, data, n, err);
        int closed = l2_cli_close_output(cli, fd, name, r == L2_OK ? err : NULL);
        return r == L2_OK ? closed : r;
    }
    r = exists ? check_regular(cli, cli->output, &st, err) : L2_OK;
    if (r == L2_OK)
        r = l2_newfile_replace(&f, cli->output, err);
    return r == L2_OK ? l2_newfile_close(&f, l2_newfile_write(&f, data, n, err), err) : r;
}

int l2_cli_open_resumed(struct l2_cli *cli, int *fd, const char **name, bool *resumes,
                        struct l2_err *err)
{
    struct stat st;
    *resumes = false;
    if (!cli->resume)
        return l2_cli_open_output(cli, true, fd, name, err);
    if (!cli->output || strcmp(cli->output, "-") == 0)
        return l2_err_set(err, L2_ARGUMENT, "--resume wants a file to go on with: -o FILE");
    if (cli->force || cli->no_history)
        return l2_err_set(err, L2_ARGUMENT, "--resume and %s contradict each other",
                          cli->force ? "--force" : "--no-history");
    if (stat(cli->output, &st) != 0 || st.st_size == 0)
        return l2_cli_open_output(cli, true, fd, name, err);
    if (!S_ISREG(st.st_mode))
        return l2_err_at(err, L2_ARGUMENT, cli->output, -1, "--resume wants a regular file");
    if (is_input(cli, &st))
        return l2_err_at(err, L2_ARGUMENT, cli->output, -1, "is input and output at once");
    *name = cli->output;
    *fd = open_retry(cli->output, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
    if (*fd < 0)
        return l2_err_sys(err, errno, cli->output, "cannot open for writing");
    *resumes = true;
    return L2_OK;
}

uint64_t l2_cli_operand_bytes(const struct l2_cli *cli)
{
    struct stat st;
    uint64_t total = 0;
    if (cli->operands.n == 0)
        return fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    for (size_t i = 0; i < cli->operands.n; i++) {
        if (stat(cli->operands.v[i], &st) != 0 || !S_ISREG(st.st_mode))
            return 0;
        total += (uint64_t)st.st_size;
    }
    return total;
}

int l2_cli_open_input(struct l2_cli *cli, const char *path, int *fd, const char **name,
                      struct l2_err *err)
{
    struct stat st;
    (void)cli;
    *fd = STDIN_FILENO;
    *name = standard_input;
    if (strcmp(path, "-") != 0) {
        *name = path;
        *fd = open_retry(path, O_RDONLY | O_NOCTTY | O_CLOEXEC, 0);
        if (*fd < 0)
            return l2_err_sys(err, errno, path, "cannot open");
    }
    if (fstat(*fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        l2_cli_close_input(*fd);
        *fd = -1;
        return l2_err_sys(err, EISDIR, *name, "cannot read");
    }
    return L2_OK;
}

int l2_cli_refuse_terminal(int fd, struct l2_err *err)
{
    if (isatty(fd))
        return l2_err_set(err, L2_ARGUMENT,
                          "no input: standard input is a terminal, and no file was named");
    return L2_OK;
}

int l2_cli_refuse_same_file(int in, const char *in_name, int out, struct l2_err *err)
{
    struct stat a, b;
    if (fstat(in, &a) != 0 || fstat(out, &b) != 0 || !S_ISREG(a.st_mode) || !S_ISREG(b.st_mode))
        return L2_OK;
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return l2_err_at(err, L2_ARGUMENT, in_name, -1, "is input and output at once");
    return L2_OK;
}

int l2_cli_close_output(struct l2_cli *cli, int fd, const char *name, struct l2_err *err)
{
    (void)cli;
    if (fd < 0 || fd == STDOUT_FILENO)
        return L2_OK; /* stdout is closed and checked at exit */
    if (close(fd) != 0 && errno != EINTR)
        return l2_err_sys(err, errno, name, "cannot write");
    return L2_OK;
}

void l2_cli_close_input(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

int l2_cli_write(int fd, const char *name, const void *data, size_t n, struct l2_err *err)
{
    const char *p = data;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return l2_err_sys(err, errno, name, "cannot write");
        p += k;
        n -= (size_t)k;
    }
    return L2_OK;
}
