/* Choosing among a record's completions: collect those that have the score, order them, drop
 * duplicates, keep the head. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/select.h"

#include <stdlib.h>
#include <string.h>

#include "stream/fields.h"

struct candidate {
    double score;
    uint64_t k;
    size_t index; /* in the record */
};

double l2_combined_reward(double safety, double helpfulness, bool tagged)
{
    return tagged || safety < L2_SAFETY_THRESHOLD ? safety : helpfulness;
}

/* The score to choose by, or false where c lacks what is needed for it. */
static bool score_of(const struct l2_completion *c, const struct l2_select_opts *o, bool tagged,
                     double *score)
{
    const double *safe, *helpful;
    if (o->by) {
        safe = l2_completion_score(c, o->by);
        if (safe)
            *score = *safe;
        return safe != NULL;
    }
    safe = l2_completion_score(c, o->safe);
    helpful = l2_completion_score(c, o->helpful);
    if (!safe || (!helpful && !tagged && !(*safe < L2_SAFETY_THRESHOLD)))
        return false;
    *score = l2_combined_reward(*safe, helpful ? *helpful : 0, tagged);
    return true;
}

static int find_tag(const struct l2_record *r, const char *field, bool *tagged, struct l2_err *err)
{
    struct l2_cbor_item item;
    bool found = false;
    char id[64];
    int rc;
    *tagged = false;
    if (!field || !r->has_meta)
        return L2_OK;
    if ((rc = l2_fields_find(&r->meta, field, &found, &item, err)) < 0 || !found)
        return rc;
    *tagged = item.kind == L2_CBOR_TRUE;
    if (*tagged || item.kind == L2_CBOR_FALSE)
        return L2_OK;
    l2_id_format(&r->id, id, sizeof id);
    return l2_err_set(err, L2_CORRUPT, "record %s: meta field %s: want true or false, got %s", id,
                      field, l2_cbor_kind_name(item.kind));
}

static int by_k(const struct candidate *a, const struct candidate *b)
{
    if (a->k != b->k)
        return a->k < b->k ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int best_first(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    return a->score != b->score ? (a->score > b->score ? -1 : 1) : by_k(a, b);
}

static int worst_first(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    return a->score != b->score ? (a->score < b->score ? -1 : 1) : by_k(a, b);
}

/* The text counts too: a completion that was cut inside a token has the same tokens as one that was
 * cut before it. */
static bool same_completion(const struct l2_completion *a, const struct l2_completion *b)
{
    if (a->tokens.n != b->tokens.n || a->text.n != b->text.n || !a->text.s != !b->text.s)
        return false;
    return (a->tokens.n == 0 ||
            memcmp(a->tokens.v, b->tokens.v, a->tokens.n * sizeof *a->tokens.v) == 0) &&
           (a->text.n == 0 || memcmp(a->text.s, b->text.s, a->text.n) == 0);
}

/* FNV-1a over token ids. */
static uint32_t hash_tokens(const struct l2_u32s *t)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < t->n; i++)
        h = (h ^ t->v[i]) * 16777619u;
    return h ^ h >> 16;
}

/* Drops candidates that equal an earlier one, by an open hash table of places in list + 1. */
static int drop_duplicates(struct l2_record *r, struct candidate *list, size_t *n,
                           struct l2_err *err)
{
    size_t size = 4, kept = 0;
    size_t *table;
    while (size < *n * 2)
        size *= 2;
    table = l2_arena_alloc(&r->arena, size, sizeof *table, err);
    if (!table)
        return L2_MEMORY;
    memset(table, 0, size * sizeof *table);
    for (size_t i = 0; i < *n; i++) {
        const struct l2_completion *c = &r->completions[list[i].index];
        size_t at = hash_tokens(&c->tokens) & (size - 1);
        while (table[at] && !same_completion(c, &r->completions[list[table[at] - 1].index]))
            at = (at + 1) & (size - 1);
        if (table[at])
            continue;
        list[kept++] = list[i];
        table[at] = kept;
    }
    *n = kept;
    return L2_OK;
}

