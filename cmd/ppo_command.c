/* l2-ppo: scores from another program. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ppo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The command with in as its input and out as its output. */
static int run_command(const char *command, const char *in, const char *out, struct l2_err *err)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return l2_err_sys(err, errno, NULL, "cannot start --reward-command");
    if (pid == 0) {
        int from = open(in, O_RDONLY), to = open(out, O_WRONLY | O_TRUNC);
        if (from < 0 || to < 0 || dup2(from, STDIN_FILENO) < 0 || dup2(to, STDOUT_FILENO) < 0)
            _exit(127);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return l2_err_sys(err, errno, NULL, "cannot wait for --reward-command");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return l2_err_set(err, L2_CORRUPT, "--reward-command ended with status %d",
                          WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return L2_OK;
}

static int take_scores(struct l2_record *to, const struct l2_record *from, struct l2_err *err)
{
    uint8_t a[L2_SHA256_SIZE], b[L2_SHA256_SIZE];
    int rc = L2_OK;
    l2_record_hash(to, a);
    l2_record_hash(from, b);
    if (memcmp(a, b, sizeof a) != 0 || to->n_completions != from->n_completions)
        return l2_err_set(err, L2_CORRUPT,
                          "--reward-command gave other records than it got, or in another order");
    for (size_t k = 0; k < to->n_completions && rc == L2_OK; k++) {
        const double *v = l2_completion_score(&from->completions[k], "reward");
        if (!v)
            return l2_err_set(err, L2_CORRUPT, "--reward-command: want scores named 'reward'");
        rc = l2_record_set_score(to, &to->completions[k], "reward", *v, err);
    }
    return rc;
}

static int read_scores(struct l2_prompts *batch, const char *path, struct l2_err *err)
{
    struct l2_reader *reader = NULL;
    struct l2_record rec;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return l2_err_sys(err, errno, path, "cannot open");
    l2_record_init(&rec);
    int rc = l2_reader_new(&reader, fd, "output of --reward-command", NULL, err);
    while (rc == L2_OK) {
        enum l2_item item;
        rc = l2_reader_next(reader, true, &item, &rec, err);
        if (rc != L2_OK || item != L2_ITEM_RECORD)
            continue;
        rc = n < batch->n ? take_scores(batch->v[n++], &rec, err)
                          : l2_err_set(err, L2_CORRUPT, "--reward-command gave too many records");
    }
    if (rc == L2_END)
        rc = n == batch->n ? L2_OK
                           : l2_err_set(err, L2_CORRUPT,
                                        "--reward-command gave %zu records: want %zu", n, batch->n);
    l2_reader_free(reader);
    l2_record_release(&rec);
    close(fd);
    return rc;
}

/* Opens a new file in TMPDIR; path gets its name. */
static int temporary(char *path, size_t size, int *fd, struct l2_err *err)
{
    const char *dir = getenv("TMPDIR");
    snprintf(path, size, "%s/l2-ppo.XXXXXX", dir && *dir ? dir : "/tmp");
    *fd = mkstemp(path);
    return *fd < 0 ? l2_err_sys(err, errno, path, "cannot create") : L2_OK;
}

int l2_ppo_command(struct l2_ppo_run *r, struct l2_prompts *batch, struct l2_err *err)
{
    char in[1024] = "", out[1024] = "";
    int fd, rc = temporary(in, sizeof in, &fd, err);
    if (rc != L2_OK)
        return rc;
    rc = l2_ppo_write_stream(r, batch, fd, in, err);
    if (close(fd) != 0 && rc == L2_OK)
        rc = l2_err_sys(err, errno, in, "cannot close");
    if (rc == L2_OK)
        rc = temporary(out, sizeof out, &fd, err);
    if (rc == L2_OK) {
        close(fd);
        rc = run_command(r->args->command, in, out, err);
        if (rc == L2_OK)
            rc = read_scores(batch, out, err);
        unlink(out);
    }
    unlink(in);
    return rc;
}
