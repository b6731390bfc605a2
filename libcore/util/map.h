/* Read-only views of whole files. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MAP_H
#define L2_MAP_H

#include "util/err.h"

/* Caller's storage. data is valid until release; it has no alignment promise beyond the page at its
 * start. A file that shrinks while mapped makes reads past its new end fault: callers check every
 * length against size once, at load. */
struct l2_map {
    const uint8_t *data;
    size_t size;
    char *name; /* owned, for messages */
};

int l2_map_open(struct l2_map *m, const char *path, struct l2_err *err) L2_MUST_CHECK;
void l2_map_release(struct l2_map *m);

/* The bytes at p[0..n) of a map will not be read again soon: they need not stay in memory. Only
 * memory in use depends on it. */
void l2_map_drop(const void *p, size_t n);

#endif
