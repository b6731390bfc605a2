/* Checkpoint files: content, then its SHA-256. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/sealed.h"

#include <string.h>

#include "util/num.h"

#define COPY ((size_t)16384) /* values at a time */

int l2_sealed_begin(struct l2_sealed *s, const char *path, struct l2_err *err)
{
    l2_sha256_init(&s->sha);
    return l2_newfile_replace(&s->file, path, err);
}

int l2_sealed_put(struct l2_sealed *s, const void *data, size_t n, struct l2_err *err)
{
    l2_sha256_update(&s->sha, data, n);
    return l2_newfile_write(&s->file, data, n, err);
}

int l2_sealed_put_f32(struct l2_sealed *s, const float *v, size_t n, struct l2_err *err)
{
    uint8_t bytes[4 * COPY];
    int rc = L2_OK;
    for (size_t at = 0; at < n && rc == L2_OK; at += COPY) {
        size_t part = n - at < COPY ? n - at : COPY;
        l2_put_f32le_array(bytes, v + at, part);
        rc = l2_sealed_put(s, bytes, 4 * part, err);
    }
    return rc;
}

int l2_sealed_put_u16(struct l2_sealed *s, const uint16_t *v, size_t n, struct l2_err *err)
{
    uint8_t bytes[2 * COPY];
    int rc = L2_OK;
    for (size_t at = 0; at < n && rc == L2_OK; at += COPY) {
        size_t part = n - at < COPY ? n - at : COPY;
        for (size_t i = 0; i < part; i++)
            l2_put_u16le(bytes + 2 * i, v[at + i]);
        rc = l2_sealed_put(s, bytes, 2 * part, err);
    }
    return rc;
}

int l2_sealed_end(struct l2_sealed *s, int r, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    if (r == L2_OK) {
        l2_sha256_final(&s->sha, digest);
        r = l2_newfile_write(&s->file, digest, sizeof digest, err);
    }
    return l2_newfile_close(&s->file, r, err);
}

int l2_sealed_head(const struct l2_map *map, const char magic[8], int version, size_t head,
                   const char *what, struct l2_err *err)
{
    if (map->size < 8 || memcmp(map->data, magic, 8) != 0)
        return l2_err_at(err, L2_FORMAT, map->name, 0, "not a checkpoint of %s", what);
    if (map->size < head + L2_SHA256_SIZE)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size, "ends in its head");
    uint64_t theirs = l2_get_u64le(map->data + 8);
    if (theirs != (uint64_t)version)
        return l2_err_at(err, L2_UNSUPPORTED, map->name, 8, "version %llu of checkpoints: want %d",
                         (unsigned long long)theirs, version);
    return L2_OK;
}

int l2_sealed_check(const struct l2_map *map, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 sha;
    l2_sha256_init(&sha);
    l2_sha256_update(&sha, map->data, map->size - sizeof digest);
    l2_sha256_final(&sha, digest);
    if (memcmp(digest, map->data + map->size - sizeof digest, sizeof digest) != 0)
        return l2_err_at(err, L2_CORRUPT, map->name, -1, "damaged: its checksum does not hold");
    return L2_OK;
}
