/* l2-eval: answers that a command verifies. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A process group of its own, so that what it starts can be ended with it. */
static pid_t start(const char *command, int in)
{
    pid_t pid = fork();
    if (pid != 0) {
        if (pid > 0)
            (void)setpgid(pid, pid); /* so that it is one before either of us goes on */
        return pid;
    }
    (void)setpgid(0, 0);
    (void)signal(SIGPIPE, SIG_DFL);
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(nowhere, STDOUT_FILENO) < 0 ||
        dup2(nowhere, STDERR_FILENO) < 0)
        _exit(127);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* Waits until it ends, at most seconds; *status as of waitpid. False: it had not ended. */
static bool wait_for(pid_t pid, double seconds, int *status)
{
    double end = now() + seconds;
    struct timespec pause = {.tv_nsec = 500000};
    for (;;) {
        pid_t r = waitpid(pid, status, WNOHANG);
        if (r == pid)
            return true;
        if (r < 0 && errno != EINTR)
            return false;
        if (now() >= end)
            return false;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 20000000)
            pause.tv_nsec *= 2;
    }
}

int eval_check(const char *command, double seconds, const char *text, size_t n, bool *good,
               struct l2_err *err)
{
    int status = 0;
    *good = false;
    FILE *f = tmpfile();
    if (!f)
        return l2_err_sys(err, errno, NULL, "cannot create a file for --check");
    if (fwrite(text, 1, n, f) != n || fflush(f) != 0 || fseek(f, 0, SEEK_SET) != 0) {
        int e = errno;
        fclose(f);
        return l2_err_sys(err, e, NULL, "cannot write what --check reads");
    }
    pid_t pid = start(command, fileno(f));
    if (pid < 0) {
        int e = errno;
        fclose(f);
        return l2_err_sys(err, e, NULL, "cannot start --check");
    }
    bool ended = wait_for(pid, seconds, &status);
    (void)kill(-pid, SIGKILL);
    if (!ended)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    fclose(f);
    *good = ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return l2_err_set(err, L2_ARGUMENT, "--check: the command cannot be run");
    return L2_OK;
}
