/* Zip archives with stored entries (PKWARE's APPNOTE, sections 4.3 and 4.5.3). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/zip.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define END_SIZE     22 /* end of central directory, without its comment */
#define END64_SIZE   56
#define LOCATOR_SIZE 20
#define ENTRY_SIZE   46 /* of the central directory, without name, extra and comment */
#define LOCAL_SIZE   30
#define MAX_COMMENT  65535
#define SAYS_EXTRA   0xFFFFFFFFu /* the number is in the zip64 extra field */

/* Where the central directory lies. */
struct directory {
    uint64_t offset, size, n;
};

static bool has_magic(const struct l2_map *m, uint64_t at, const char magic[4])
{
    return at <= m->size && m->size - at >= 4 && memcmp(m->data + at, magic, 4) == 0;
}

static int corrupt(const struct l2_map *m, uint64_t at, const char *what, struct l2_err *err)
{
    return l2_err_at(err, L2_CORRUPT, m->name, (int64_t)at, "zip archive: %s", what);
}

/* The end record is behind everything but a comment. */
static int find_end(const struct l2_map *m, size_t *at, struct l2_err *err)
{
    if (!has_magic(m, 0, "PK\3\4"))
        return l2_err_at(err, L2_FORMAT, m->name, 0, "not a zip archive");
    size_t least = m->size > END_SIZE + MAX_COMMENT ? m->size - END_SIZE - MAX_COMMENT : 0;
    for (size_t i = m->size >= END_SIZE ? m->size - END_SIZE + 1 : 0; i > least; i--)
        if (has_magic(m, i - 1, "PK\5\6") &&
            l2_get_u16le(m->data + i - 1 + 20) == m->size - (i - 1) - END_SIZE) {
            *at = i - 1;
            return L2_OK;
        }
    return l2_err_at(err, L2_TRUNCATED, m->name, (int64_t)m->size,
                     "ends before the directory of its zip archive");
}

static int find_directory(const struct l2_map *m, struct directory *d, struct l2_err *err)
{
    size_t end = 0;
    int r = find_end(m, &end, err);
    if (r != L2_OK)
        return r;
    d->n = l2_get_u16le(m->data + end + 10);
    d->size = l2_get_u32le(m->data + end + 12);
    d->offset = l2_get_u32le(m->data + end + 16);
    if (end >= LOCATOR_SIZE && has_magic(m, end - LOCATOR_SIZE, "PK\6\7")) {
        uint64_t at = l2_get_u64le(m->data + end - LOCATOR_SIZE + 8);
        if (!has_magic(m, at, "PK\6\6") || m->size - at < END64_SIZE)
            return corrupt(m, end - LOCATOR_SIZE, "no zip64 end record where it is said to be",
                           err);
        d->n = l2_get_u64le(m->data + at + 32);
        d->size = l2_get_u64le(m->data + at + 40);
        d->offset = l2_get_u64le(m->data + at + 48);
    }
    if (d->offset > end || d->size > end - d->offset || d->n > d->size / ENTRY_SIZE)
        return corrupt(m, end, "its directory does not fit before its end", err);
    return L2_OK;
}

/* Replaces the numbers that do not fit into 32 bits by those of the extra field. */
static bool read_zip64(const uint8_t *extra, size_t n, uint64_t *size, uint64_t *packed,
                       uint64_t *offset)
{
    uint64_t *const fields[] = {size, packed, offset};
    size_t wanted = 0;
    for (size_t i = 0; i < 3; i++)
        wanted += *fields[i] == SAYS_EXTRA;
    while (wanted > 0 && n >= 4) {
        size_t field = l2_get_u16le(extra + 2);
        if (field > n - 4)
            return false;
        if (l2_get_u16le(extra) == 1) {
            const uint8_t *p = extra + 4;
            if (field < 8 * wanted)
                return false;
            for (size_t i = 0; i < 3; i++)
                if (*fields[i] == SAYS_EXTRA) {
                    *fields[i] = l2_get_u64le(p);
                    p += 8;
                }
            return true;
        }
        extra += 4 + field;
        n -= 4 + field;
    }
    return wanted == 0;
}

