/* A directory that appears under its name only when it is whole. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NEWDIR_H
#define L2_NEWDIR_H

#include <stdbool.h>
#include "util/newfile.h"

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

/* Opens a new file in the temporary directory. */
int l2_newdir_file(struct l2_newfile *f, const struct l2_newdir *d, const char *name,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
