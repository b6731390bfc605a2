/* A directory that appears under its name only when it is whole: files are synced under a temporary
 * name beside it, then one rename. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/newdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "path" "suffix" as an owned string, or NULL. */
static char *join(const char *path, const char *suffix)
{
    size_t n = strlen(path) + strlen(suffix) + 1;
    char *s = malloc(n);
    if (s)
        snprintf(s, n, "%s%s", path, suffix);
    return s;
}

/* Calls fn for each entry but "." and ".."; stops at its first failure. */
static int each_entry(const char *path, int (*fn)(int dir_fd, const char *name, struct l2_err *err),
                      struct l2_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return l2_err_sys(err, errno, path, "cannot open directory");
    int r = L2_OK;
    const struct dirent *e;
    while (r == L2_OK && (e = readdir(dir)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = fn(dirfd(dir), e->d_name, err);
    closedir(dir);
    return r;
}

static int refuse_directory(int dir_fd, const char *name, struct l2_err *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return l2_err_set(err, L2_ARGUMENT, "is not replaced: it holds the directory %.200s", name);
    return L2_OK;
}

static int remove_file(int dir_fd, const char *name, struct l2_err *err)
{
    if (unlinkat(dir_fd, name, 0) != 0)
        return l2_err_sys(err, errno, name, "cannot remove");
    return L2_OK;
}

/* Removes a directory of files. */
static int remove_directory(const char *path, struct l2_err *err)
{
    int r = each_entry(path, remove_file, err);
    if (r == L2_OK && rmdir(path) != 0)
        r = l2_err_sys(err, errno, path, "cannot remove directory");
    return r;
}

/* Only what looks like a directory that this program writes may be replaced. */
static int check_existing(struct l2_newdir *d, bool replace, const char *marker, struct l2_err *err)
{
    struct stat st;
    if (lstat(d->path, &st) != 0)
        return errno == ENOENT ? L2_OK : l2_err_sys(err, errno, d->path, "cannot stat");
    if (!replace)
        return l2_err_at(err, L2_ARGUMENT, d->path, -1, "exists already");
    if (!S_ISDIR(st.st_mode))
        return l2_err_at(err, L2_ARGUMENT, d->path, -1, "is not replaced: it is not a directory");
    char *name = join(d->path, "/");
    char *mark = name ? join(name, marker) : NULL;
    int r = L2_OK;
    if (!mark)
        r = l2_err_memory(err, strlen(d->path) + strlen(marker) + 2);
    else if (access(mark, F_OK) != 0)
        r = l2_err_at(err, L2_ARGUMENT, d->path, -1, "is not replaced: it has no %s", marker);
    else if (each_entry(d->path, refuse_directory, err) != L2_OK)
        r = l2_err_in_file(err, d->path);
    d->exists = r == L2_OK;
    free(mark);
    free(name);
    return r;
}

int l2_newdir_begin(struct l2_newdir *d, const char *path, bool replace, const char *marker,
                    struct l2_err *err)
{
    char suffix[32];
    *d = (struct l2_newdir){0};
    d->path = strdup(path);
    if (!d->path)
        return l2_err_memory(err, strlen(path) + 1);
    for (size_t n = strlen(path); n > 1 && d->path[n - 1] == '/'; n--)
        d->path[n - 1] = '\0';
    int r = check_existing(d, replace, marker, err);
    if (r != L2_OK)
        goto out;
    snprintf(suffix, sizeof suffix, ".tmp-%ld", (long)getpid());
    char *temp = join(d->path, suffix);
    if (!temp) {
        r = l2_err_memory(err, strlen(d->path) + sizeof suffix);
    } else if (mkdir(temp, 0777) != 0) {
        r = l2_err_sys(err, errno, temp, "cannot create directory");
        free(temp);
    } else {
        d->temp = temp;
    }
out:
    if (r != L2_OK)
        l2_newdir_release(d);
    return r;
}

/* The old directory steps aside first, because rename does not replace one that has files; if the
 * new one then cannot take its place, it comes back. */
static int swap(struct l2_newdir *d, struct l2_err *err)
{
    char *old = join(d->temp, ".old");
    if (!old)
        return l2_err_memory(err, strlen(d->temp) + 5);
    int r = L2_OK;
    if (rename(d->path, old) != 0) {
        r = l2_err_sys(err, errno, d->path, "cannot rename");
    } else if (rename(d->temp, d->path) != 0) {
        r = l2_err_sys(err, errno, d->path, "cannot rename to it");
        if (rename(old, d->path) != 0)
            r = l2_err_sys(err, errno, old, "cannot rename it back");
    } else {
        free(d->temp);
        d->temp = NULL;
        r = remove_directory(old, err);
    }
    free(old);
    return r;
}

int l2_newdir_commit(struct l2_newdir *d, struct l2_err *err)
{
    int r = l2_sync_directory(d->temp, err);
    if (r != L2_OK)
        return r;
    if (d->exists) {
        r = swap(d, err);
    } else if (rename(d->temp, d->path) != 0) {
        r = l2_err_sys(err, errno, d->path, "cannot rename to it");
    } else {
        free(d->temp);
        d->temp = NULL;
    }
    return r == L2_OK ? l2_sync_parent(d->path, err) : r;
}

void l2_newdir_release(struct l2_newdir *d)
{
    if (d->temp) {
        int r = remove_directory(d->temp, NULL);
        (void)r; /* the failure that led here is the one to report */
    }
    free(d->temp);
    free(d->path);
    *d = (struct l2_newdir){0};
}

int l2_newdir_file(struct l2_newfile *f, const struct l2_newdir *d, const char *name,
                   struct l2_err *err)
{
    char *base = join(d->temp, "/"), *path = base ? join(base, name) : NULL;
    int r;
    *f = (struct l2_newfile){.fd = -1};
    r = path ? l2_newfile_create(f, path, err)
             : l2_err_memory(err, strlen(d->temp) + strlen(name) + 2);
    free(base);
    free(path);
    return r;
}
