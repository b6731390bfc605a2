/* Packed weights in a file. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/pack_cache.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/newfile.h"
#include "util/num.h"

#define HEADER 64 /* magic, key, bytes of the whole file, zeros */
#define MAGIC  "l2packed"

static const uint8_t zeros[64];

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

int l2_pack_cache_open(struct l2_pack_cache *c, const char *path, const uint8_t key[L2_SHA256_SIZE],
                       bool *hit, struct l2_err *err)
{
    *hit = false;
    memset(c, 0, sizeof *c);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return L2_OK;
    int r = l2_map_open(&c->map, path, err);
    if (r != L2_OK)
        return r;
    const uint8_t *p = c->map.data;
    if (c->map.size < HEADER || memcmp(p, MAGIC, 8) != 0)
        return l2_err_at(err, L2_FORMAT, path, -1, "not a cache of packed weights");
    *hit = memcmp(p + 8, key, L2_SHA256_SIZE) == 0 && l2_get_u64le(p + 40) == c->map.size;
    c->at = HEADER;
    return L2_OK;
}

int l2_pack_cache_take(struct l2_pack_cache *c, struct l2_weight *w, struct l2_err *err)
{
    if (c->map.size - c->at < padded(w->bytes))
        return l2_err_at(err, L2_CORRUPT, c->map.name, (int64_t)c->at,
                         "a matrix of %zu bytes ends behind the file", w->bytes);
    w->data = (void *)(uintptr_t)(c->map.data + c->at); /* products read it only */
    w->borrowed = true;
    c->at += padded(w->bytes);
    return L2_OK;
}

void l2_pack_cache_release(struct l2_pack_cache *c)
{
    l2_map_release(&c->map);
    memset(c, 0, sizeof *c);
}

static int write_all(struct l2_newfile *f, const uint8_t key[L2_SHA256_SIZE],
                     const struct l2_weight *const *weights, size_t n, struct l2_err *err)
{
    uint8_t header[HEADER] = MAGIC;
    uint64_t size = HEADER;
    for (size_t i = 0; i < n; i++)
        size += padded(weights[i]->bytes);
    memcpy(header + 8, key, L2_SHA256_SIZE);
    l2_put_u64le(header + 40, size);
    int r = l2_newfile_write(f, header, HEADER, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        size_t bytes = weights[i]->bytes;
        r = l2_newfile_write(f, weights[i]->data, bytes, err);
        if (r == L2_OK)
            r = l2_newfile_write(f, zeros, padded(bytes) - bytes, err);
    }
    return r;
}

int l2_pack_cache_write(const char *path, const uint8_t key[L2_SHA256_SIZE],
                        const struct l2_weight *const *weights, size_t n, struct l2_err *err)
{
    struct l2_newfile f;
    int r = l2_newfile_replace_shared(&f, path, err);
    return r == L2_OK ? l2_newfile_close(&f, write_all(&f, key, weights, n, err), err) : r;
}