/* The entry whose directory record is at *at; moves behind it. */
static int read_entry(struct l2_zip *z, const struct directory *d, uint64_t *at, struct l2_err *err)
{
    const struct l2_map *m = z->map;
    struct l2_zip_entry *e = &z->entries[z->n];
    uint64_t left = d->offset + d->size - *at;
    const uint8_t *p = m->data + *at;
    if (left < ENTRY_SIZE || !has_magic(m, *at, "PK\1\2"))
        return corrupt(m, *at, "no directory record where one should be", err);
    uint64_t packed = l2_get_u32le(p + 20), size = l2_get_u32le(p + 24),
             local = l2_get_u32le(p + 42);
    size_t name = l2_get_u16le(p + 28), extra = l2_get_u16le(p + 30);
    size_t length = ENTRY_SIZE + name + extra + l2_get_u16le(p + 32);
    if (length > left)
        return corrupt(m, *at, "a directory record ends past the directory", err);
    e->name = (const char *)p + ENTRY_SIZE;
    e->name_len = name;
    if (l2_get_u16le(p + 8) & 1 || l2_get_u16le(p + 10) != 0)
        return l2_err_at(err, L2_UNSUPPORTED, m->name, (int64_t)*at,
                         "zip archive: %.*s is %s: only stored entries are supported",
                         (int)(name < 200 ? name : 200), e->name,
                         l2_get_u16le(p + 8) & 1     ? "encrypted"
                         : l2_get_u16le(p + 10) == 8 ? "deflated"
                                                     : "compressed");
    if (!read_zip64(p + ENTRY_SIZE + name, extra, &size, &packed, &local))
        return corrupt(m, *at, "a zip64 extra field is too short", err);
    if (size != packed)
        return corrupt(m, *at, "a stored entry has two sizes", err);
    if (!has_magic(m, local, "PK\3\4") || m->size - local < LOCAL_SIZE)
        return corrupt(m, local, "no entry where the directory says there is one", err);
    uint64_t start = local + LOCAL_SIZE + l2_get_u16le(m->data + local + 26) +
                     l2_get_u16le(m->data + local + 28);
    if (start > m->size || size > m->size - start)
        return corrupt(m, local, "an entry ends past the file", err);
    e->data = m->data + start;
    e->size = (size_t)size;
    *at += length;
    z->n++;
    return L2_OK;
}

static int compare_names(const char *a, size_t n, const struct l2_zip_entry *e)
{
    int c = memcmp(a, e->name, n < e->name_len ? n : e->name_len);
    return c ? c : (n > e->name_len) - (n < e->name_len);
}

static int by_name(const void *a, const void *b)
{
    const struct l2_zip_entry *x = a;
    return compare_names(x->name, x->name_len, b);
}

/* Two entries of one name would let readers differ in what the archive holds. */
static int sort_entries(struct l2_zip *z, struct l2_err *err)
{
    qsort(z->entries, z->n, sizeof *z->entries, by_name);
    for (size_t i = 1; i < z->n; i++)
        if (by_name(&z->entries[i - 1], &z->entries[i]) == 0)
            return l2_err_at(err, L2_CORRUPT, z->map->name,
                             (const uint8_t *)z->entries[i].name - z->map->data,
                             "zip archive: two entries are called %.*s",
                             (int)(z->entries[i].name_len < 200 ? z->entries[i].name_len : 200),
                             z->entries[i].name);
    return L2_OK;
}

int l2_zip_read(struct l2_zip *z, const struct l2_map *map, struct l2_err *err)
{
    struct directory d;
    *z = (struct l2_zip){.map = map};
    int r = find_directory(map, &d, err);
    if (r != L2_OK)
        return r;
    z->entries = calloc(d.n + 1, sizeof *z->entries);
    if (!z->entries)
        return l2_err_memory(err, d.n * sizeof *z->entries);
    uint64_t at = d.offset;
    for (uint64_t i = 0; i < d.n && r == L2_OK; i++)
        r = read_entry(z, &d, &at, err);
    if (r == L2_OK)
        r = sort_entries(z, err);
    if (r != L2_OK)
        l2_zip_release(z);
    return r;
}

void l2_zip_release(struct l2_zip *z)
{
    free(z->entries);
    *z = (struct l2_zip){0};
}

const struct l2_zip_entry *l2_zip_find(const struct l2_zip *z, const char *name, size_t n)
{
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = compare_names(name, n, &z->entries[mid]);
        if (c == 0)
            return &z->entries[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
