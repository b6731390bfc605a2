/* PPO: checkpoints, one file, synced under another name before it gets its own. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "rlhf/ppo_state.h"
#include "train/sealed.h"
#include "train/settings.h"
#include "util/num.h"

/* Layout, little-endian: magic; version, steps, bytes of the settings and of the pieces (u64); the
 * KL coefficient and the caller's numbers (f64); settings; pieces (f32); SHA-256 of all that. */
static const char magic[8] = {'l', '2', 'p', 'p', 'o', 0, 0, 0};
#define LAYOUT 1
#define HEAD   (sizeof magic + (5 + L2_PPO_NUMBERS) * (size_t)8)

static uint64_t pieces_size(const struct l2_ppo_piece *pieces, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)pieces[i].n * 4;
    return sum;
}

static int put_all(struct l2_sealed *out, const struct l2_ppo *p,
                   const double numbers[L2_PPO_NUMBERS], struct l2_err *err)
{
    struct l2_ppo_piece pieces[L2_PPO_PIECES];
    size_t n = l2_ppo_pieces(p, pieces);
    const char *settings = p->opts.settings ? p->opts.settings : "";
    uint8_t head[HEAD];
    memcpy(head, magic, sizeof magic);
    l2_put_u64le(head + 8, LAYOUT);
    l2_put_u64le(head + 16, p->adamw.step);
    l2_put_u64le(head + 24, strlen(settings));
    l2_put_u64le(head + 32, pieces_size(pieces, n));
    l2_put_f64le(head + 40, p->kl_coef);
    for (size_t i = 0; i < L2_PPO_NUMBERS; i++)
        l2_put_f64le(head + 48 + 8 * i, numbers[i]);
    int rc = l2_sealed_put(out, head, sizeof head, err);
    if (rc == L2_OK)
        rc = l2_sealed_put(out, settings, strlen(settings), err);
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = l2_sealed_put_f32(out, pieces[i].values, pieces[i].n, err);
    return rc;
}

int l2_ppo_save(const struct l2_ppo *p, const double numbers[L2_PPO_NUMBERS], const char *path,
                struct l2_err *err)
{
    struct l2_sealed out;
    int rc = l2_sealed_begin(&out, path, err);
    return rc == L2_OK ? l2_sealed_end(&out, put_all(&out, p, numbers, err), err) : rc;
}

/* ---- reading ---- */

static int check_file(const struct l2_map *map, struct l2_err *err)
{
    int rc = l2_sealed_head(map, magic, LAYOUT, HEAD, "l2-ppo", err);
    if (rc != L2_OK)
        return rc;
    uint64_t left = map->size - HEAD - L2_SHA256_SIZE;
    uint64_t settings = l2_get_u64le(map->data + 24), pieces = l2_get_u64le(map->data + 32);
    if (settings > left || pieces > left - settings)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "has %llu bytes of content: want more", (unsigned long long)left);
    if (pieces != left - settings)
        return l2_err_at(err, L2_CORRUPT, map->name, -1, "bytes behind its content");
    return l2_sealed_check(map, err);
}

static int restore(struct l2_ppo *p, double numbers[L2_PPO_NUMBERS], const struct l2_map *map,
                   struct l2_err *err)
{
    struct l2_ppo_piece pieces[L2_PPO_PIECES];
    size_t n = l2_ppo_pieces(p, pieces), n_settings = (size_t)l2_get_u64le(map->data + 24);
    const uint8_t *at = map->data + HEAD;
    const char *settings = p->opts.settings ? p->opts.settings : "";
    int rc =
        l2_settings_compare((const char *)at, n_settings, settings, strlen(settings), false, err);
    if (rc != L2_OK)
        return l2_err_in_file(err, map->name);
    if (l2_get_u64le(map->data + 32) != pieces_size(pieces, n))
        return l2_err_at(err, L2_ARGUMENT, map->name, -1, "is of a model of another shape");
    at += n_settings;
    for (size_t i = 0; i < n; i++) {
        l2_get_f32le_array(pieces[i].values, at, pieces[i].n);
        at += 4 * pieces[i].n;
    }
    p->adamw.step = l2_get_u64le(map->data + 16);
    p->kl_coef = l2_get_f64le(map->data + 40);
    for (size_t i = 0; i < L2_PPO_NUMBERS; i++)
        numbers[i] = l2_get_f64le(map->data + 48 + 8 * i);
    return L2_OK;
}

int l2_ppo_restore(struct l2_ppo *p, double numbers[L2_PPO_NUMBERS], const char *path,
                   struct l2_err *err)
{
    struct l2_map map;
    int rc = l2_map_open(&map, path, err);
    if (rc != L2_OK)
        return rc;
    rc = check_file(&map, err);
    if (rc == L2_OK)
        rc = restore(p, numbers, &map, err);
    l2_map_release(&map);
    return rc;
}
