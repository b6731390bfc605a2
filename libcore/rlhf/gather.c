/* Pooling records by a hash table from (id, prompt) to the first record with them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/gather.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"
#include "util/sha256.h"

#define NONE SIZE_MAX

struct entry {
    struct l2_record *rec; /* owned */
    uint64_t hash;
    size_t next; /* the next record of the same id and prompt, or NONE */
    size_t last; /* of a first record: the last one of its list */
    bool is_first;
};

struct l2_gather {
    bool pool;
    struct entry *v; /* in order of arrival */
    size_t n, cap;
    size_t *table; /* places of first records in v, or NONE; open addressing */
    size_t table_size;
    size_t n_first;
    size_t at; /* of l2_gather_next */
};

int l2_gather_new(struct l2_gather **out, bool pool, struct l2_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return l2_err_memory(err, sizeof **out);
    (*out)->pool = pool;
    return L2_OK;
}

static void free_record(struct l2_record *rec)
{
    if (!rec)
        return;
    l2_record_release(rec);
    free(rec);
}

void l2_gather_free(struct l2_gather *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        free_record(g->v[i].rec);
    free(g->v);
    free(g->table);
    free(g);
}

static uint64_t hash_of(const struct l2_record *r)
{
    uint8_t digest[L2_SHA256_SIZE];
    l2_record_hash(r, digest);
    return l2_get_u64le(digest);
}

static bool same_id(const struct l2_id *a, const struct l2_id *b)
{
    if (a->is_text != b->is_text)
        return false;
    if (!a->is_text)
        return a->number == b->number;
    return a->text.n == b->text.n && memcmp(a->text.s, b->text.s, a->text.n) == 0;
}

static bool same_group(const struct l2_record *a, const struct l2_record *b)
{
    return same_id(&a->id, &b->id) && !a->prompt.v == !b->prompt.v && a->prompt.n == b->prompt.n &&
           (a->prompt.n == 0 ||
            memcmp(a->prompt.v, b->prompt.v, a->prompt.n * sizeof *a->prompt.v) == 0);
}

/* The slot of rec's group, or the empty slot where it belongs. */
static size_t *find_slot(struct l2_gather *g, uint64_t hash, const struct l2_record *rec)
{
    size_t at = (size_t)hash & (g->table_size - 1);
    while (g->table[at] != NONE &&
           (g->v[g->table[at]].hash != hash || !same_group(g->v[g->table[at]].rec, rec)))
        at = (at + 1) & (g->table_size - 1);
    return &g->table[at];
}

static int grow_table(struct l2_gather *g, struct l2_err *err)
{
    size_t size = g->table_size ? g->table_size * 2 : 64;
    size_t *table = malloc(size * sizeof *table);
    if (!table)
        return l2_err_memory(err, size * sizeof *table);
    for (size_t i = 0; i < size; i++)
        table[i] = NONE;
    free(g->table);
    g->table = table;
    g->table_size = size;
    for (size_t i = 0; i < g->n; i++)
        if (g->v[i].is_first)
            *find_slot(g, g->v[i].hash, g->v[i].rec) = i;
    return L2_OK;
}

static int grow_list(struct l2_gather *g, struct l2_err *err)
{
    size_t cap = g->cap ? g->cap * 2 : 64;
    struct entry *v = realloc(g->v, cap * sizeof *v);
    if (!v)
        return l2_err_memory(err, cap * sizeof *v);
    g->v = v;
    g->cap = cap;
    return L2_OK;
}

/* Finds the record at place, the last one, its list. */
static int list_up(struct l2_gather *g, size_t place, struct l2_err *err)
{
    struct entry *e = &g->v[place], *first;
    size_t *slot;
    int rc;
    if (g->n_first * 2 >= g->table_size && (rc = grow_table(g, err)) < 0)
        return rc;
    e->hash = hash_of(e->rec);
    slot = find_slot(g, e->hash, e->rec);
    if (*slot == NONE) {
        *slot = place;
        e->is_first = true;
        g->n_first++;
        return L2_OK;
    }
    first = &g->v[*slot];
    g->v[first->last].next = place;
    first->last = place;
    return L2_OK;
}

int l2_gather_add(struct l2_gather *g, struct l2_record *rec, struct l2_err *err)
{
    size_t place = g->n;
    int rc;
    if (g->n == g->cap && (rc = grow_list(g, err)) < 0) {
        free_record(rec);
        return rc;
    }
    g->v[place] = (struct entry){rec, 0, NONE, place, !g->pool};
    g->n++;
    return g->pool ? list_up(g, place, err) : L2_OK;
}

/* The completions of all records of the list, in the first one's arena; what they point at stays
 * where it is, for g keeps all records. */
static int join(struct l2_gather *g, struct entry *first, struct l2_err *err)
{
    struct l2_record *r = first->rec;
    struct l2_completion *all;
    size_t n = 0;
    for (const struct entry *e = first;; e = &g->v[e->next]) {
        n += e->rec->n_completions;
        if (e->next == NONE)
            break;
    }
    if (n == r->n_completions)
        return L2_OK;
    all = l2_arena_alloc(&r->arena, n, sizeof *all, err);
    if (!all)
        return L2_MEMORY;
    n = 0;
    for (const struct entry *e = first;; e = &g->v[e->next]) {
        if (e->rec->n_completions)
            memcpy(all + n, e->rec->completions, e->rec->n_completions * sizeof *all);
        n += e->rec->n_completions;
        if (e->next == NONE)
            break;
    }
    r->completions = all;
    r->n_completions = n;
    first->next = NONE;
    return L2_OK;
}

int l2_gather_next(struct l2_gather *g, struct l2_record **rec, struct l2_err *err)
{
    int rc;
    *rec = NULL;
    while (g->at < g->n && !g->v[g->at].is_first)
        g->at++;
    if (g->at == g->n)
        return L2_OK;
    if ((rc = join(g, &g->v[g->at], err)) < 0)
        return rc;
    *rec = g->v[g->at++].rec;
    return L2_OK;
}

void l2_gather_rewind(struct l2_gather *g)
{
    g->at = 0;
}
