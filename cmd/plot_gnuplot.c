/* l2-plot: runs gnuplot, without a shell. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "plot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cli.h"

extern char **environ;

#define MAX_PICTURE ((size_t)256 << 20)

/* Its three ends are unlinked files, so that neither side waits for the other. */
struct ends {
    FILE *in, *out, *messages;
};

static void close_ends(struct ends *e)
{
    FILE *all[] = {e->in, e->out, e->messages};
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            fclose(all[i]);
}

static int open_ends(struct ends *e, const struct l2_buf *script, struct l2_err *err)
{
    if (!(e->in = tmpfile()) || !(e->out = tmpfile()) || !(e->messages = tmpfile()))
        return l2_err_sys(err, errno, NULL, "cannot make a temporary file");
    int r = l2_cli_write(fileno(e->in), "temporary file", script->data, script->len, err);
    if (r == L2_OK && lseek(fileno(e->in), 0, SEEK_SET) != 0)
        r = l2_err_sys(err, errno, NULL, "cannot read the temporary file");
    return r;
}

/* -d: no start-up files, which may hold any command. */
static int spawn(const struct ends *e, pid_t *pid, struct l2_err *err)
{
    char name[] = "gnuplot", defaults[] = "-d", standard_input[] = "-";
    char *argv[] = {name, defaults, standard_input, NULL};
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return l2_err_memory(err, sizeof actions);
    rc = posix_spawn_file_actions_adddup2(&actions, fileno(e->in), STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, fileno(e->out), STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, fileno(e->messages), STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawnp(pid, name, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc == ENOENT)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "gnuplot, which draws the pictures, is not installed (Debian has it as "
                          "gnuplot-nox; --script does without)");
    return rc == 0 ? L2_OK : l2_err_sys(err, rc, NULL, "cannot run gnuplot");
}

/* All that is in the file. */
static int read_back(FILE *f, struct l2_buf *out, struct l2_err *err)
{
    rewind(f);
    for (;;) {
        int r = l2_buf_reserve(out, 65536, err);
        if (r != L2_OK)
            return r;
        size_t n = fread(out->data + out->len, 1, 65536, f);
        out->len += n;
        if (n == 0)
            return ferror(f) ? l2_err_sys(err, errno, NULL, "cannot read the temporary file")
                             : L2_OK;
        if (out->len > MAX_PICTURE)
            return l2_err_set(err, L2_LIMIT, "a picture of more than %zu MiB", MAX_PICTURE >> 20);
    }
}

/* The last line that says something: before it gnuplot quotes the script and marks the place. */
static int complain(FILE *messages, int status, struct l2_err *err)
{
    char line[400], last[400] = "";
    rewind(messages);
    while (fgets(line, sizeof line, messages)) {
        char *text = line + strspn(line, " \t^");
        text[strcspn(text, "\r\n")] = '\0';
        if (*text)
            memmove(last, text, strlen(text) + 1);
    }
    if (WIFSIGNALED(status))
        return l2_err_set(err, L2_CORRUPT, "gnuplot was ended by signal %d", WTERMSIG(status));
    return l2_err_set(err, L2_CORRUPT, "gnuplot failed: %s", *last ? last : "it does not say why");
}

static bool is_whole(const struct l2_buf *b, enum plot_format format)
{
    static const char png[] = "\211PNG\r\n\032\n", iend[] = "IEND\256B`\202";
    static const char xml[] = "<?xml", end[] = "</svg>";
    const char *head = format == PLOT_PNG ? png : xml, *tail = format == PLOT_PNG ? iend : end;
    size_t n_head = strlen(head), n_tail = strlen(tail), len = b->len;
    while (format == PLOT_SVG && len > 0 && strchr(" \r\n", b->data[len - 1]))
        len--;
    return len >= n_head + n_tail && memcmp(b->data, head, n_head) == 0 &&
           memcmp(b->data + len - n_tail, tail, n_tail) == 0;
}

int plot_run_gnuplot(const struct l2_buf *script, enum plot_format format, struct l2_buf *out,
                     struct l2_err *err)
{
    struct ends e = {.in = NULL};
    struct l2_buf picture = {.len = 0};
    pid_t pid = 0;
    int status = 0;
    int r = open_ends(&e, script, err);
    if (r == L2_OK)
        r = spawn(&e, &pid, err);
    if (r != L2_OK)
        goto out;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            r = l2_err_sys(err, errno, NULL, "cannot wait for gnuplot");
            goto out;
        }
    }
    if (status != 0) {
        r = complain(e.messages, status, err);
        goto out;
    }
    r = read_back(e.out, &picture, err);
    if (r == L2_OK && !is_whole(&picture, format))
        r = complain(e.messages, status, err);
    if (r == L2_OK)
        r = l2_buf_append(out, picture.data, picture.len, err);
out:
    l2_buf_release(&picture);
    close_ends(&e);
    return r;
}
