/* Zip archives whose entries are stored as they are, as torch.save writes them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ZIP_H
#define L2_ZIP_H

#include "util/map.h"

/* Views into the map. */
struct l2_zip_entry {
    const char *name; /* not NUL-terminated */
    size_t name_len;
    const uint8_t *data;
    size_t size;
};

/* Caller's storage. */
struct l2_zip {
    const struct l2_map *map;     /* borrowed */
    struct l2_zip_entry *entries; /* by name; owned */
    size_t n;
};

/* Reads the directory (zip64, too) and checks that all entries lie in the file, each under a name of
 * its own. Entries that are compressed or encrypted are L2_UNSUPPORTED. */
int l2_zip_read(struct l2_zip *z, const struct l2_map *map, struct l2_err *err) L2_MUST_CHECK;
void l2_zip_release(struct l2_zip *z);

/* The entry of that name, or NULL. */
const struct l2_zip_entry *l2_zip_find(const struct l2_zip *z, const char *name, size_t n);

#endif
