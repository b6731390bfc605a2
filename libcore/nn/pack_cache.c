/* Packed weights in a file. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/pack_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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

static bool write_all(FILE *f, const uint8_t key[L2_SHA256_SIZE],
                      const struct l2_weight *const *weights, size_t n)
{
    uint8_t header[HEADER] = MAGIC;
    uint64_t size = HEADER;
    for (size_t i = 0; i < n; i++)
        size += padded(weights[i]->bytes);
    memcpy(header + 8, key, L2_SHA256_SIZE);
    l2_put_u64le(header + 40, size);
    if (fwrite(header, 1, HEADER, f) != HEADER)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = weights[i]->bytes, rest = padded(bytes) - bytes;
        if (bytes > 0 && fwrite(weights[i]->data, 1, bytes, f) != bytes)
            return false;
        if (rest > 0 && fwrite(zeros, 1, rest, f) != rest)
            return false;
    }
    return fflush(f) == 0 && fsync(fileno(f)) == 0;
}

int l2_pack_cache_write(const char *path, const uint8_t key[L2_SHA256_SIZE],
                        const struct l2_weight *const *weights, size_t n, struct l2_err *err)
{
    size_t size = strlen(path) + 32;
    char *temp = malloc(size);
    if (!temp)
        return l2_err_memory(err, size);
    snprintf(temp, size, "%s.%ld.tmp", path, (long)getpid());
    int r = L2_OK;
    FILE *f = fopen(temp, "wbx");
    if (!f) {
        r = l2_err_sys(err, errno, temp, "cannot create");
    } else {
        if (!write_all(f, key, weights, n))
            r = l2_err_sys(err, errno, temp, "cannot write");
        if (fclose(f) != 0 && r == L2_OK)
            r = l2_err_sys(err, errno, temp, "cannot write");
        if (r == L2_OK && rename(temp, path) != 0)
            r = l2_err_sys(err, errno, path, "cannot replace");
        if (r != L2_OK)
            remove(temp);
    }
    free(temp);
    return r;
}
