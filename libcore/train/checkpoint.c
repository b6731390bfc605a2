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

/* Layout, little-endian: magic, version, steps, bytes of the settings, of the data's position and
 * of the pieces (u64 each), then these three; SHA-256 of all that. */
static const char magic[8] = {'l', '2', 't', 'r', 'a', 'i', 'n', 0};
#define LAYOUT 2
#define HEAD   (sizeof magic + 5 * 8)
#define COPY   ((size_t)16384) /* values at a time */

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

static int write_piece(struct out *o, const struct l2_trainer_piece *piece, struct l2_err *err)
{
    uint8_t bytes[4 * COPY];
    int rc = L2_OK;
    for (size_t at = 0; at < piece->n && rc == L2_OK; at += COPY) {
        size_t part = piece->n - at < COPY ? piece->n - at : COPY;
        const uint16_t *half = piece->values;
        if (piece->size == sizeof(float))
            l2_put_f32le_array(bytes, (const float *)piece->values + at, part);
        else
            for (size_t i = 0; i < part; i++)
                l2_put_u16le(bytes + 2 * i, half[at + i]);
        rc = write_bytes(o, bytes, part * piece->size, err);
    }
    return rc;
}

static void read_piece(const struct l2_trainer_piece *piece, const uint8_t *bytes)
{
    uint16_t *half = piece->values;
    if (piece->size == sizeof(float)) {
        l2_get_f32le_array(piece->values, bytes, piece->n);
        return;
    }
    for (size_t i = 0; i < piece->n; i++)
        half[i] = l2_get_u16le(bytes + 2 * i);
}

static uint64_t pieces_size(const struct l2_trainer_piece *pieces, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)pieces[i].n * pieces[i].size;
    return sum;
}

static int write_all(struct out *o, const struct l2_trainer *t, const struct l2_buf *settings,
                     const struct l2_buf *position, struct l2_err *err)
{
    struct l2_trainer_piece pieces[L2_TRAINER_PIECES];
    size_t n = l2_trainer_pieces(t, pieces);
    uint8_t head[HEAD], digest[L2_SHA256_SIZE];
    memcpy(head, magic, sizeof magic);
    l2_put_u64le(head + 8, LAYOUT);
    l2_put_u64le(head + 16, t->adamw.step);
    l2_put_u64le(head + 24, settings->len);
    l2_put_u64le(head + 32, position->len);
    l2_put_u64le(head + 40, pieces_size(pieces, n));
    int rc = write_bytes(o, head, sizeof head, err);
    if (rc == L2_OK)
        rc = write_bytes(o, settings->data, settings->len, err);
    if (rc == L2_OK)
        rc = write_bytes(o, position->data, position->len, err);
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = write_piece(o, &pieces[i], err);
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

/* Moments of other workers' shards are theirs until now. */
static int gather_moments(struct l2_trainer *t, struct l2_err *err)
{
    struct l2_trainer_piece pieces[L2_TRAINER_PIECES];
    size_t n = l2_trainer_pieces(t, pieces);
    int rc = L2_OK;
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        if (!pieces[i].parameters)
            rc = l2_reduce_gather(t->opts.reducer, pieces[i].values, pieces[i].n, pieces[i].size,
                                  err);
    return rc;
}

int l2_checkpoint_write(struct l2_trainer *t, const struct l2_data *d, const char *path,
                        struct l2_err *err)
{
    struct l2_buf position = {.len = 0}, settings = {.len = 0};
    struct out o = {.fd = -1};
    size_t size = strlen(path) + sizeof ".tmp";
    char *temp = malloc(size);
    int rc = temp ? gather_moments(t, err) : l2_err_memory(err, size);
    if (rc == L2_OK)
        rc = l2_data_save(d, &position, err);
    if (rc == L2_OK)
        rc = l2_settings_write(t, d, &settings, err);
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
    rc = write_all(&o, t, &settings, &position, err);
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
    l2_buf_release(&settings);
    return rc;
}

/* ---- reading ---- */

/* The parts of a file whose lengths agree with its size. */
struct parts {
    uint64_t step;
    const uint8_t *settings, *position, *pieces;
    size_t n_settings, n_position, n_pieces;
};

static int find_parts(const struct l2_map *map, struct parts *p, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 sha;
    if (map->size < sizeof magic || memcmp(map->data, magic, sizeof magic) != 0)
        return l2_err_at(err, L2_FORMAT, map->name, 0, "not a checkpoint of a training run");
    if (map->size < HEAD + L2_SHA256_SIZE)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size, "ends in its head");
    uint64_t version = l2_get_u64le(map->data + 8), left = map->size - HEAD - L2_SHA256_SIZE;
    if (version != LAYOUT)
        return l2_err_at(err, L2_UNSUPPORTED, map->name, 8, "version %llu of checkpoints: want %d",
                         (unsigned long long)version, LAYOUT);
    const uint8_t *at = map->data + HEAD;
    uint64_t sizes[3];
    for (int i = 0; i < 3; i++) {
        sizes[i] = l2_get_u64le(map->data + 24 + 8 * i);
        if (sizes[i] > left)
            return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                             "part %d has %llu bytes left: want %llu", i + 1,
                             (unsigned long long)left, (unsigned long long)sizes[i]);
        left -= sizes[i];
    }
    if (left > 0)
        return l2_err_at(err, L2_CORRUPT, map->name, (int64_t)(map->size - left),
                         "%llu bytes more than its parts have", (unsigned long long)left);
    l2_sha256_init(&sha);
    l2_sha256_update(&sha, map->data, map->size - L2_SHA256_SIZE);
    l2_sha256_final(&sha, digest);
    if (memcmp(digest, map->data + map->size - L2_SHA256_SIZE, L2_SHA256_SIZE) != 0)
        return l2_err_at(err, L2_CORRUPT, map->name, -1, "damaged: its checksum does not hold");
    *p = (struct parts){.step = l2_get_u64le(map->data + 16),
                        .settings = at,
                        .n_settings = (size_t)sizes[0],
                        .position = at + sizes[0],
                        .n_position = (size_t)sizes[1],
                        .pieces = at + sizes[0] + sizes[1],
                        .n_pieces = (size_t)sizes[2]};
    return L2_OK;
}

