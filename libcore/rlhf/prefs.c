/* Which preference pairs are kept, and how often. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/prefs.h"

#include <math.h>
#include <string.h>

#include "util/num.h"

const char *const l2_pref_bin_names[L2_N_PREF_BINS] = {"chosen_safe_other_unsafe", "both_safe",
                                                       "both_unsafe"};

int l2_prefs_init(struct l2_prefs *p, const struct l2_prefs_opts *opts, struct l2_err *err)
{
    *p = (struct l2_prefs){.opts = *opts};
    int r = l2_seen_init(&p->pairs, opts->memory / 2, err);
    return r == L2_OK ? l2_seen_init(&p->sides, opts->memory / 2, err) : r;
}

void l2_prefs_release(struct l2_prefs *p)
{
    l2_seen_release(&p->pairs);
    l2_seen_release(&p->sides);
}

static uint64_t number_of(struct l2_sha256 *h)
{
    uint8_t d[L2_SHA256_SIZE];
    uint64_t x = 0;
    l2_sha256_final(h, d);
    for (int i = 0; i < 8; i++)
        x = x << 8 | d[i];
    return x;
}

static uint64_t join(const uint8_t *prompt, const uint8_t *a, const uint8_t *b)
{
    struct l2_sha256 h;
    l2_sha256_init(&h);
    l2_sha256_update(&h, prompt, L2_SHA256_SIZE);
    l2_sha256_update(&h, a, L2_SHA256_SIZE);
    l2_sha256_update(&h, b, L2_SHA256_SIZE);
    return number_of(&h);
}

/* A number from 0 to 1 by seed and data. */
static double share_of(uint64_t seed, const uint8_t *data, size_t n)
{
    struct l2_sha256 h;
    uint8_t head[8];
    l2_put_u64le(head, seed);
    l2_sha256_init(&h);
    l2_sha256_update(&h, head, sizeof head);
    l2_sha256_update(&h, data, n);
    return (double)(number_of(&h) >> 11) * 0x1p-53;
}

static bool in_part(const struct l2_prefs *p, const struct l2_pref *pref)
{
    if (!p->opts.has_split)
        return true;
    return (share_of(p->opts.seed, pref->opening, L2_SHA256_SIZE) < p->opts.split) != p->opts.rest;
}

bool l2_prefs_judge(struct l2_prefs *p, const struct l2_pref *pref, bool *contradicts)
{
    const uint8_t *a = pref->answers[0], *b = pref->answers[1];
    bool ordered = memcmp(a, b, L2_SHA256_SIZE) < 0;
    *contradicts = false;
    if (pref->safe[0] == 0 && pref->safe[1] == 1) {
        p->unsafe++;
        return false;
    }
    bool met = l2_seen_add(&p->sides, join(pref->prompt, ordered ? a : b, ordered ? b : a));
    bool same = l2_seen_add(&p->pairs, join(pref->prompt, a, b));
    *contradicts = met && !same;
    p->duplicates += same;
    p->contradictions += *contradicts;
    if (met && p->opts.unique)
        return false;
    if (!in_part(p, pref)) {
        p->other_part++;
        return false;
    }
    p->kept++;
    p->ratings[pref->rating]++;
    if (pref->safe[0] >= 0 && pref->safe[1] >= 0)
        p->bins[!pref->safe[0]  ? L2_PREF_BOTH_UNSAFE
                : pref->safe[1] ? L2_PREF_BOTH_SAFE
                                : L2_PREF_CHOSEN_SAFE]++;
    return true;
}

uint32_t l2_prefs_copies(const struct l2_prefs *p, const struct l2_pref *pref, double weight)
{
    uint8_t key[2 * L2_SHA256_SIZE];
    double whole = floor(weight);
    memcpy(key, pref->prompt, L2_SHA256_SIZE);
    memcpy(key + L2_SHA256_SIZE, pref->answers[0], L2_SHA256_SIZE);
    return (uint32_t)whole + (share_of(p->opts.seed, key, sizeof key) < weight - whole);
}
