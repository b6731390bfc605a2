/* Checkpoints of a training run: one file, synced under another name before it gets its own. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "train/sealed.h"
#include "train/settings.h"
#include "train/trainer_state.h"
#include "util/num.h"

/* Layout, little-endian: magic, version, steps, bytes of the settings, of the data's position and
 * of the pieces (u64 each), then these three; SHA-256 of all that. */
static const char magic[8] = {'l', '2', 't', 'r', 'a', 'i', 'n', 0};
#define LAYOUT 2
#define HEAD   (sizeof magic + 5 * 8)

static int write_piece(struct l2_sealed *out, const struct l2_trainer_piece *piece,
                       struct l2_err *err)
{
    return piece->size == sizeof(float) ? l2_sealed_put_f32(out, piece->values, piece->n, err)
                                        : l2_sealed_put_u16(out, piece->values, piece->n, err);
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

static int write_all(struct l2_sealed *out, const struct l2_trainer *t,
                     const struct l2_buf *settings, const struct l2_buf *position,
                     struct l2_err *err)
{
    struct l2_trainer_piece pieces[L2_TRAINER_PIECES];
    size_t n = l2_trainer_pieces(t, pieces);
    uint8_t head[HEAD];
    memcpy(head, magic, sizeof magic);
    l2_put_u64le(head + 8, LAYOUT);
    l2_put_u64le(head + 16, t->adamw.step);
    l2_put_u64le(head + 24, settings->len);
    l2_put_u64le(head + 32, position->len);
    l2_put_u64le(head + 40, pieces_size(pieces, n));
    int rc = l2_sealed_put(out, head, sizeof head, err);
    if (rc == L2_OK)
        rc = l2_sealed_put(out, settings->data, settings->len, err);
    if (rc == L2_OK)
        rc = l2_sealed_put(out, position->data, position->len, err);
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = write_piece(out, &pieces[i], err);
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
    struct l2_sealed out;
    int rc = gather_moments(t, err);
    if (rc == L2_OK)
        rc = l2_data_save(d, &position, err);
    if (rc == L2_OK)
        rc = l2_settings_write(t, d, &settings, err);
    if (rc == L2_OK)
        rc = l2_sealed_begin(&out, path, err);
    if (rc == L2_OK)
        rc = l2_sealed_end(&out, write_all(&out, t, &settings, &position, err), err);
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
    int rc = l2_sealed_head(map, magic, LAYOUT, HEAD, "a training run", err);
    if (rc != L2_OK)
        return rc;
    uint64_t left = map->size - HEAD - L2_SHA256_SIZE;
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
    rc = l2_sealed_check(map, err);
    if (rc == L2_OK)
        *p = (struct parts){.step = l2_get_u64le(map->data + 16),
                            .settings = at,
                            .n_settings = (size_t)sizes[0],
                            .position = at + sizes[0],
                            .n_position = (size_t)sizes[1],
                            .pieces = at + sizes[0] + sizes[1],
                            .n_pieces = (size_t)sizes[2]};
    return rc;
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