static int check_settings(const struct l2_trainer *t, const struct l2_data *d,
                          const struct parts *p, bool changed, struct l2_err *err)
{
    struct l2_buf ours = {.len = 0};
    int rc = l2_settings_write(t, d, &ours, err);
    if (rc == L2_OK)
        rc = l2_settings_compare((const char *)p->settings, p->n_settings, (const char *)ours.data,
                                 ours.len, changed, err);
    l2_buf_release(&ours);
    return rc;
}

static int restore(struct l2_trainer *t, struct l2_data *d, const struct parts *p, bool changed,
                   bool *data_changed, struct l2_err *err)
{
    struct l2_trainer_piece pieces[L2_TRAINER_PIECES];
    size_t n = l2_trainer_pieces(t, pieces);
    int rc = check_settings(t, d, p, changed, err);
    if (rc == L2_OK && p->n_pieces != pieces_size(pieces, n))
        rc = l2_err_set(err, L2_CORRUPT, "%zu bytes of values: want %llu", p->n_pieces,
                        (unsigned long long)pieces_size(pieces, n));
    if (rc != L2_OK)
        return rc;
    rc = l2_data_restore(d, p->position, p->n_position, err);
    *data_changed = rc == L2_ARGUMENT && changed;
    if (*data_changed)
        l2_data_rewind(d);
    else if (rc != L2_OK)
        return rc;
    const uint8_t *at = p->pieces;
    t->adamw.step = p->step;
    for (size_t i = 0; i < n; i++) {
        read_piece(&pieces[i], at);
        at += pieces[i].n * pieces[i].size;
    }
    return L2_OK;
}

int l2_checkpoint_read(struct l2_trainer *t, struct l2_data *d, const char *path, bool changed,
                       bool *data_changed, struct l2_err *err)
{
    struct parts parts = {.step = 0};
    struct l2_map map;
    *data_changed = false;
    int rc = l2_map_open(&map, path, err);
    if (rc != L2_OK)
        return rc;
    rc = find_parts(&map, &parts, err);
    if (rc == L2_OK) {
        rc = restore(t, d, &parts, changed, data_changed, err);
        if (rc != L2_OK && rc != L2_MEMORY)
            (void)l2_err_in_file(err, path);
    }
    l2_map_release(&map);
    return rc;
}
