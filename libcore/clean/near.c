/* The index of near duplicates. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "util/num.h"

/* For each text one byte of each of its k = bands x rows minima; for each band chains of texts
 * whose minima of that band have one hash. */
struct l2_near {
    struct l2_near_settings s;
    uint32_t k;
    uint64_t *minima;  /* (k), of the present text */
    bool *filled;      /* (k) */
    uint64_t *starts;  /* (k): where the search for a full bin begins */
    uint32_t *full;    /* (k): the next full bin */
    uint64_t *keys;    /* (bands) */
    uint8_t *bytes;    /* (room, k) */
    uint8_t *mine;     /* (k), of the present text */
    uint32_t *heads;   /* (bands, n_heads), text + 1, or 0 */
    uint32_t *next;    /* (room, bands), text + 1 */
    uint32_t *visited; /* (room): the query that last saw the text */
    size_t n_heads;    /* a power of two */
    uint32_t n, room, query;
    uint64_t missed;
};

/* Of a band's chain at most MAX_CHAIN texts are looked at: those that were added last. */
enum { MAX_CHAIN = 256, MAX_ATTEMPTS = 8 };

int l2_near_new(struct l2_near **out, const struct l2_near_settings *s, struct l2_err *err)
{
    size_t k = (size_t)s->bands * s->rows;
    /* a byte a minimum, a link a band, a head and a half a band at most, and the mark */
    uint64_t each = k + (uint64_t)s->bands * (4 + 8) + 4, room = s->bytes / each;
    size_t n_heads = 16, cells;
    *out = NULL;
    if (room < 16)
        room = 16;
    if (room > UINT32_MAX / 2)
        room = UINT32_MAX / 2;
    while (n_heads < room)
        n_heads *= 2;
    struct l2_near *near = calloc(1, sizeof *near);
    if (!near)
        return l2_err_memory(err, sizeof *near);
    near->s = *s;
    near->k = (uint32_t)k;
    near->room = (uint32_t)room;
    near->n_heads = n_heads;
    near->minima = calloc(k, sizeof *near->minima);
    near->filled = calloc(k, sizeof *near->filled);
    near->starts = calloc(k, sizeof *near->starts);
    near->full = calloc(k, sizeof *near->full);
    near->keys = calloc(s->bands, sizeof *near->keys);
    near->mine = calloc(k, 1);
    near->visited = calloc(room, sizeof *near->visited);
    if (l2_mul_size(n_heads, s->bands, &cells))
        near->heads = calloc(cells, sizeof *near->heads);
    if (l2_mul_size((size_t)room, k, &cells))
        near->bytes = calloc(cells, 1);
    if (l2_mul_size((size_t)room, s->bands, &cells))
        near->next = calloc(cells, sizeof *near->next);
    if (!near->minima || !near->filled || !near->starts || !near->full || !near->keys ||
        !near->mine || !near->heads || !near->visited || !near->bytes || !near->next) {
        l2_near_free(near);
        return l2_err_memory(err, (size_t)s->bytes);
    }
    for (size_t i = 0; i < k; i++)
        near->starts[i] = l2_hash_join(s->seed + 1, i);
    *out = near;
    return L2_OK;
}

void l2_near_free(struct l2_near *near)
{
    if (!near)
        return;
    free(near->minima);
    free(near->filled);
    free(near->starts);
    free(near->full);
    free(near->keys);
    free(near->mine);
    free(near->bytes);
    free(near->heads);
    free(near->next);
    free(near->visited);
    free(near);
}

/* A shingle falls into one of k bins by its hash's high half; each bin keeps its least value. */
static void add_shingle(struct l2_near *near, uint64_t hash)
{
    uint64_t h = l2_hash_join(near->s.seed, hash);
    size_t bin = (size_t)((h >> 32) * near->k >> 32);
    uint64_t value = h * UINT64_C(0x9e3779b97f4a7c15);
    if (!near->filled[bin] || value < near->minima[bin]) {
        near->filled[bin] = true;
        near->minima[bin] = value;
    }
}

static bool add_shingles(struct l2_near *near, const char *text, size_t n)
{
    struct l2_words w;
    struct l2_rolling roll;
    uint64_t h;
    l2_words_init(&w, text, n);
    l2_rolling_init(&roll, near->s.ngram);
    memset(near->filled, 0, near->k * sizeof *near->filled);
    while (l2_words_next(&w))
        if (l2_rolling_add(&roll, w.hash, &h))
            add_shingle(near, h);
    if (roll.seen > 0 && roll.seen < near->s.ngram)
        add_shingle(near, l2_rolling_short(&roll));
    return roll.seen > 0;
}

