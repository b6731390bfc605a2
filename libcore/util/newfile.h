/* Files that are written front to back and synced, and files that get their name only when they are
 * whole. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NEWFILE_H
#define L2_NEWFILE_H

#include "util/err.h"

/* Caller's storage; fd < 0: not open. */
struct l2_newfile {
    int fd;
    char *path;   /* what is written, for messages; owned */
    char *target; /* the name it gets when it is closed; owned; NULL: path is its name */
};

/* Opens a new file; one that exists is an error. */
int l2_newfile_create(struct l2_newfile *f, const char *path, struct l2_err *err) L2_MUST_CHECK;
/* Opens path.tmp, whatever was left there, which will take path's place. */
int l2_newfile_replace(struct l2_newfile *f, const char *path, struct l2_err *err) L2_MUST_CHECK;
/* The same where several processes may write path at once: each has a temporary file of its own. */
int l2_newfile_replace_shared(struct l2_newfile *f, const char *path,
                              struct l2_err *err) L2_MUST_CHECK;
int l2_newfile_write(struct l2_newfile *f, const void *data, size_t n,
                     struct l2_err *err) L2_MUST_CHECK;
/* When r is L2_OK the file is synced and, where it is to replace one, gets its name, which is
 * synced too. On any failure a file that was to replace one is removed. Returns the first failure.
 */
int l2_newfile_close(struct l2_newfile *f, int r, struct l2_err *err) L2_MUST_CHECK;

/* Syncs a directory, and the one that path is in: names are on disk then. */
int l2_sync_directory(const char *path, struct l2_err *err) L2_MUST_CHECK;
int l2_sync_parent(const char *path, struct l2_err *err) L2_MUST_CHECK;

#endif
