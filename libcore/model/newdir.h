/* A directory that appears under its name only when it is whole. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NEWDIR_H
#define L2_NEWDIR_H

#include <stdbool.h>
#include "util/err.h"

/* Caller's storage. All zero: nothing to release. */
struct l2_newdir {
    char *path;  /* the name to be, without trailing slashes; owned */
    char *temp;  /* where files go meanwhile; owned */
    bool exists; /* path is a directory that will be replaced */
};

/* Creates the temporary directory beside path. Where path exists: L2_ARGUMENT, unless replace and
 * it is a directory that holds a file named `marker` and no subdirectories. */
int l2_newdir_begin(struct l2_newdir *d, const char *path, bool replace, const char *marker,
                    struct l2_err *err) L2_MUST_CHECK;
/* Syncs the directory and gives it its name; what was replaced is deleted. */
int l2_newdir_commit(struct l2_newdir *d, struct l2_err *err) L2_MUST_CHECK;
/* Deletes the temporary directory if it was not committed. */
void l2_newdir_release(struct l2_newdir *d);

/* A new file in the temporary directory, written front to back. Caller's storage. */
struct l2_newfile {
    int fd;
    char *path; /* owned */
};
int l2_newfile_open(struct l2_newfile *f, const struct l2_newdir *d, const char *name,
                    struct l2_err *err) L2_MUST_CHECK;
int l2_newfile_write(struct l2_newfile *f, const void *data, size_t n,
                     struct l2_err *err) L2_MUST_CHECK;
/* Syncs and closes when r is L2_OK, else only closes; returns the first failure. */
int l2_newfile_close(struct l2_newfile *f, int r, struct l2_err *err) L2_MUST_CHECK;

#endif
