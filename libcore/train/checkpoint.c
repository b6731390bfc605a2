/* Checkpoints of a training run: one file, synced under another name before it gets its own. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/trainer_state.h"
#include "util/map.h"
#include "util/num.h"

/* Layout, little-endian: magic, kind (u64), steps, values of a model, bytes of the data's position,
 * the position, then the parameters and both moments as f32; SHA-256 of all that. */
static const char magic[8] = {'l', '2', 't', 'r', 'a', 'i', 'n', 1};
#define HEAD (sizeof magic + 4 * 8)
#define COPY ((size_t)16384) /* floats at a time */

struct out {
    int fd;
    const char *path;
    struct l2_sha256 sha;
};

static int write_bytes(struct out *o, const void *data, size_t n, struct l2_err *err)
{
    const uint8_t *p = data;
    l2_sha256_update(&o->sha, data, n);
    while (n > 0) {
        ssize_t put = write(o->fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return l2_err_sys(err, errno, o->path, "cannot write");
        p += put;
        n -= (size_t)put;
    }
    return L2_OK;
}

static int write_floats(struct out *o, const float *v, size_t n, struct l2_err *err)
{
    uint8_t bytes[4 * COPY];
    int rc = L2_OK;
    for (size_t at = 0; at < n && rc == L2_OK; at += COPY) {
        size_t part = n - at < COPY ? n - at : COPY;
        l2_put_f32le_array(bytes, v + at, part);
        rc = write_bytes(o, bytes, part * 4, err);
    }
    return rc;
}

static int write_all(struct out *o, const struct l2_trainer *t, const struct l2_buf *position,
                     struct l2_err *err)
{
    size_t n = t->params->offset[t->params->n_tensors];
    uint8_t head[HEAD], digest[L2_SHA256_SIZE];
    memcpy(head, magic, sizeof magic);
    l2_put_u64le(head + 8, t->opts.kind);
    l2_put_u64le(head + 16, t->adamw.step);
    l2_put_u64le(head + 24, n);
    l2_put_u64le(head + 32, position->len);
    int rc = write_bytes(o, head, sizeof head, err);
    if (rc == L2_OK)
        rc = write_bytes(o, position->data, position->len, err);
    if (rc == L2_OK)
        rc = write_floats(o, t->params->values, n, err);
    if (rc == L2_OK)
        rc = write_floats(o, t->adamw.m->values, n, err);
    if (rc == L2_OK)
        rc = write_floats(o, t->adamw.v->values, n, err);
    if (rc != L2_OK)
        return rc;
    l2_sha256_final(&o->sha, digest);
    rc = write_bytes(o, digest, sizeof digest, err);
    if (rc == L2_OK && fsync(o->fd) != 0)
        rc = l2_err_sys(err, errno, o->path, "cannot sync");
    return rc;
}

/* The name in its directory is on disk, too. */
static int sync_parent(const char *path, struct l2_err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!dir)
        return l2_err_memory(err, strlen(path));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = L2_OK;
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
        rc = l2_err_sys(err, errno, dir, "cannot sync directory");
    if (fd >= 0)
        close(fd);
    free(dir);
    return rc;
}

int l2_checkpoint_write(const struct l2_trainer *t, const struct l2_data *d, const char *path,
                        struct l2_err *err)
{
    struct l2_buf position = {.len = 0};
    struct out o = {.fd = -1};
    size_t size = strlen(path) + sizeof ".tmp";
    char *temp = malloc(size);
    int rc = temp ? l2_data_save(d, &position, err) : l2_err_memory(err, size);
    if (rc != L2_OK)
        goto out;
    snprintf(temp, size, "%s.tmp", path);
    o.path = temp;
    l2_sha256_init(&o.sha);
    o.fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o.fd < 0) {
        rc = l2_err_sys(err, errno, temp, "cannot create");
        goto out;
    }
    rc = write_all(&o, t, &position, err);
    if (close(o.fd) != 0 && rc == L2_OK)
        rc = l2_err_sys(err, errno, temp, "cannot close");
    if (rc == L2_OK && rename(temp, path) != 0)
        rc = l2_err_sys(err, errno, path, "cannot rename to it");
    if (rc == L2_OK)
        rc = sync_parent(path, err);
    else
        unlink(temp);
out:
    free(temp);
    l2_buf_release(&position);
    return rc;
}

static int check(const struct l2_trainer *t, const struct l2_map *map, size_t n, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 sha;
    uint64_t position, want;
    if (map->size < sizeof magic || memcmp(map->data, magic, sizeof magic) != 0)
        return l2_err_at(err, L2_FORMAT, map->name, 0, "not a checkpoint of a training run");
    if (map->size < HEAD)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size, "ends in its head");
    if (l2_get_u64le(map->data + 24) != n || l2_get_u64le(map->data + 8) != t->opts.kind)
        return l2_err_at(err, L2_ARGUMENT, map->name, 24,
                         "is of another training: %llu values of kind %llu, want %zu of %d",
                         (unsigned long long)l2_get_u64le(map->data + 24),
                         (unsigned long long)l2_get_u64le(map->data + 8), n, (int)t->opts.kind);
    position = l2_get_u64le(map->data + 32);
    want = HEAD + (uint64_t)n * 12 + L2_SHA256_SIZE;
    if (map->size < want || map->size - want != position)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "has %zu bytes: want %llu", map->size,
                         (unsigned long long)(want + position));
    l2_sha256_init(&sha);
    l2_sha256_update(&sha, map->data, map->size - L2_SHA256_SIZE);
    l2_sha256_final(&sha, digest);
    if (memcmp(digest, map->data + map->size - L2_SHA256_SIZE, L2_SHA256_SIZE) != 0)
        return l2_err_at(err, L2_CORRUPT, map->name, -1, "damaged: its checksum does not hold");
    return L2_OK;
}

int l2_checkpoint_read(struct l2_trainer *t, struct l2_data *d, const char *path,
                       struct l2_err *err)
{
    size_t n = t->params->offset[t->params->n_tensors];
    struct l2_map map;
    int rc = l2_map_open(&map, path, err);
    if (rc != L2_OK)
        return rc;
    rc = check(t, &map, n, err);
    if (rc == L2_OK) {
        size_t position = (size_t)l2_get_u64le(map.data + 32);
        rc = l2_data_restore(d, map.data + HEAD, position, err);
        if (rc == L2_OK) {
            const uint8_t *p = map.data + HEAD + position;
            t->adamw.step = l2_get_u64le(map.data + 16);
            l2_get_f32le_array(t->params->values, p, n);
            l2_get_f32le_array(t->adamw.m->values, p + 4 * n, n);
            l2_get_f32le_array(t->adamw.v->values, p + 8 * n, n);
        } else if (rc != L2_MEMORY) {
            (void)l2_err_in_file(err, path);
        }
    }
    l2_map_release(&map);
    return rc;
}
