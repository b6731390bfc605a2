/* Files that are written front to back and synced, and files that get their name only when they are
 * whole. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void release(struct l2_newfile *f)
{
    free(f->path);
    free(f->target);
    *f = (struct l2_newfile){.fd = -1};
}

static int open_at(struct l2_newfile *f, int flags, struct l2_err *err)
{
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (f->fd >= 0)
        return L2_OK;
    int r = l2_err_sys(err, errno, f->path, "cannot create");
    release(f);
    return r;
}

int l2_newfile_create(struct l2_newfile *f, const char *path, struct l2_err *err)
{
    *f = (struct l2_newfile){.fd = -1, .path = strdup(path)};
    return f->path ? open_at(f, O_EXCL, err) : l2_err_memory(err, strlen(path) + 1);
}

static int replace(struct l2_newfile *f, const char *path, const char *suffix, int flags,
                   struct l2_err *err)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    *f = (struct l2_newfile){.fd = -1, .path = malloc(size), .target = strdup(path)};
    if (!f->path || !f->target) {
        release(f);
        return l2_err_memory(err, size);
    }
    snprintf(f->path, size, "%s%s", path, suffix);
    return open_at(f, flags, err);
}

int l2_newfile_replace(struct l2_newfile *f, const char *path, struct l2_err *err)
{
    return replace(f, path, ".tmp", O_TRUNC, err);
}

int l2_newfile_replace_shared(struct l2_newfile *f, const char *path, struct l2_err *err)
{
    char suffix[32];
    snprintf(suffix, sizeof suffix, ".tmp-%ld", (long)getpid());
    return replace(f, path, suffix, O_EXCL, err);
}

int l2_newfile_write(struct l2_newfile *f, const void *data, size_t n, struct l2_err *err)
{
    const char *p = data;
    while (n > 0) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return l2_err_sys(err, errno, f->path, "cannot write");
        p += done;
        n -= (size_t)done;
    }
    return L2_OK;
}

int l2_newfile_close(struct l2_newfile *f, int r, struct l2_err *err)
{
    if (f->fd < 0)
        return r;
    if (r == L2_OK && fsync(f->fd) != 0)
        r = l2_err_sys(err, errno, f->path, "cannot sync");
    if (close(f->fd) != 0 && r == L2_OK)
        r = l2_err_sys(err, errno, f->path, "cannot close");
    if (f->target) {
        if (r == L2_OK && rename(f->path, f->target) != 0)
            r = l2_err_sys(err, errno, f->target, "cannot rename to it");
        if (r == L2_OK)
            r = l2_sync_parent(f->target, err);
        else
            unlink(f->path);
    }
    release(f);
    return r;
}

int l2_sync_directory(const char *path, struct l2_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return l2_err_sys(err, errno, path, "cannot open directory");
    /* EINVAL: a file system that does not sync directories */
    int r = fsync(fd) != 0 && errno != EINVAL ? l2_err_sys(err, errno, path, "cannot sync") : L2_OK;
    close(fd);
    return r;
}

int l2_sync_parent(const char *path, struct l2_err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return l2_sync_directory(".", err);
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    char *parent = strndup(path, n);
    if (!parent)
        return l2_err_memory(err, n + 1);
    int r = l2_sync_directory(parent, err);
    free(parent);
    return r;
}