/* Makes the chosen the record's completions. */
static int keep(struct l2_record *r, const struct l2_select_opts *o, const struct candidate *list,
                size_t n, struct l2_err *err)
{
    struct l2_completion *chosen = l2_arena_alloc(&r->arena, n, sizeof *chosen, err);
    if (!chosen)
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        int rc;
        chosen[i] = r->completions[list[i].index];
        if (o->as && (rc = l2_record_set_score(r, &chosen[i], o->as, list[i].score, err)) < 0)
            return rc;
    }
    r->completions = chosen;
    r->n_completions = n;
    if (o->kind == L2_SELECT_PAIRS && o->keep_margin) {
        r->has_margin = true;
        r->margin = (float)(list[0].score - list[1].score);
    } else if (n < 2 || list[0].index != 0 || list[1].index != 1) {
        r->has_margin = false;
        r->margin = 0;
    }
    return L2_OK;
}

static size_t collect(const struct l2_record *r, const struct l2_select_opts *o, bool tagged,
                      struct candidate *list, struct l2_select_counts *counts)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_completions; i++) {
        const struct l2_completion *c = &r->completions[i];
        double score = 0;
        if (!score_of(c, o, tagged, &score)) {
            counts->unscored++;
            continue;
        }
        counts->sum_before += score;
        if (o->has_min_score && score < o->min_score) {
            counts->below++;
            continue;
        }
        list[n++] = (struct candidate){score, c->gen.has_k ? c->gen.k : i, i};
    }
    return n;
}

/* Orders the candidates and reduces them to the chosen. */
static int choose(struct l2_record *r, const struct l2_select_opts *o, struct candidate *list,
                  size_t *n, struct l2_select_counts *counts, enum l2_select_result *result,
                  struct l2_err *err)
{
    size_t all = *n;
    int rc;
    qsort(list, *n, sizeof *list, o->kind == L2_SELECT_WORST ? worst_first : best_first);
    if ((rc = drop_duplicates(r, list, n, err)) < 0)
        return rc;
    counts->duplicates += all - *n;
    *result = L2_SELECTED;
    if (o->kind == L2_SELECT_PAIRS) {
        size_t worst = *n - 1;
        if (*n < 2) {
            *result = L2_SELECT_SINGLE;
        } else if (list[0].score == list[worst].score) {
            *result = L2_SELECT_TIED;
        } else {
            while (list[worst - 1].score == list[worst].score)
                worst--; /* of the worst, the one with the lowest k */
            list[1] = list[worst];
            *n = 2;
        }
    } else if (*n > o->n) {
        *n = o->n;
    }
    return L2_OK;
}

int l2_select(struct l2_record *r, const struct l2_select_opts *opts,
              struct l2_select_counts *counts, enum l2_select_result *result, struct l2_err *err)
{
    struct candidate *list;
    uint64_t below = counts->below;
    size_t n;
    bool tagged;
    int rc;
    *result = L2_SELECT_UNSCORED;
    if ((rc = find_tag(r, opts->safety_tag, &tagged, err)) < 0)
        return rc;
    list = l2_arena_alloc(&r->arena, r->n_completions, sizeof *list, err);
    if (!list)
        return L2_MEMORY;
    counts->completions_in += r->n_completions;
    n = collect(r, opts, tagged, list, counts);
    if (n > 0) {
        if ((rc = choose(r, opts, list, &n, counts, result, err)) < 0)
            return rc;
    } else if (counts->below > below) {
        *result = L2_SELECT_BELOW;
    }
    counts->results[*result]++;
    if (*result != L2_SELECTED)
        return L2_OK;
    counts->completions_out += n;
    for (size_t i = 0; i < n; i++)
        counts->sum_after += list[i].score;
    return keep(r, opts, list, n, err);
}