/* The first full bin from each on, around the end. */
static void find_full(struct l2_near *near)
{
    uint32_t next = 0;
    while (!near->filled[next])
        next++;
    for (uint32_t i = near->k; i-- > 0;) {
        if (near->filled[i])
            next = i;
        near->full[i] = next;
    }
}

/* An empty bin takes the value of a full one, found by numbers that depend on (bin, attempt) and
 * are the same for all texts: bins of two texts stay equal with the probability of their
 * similarity. Where a few attempts find none, as in short texts, it is the next full one (rotation,
 * Shrivastava and Li 2014), so that the work is bounded. */
static void fill_bins(struct l2_near *near)
{
    find_full(near);
    for (uint32_t i = 0; i < near->k; i++) {
        uint64_t h = near->starts[i];
        size_t from = i;
        for (int attempt = 0; attempt < MAX_ATTEMPTS && !near->filled[from]; attempt++) {
            h = h * UINT64_C(0x5851f42d4c957f2d) + UINT64_C(0x14057b7ef767814f);
            from = (size_t)((h >> 32) * near->k >> 32);
        }
        from = near->full[from];
        if (from != i)
            near->minima[i] = near->minima[from];
    }
}

static void make_keys(struct l2_near *near)
{
    for (uint32_t b = 0; b < near->s.bands; b++) {
        uint64_t h = b + 1;
        for (uint32_t i = 0; i < near->s.rows; i++)
            h = l2_hash_join(h, near->minima[(size_t)b * near->s.rows + i]);
        near->keys[b] = h;
    }
    for (uint32_t i = 0; i < near->k; i++)
        near->mine[i] = (uint8_t)(near->minima[i] >> 8);
}

/* The share of equal minima; of unequal ones one in 256 has the same byte (b-bit minwise hashing,
 * Li and Konig 2010). */
static double similarity(const struct l2_near *near, uint32_t text)
{
    const uint8_t *bytes = near->bytes + (size_t)text * near->k;
    uint32_t equal = 0;
    for (uint32_t i = 0; i < near->k; i++)
        equal += bytes[i] == near->mine[i];
    double share = (double)equal / near->k;
    return share <= 1.0 / 256 ? 0 : (share - 1.0 / 256) / (1 - 1.0 / 256);
}

/* The chain of band b's minima. */
static uint32_t *head_of(const struct l2_near *near, uint32_t b)
{
    return &near->heads[b * near->n_heads + (size_t)(near->keys[b] & (near->n_heads - 1))];
}

static void find_like(struct l2_near *near, int64_t *like, double *best)
{
    uint32_t rows = near->s.rows;
    near->query++;
    for (uint32_t b = 0; b < near->s.bands; b++) {
        uint32_t at = *head_of(near, b);
        for (int steps = 0; at != 0 && steps < MAX_CHAIN; steps++) {
            uint32_t text = at - 1;
            const uint8_t *bytes = near->bytes + (size_t)text * near->k;
            at = near->next[(size_t)text * near->s.bands + b];
            if (memcmp(bytes + b * rows, near->mine + b * rows, rows) != 0 ||
                near->visited[text] == near->query)
                continue;
            near->visited[text] = near->query;
            double s = similarity(near, text);
            if (s >= near->s.similarity && (*like < 0 || (int64_t)text < *like)) {
                *like = text;
                *best = s;
            }
        }
    }
}

static void insert(struct l2_near *near)
{
    uint32_t text = near->n;
    if (text >= near->room) {
        near->missed++;
        return;
    }
    near->n++;
    memcpy(near->bytes + (size_t)text * near->k, near->mine, near->k);
    for (uint32_t b = 0; b < near->s.bands; b++) {
        uint32_t *head = head_of(near, b);
        near->next[(size_t)text * near->s.bands + b] = *head;
        *head = text + 1;
    }
}

void l2_near_add(struct l2_near *near, const char *text, size_t n, int64_t *like, double *similar)
{
    *like = -1;
    *similar = 0;
    if (!add_shingles(near, text, n))
        return;
    fill_bins(near);
    make_keys(near);
    find_like(near, like, similar);
    if (*like < 0)
        insert(near);
}

uint64_t l2_near_size(const struct l2_near *near)
{
    return near->n;
}

uint64_t l2_near_room(const struct l2_near *near)
{
    return near->room;
}

uint64_t l2_near_missed(const struct l2_near *near)
{
    return near->missed;
}

uint64_t l2_near_bytes(const struct l2_near *near)
{
    return (uint64_t)near->room * (near->k + near->s.bands * 4 + 4) +
           (uint64_t)near->n_heads * near->s.bands * 4;
}
