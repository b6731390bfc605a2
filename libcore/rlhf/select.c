/* Choosing among a record's completions: value them, order them, drop duplicates, choose. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/select.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rlhf/preprompt.h"
#include "stream/fields.h"
#include "util/philox.h"

/* Draws of sampled tokens are for the completions' numbers; this one is no completion's. */
#define DRAWS_OF_RANDOM UINT64_MAX

struct candidate {
    double value;
    uint64_t k;
    size_t index; /* in the record */
    size_t times; /* how many completions are the same: chances in a random draw */
};

/* Judging one record. */
struct judging {
    struct l2_record *r;
    const struct l2_select_opts *o;
    struct l2_verdict *verdicts; /* (n_completions) */
    struct candidate *list;      /* in the order of choice */
    size_t n;
    struct l2_philox_key key;
    uint64_t draws;
    bool has_plain; /* over_plain: */
    double plain;   /* the best value without a pre-prompt */
};

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
    return a->value != b->value ? (a->value > b->value ? -1 : 1) : by_k(a, b);
}

static int worst_first(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    return a->value != b->value ? (a->value < b->value ? -1 : 1) : by_k(a, b);
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

/* Drops candidates that equal an earlier one, which counts them, by an open hash table of places in
 * list + 1. */
static int drop_duplicates(struct judging *j, struct l2_err *err)
{
    size_t size = 4, kept = 0;
    size_t *table;
    while (size < j->n * 2)
        size *= 2;
    table = l2_arena_alloc(&j->r->arena, size, sizeof *table, err);
    if (!table)
        return L2_MEMORY;
    memset(table, 0, size * sizeof *table);
    for (size_t i = 0; i < j->n; i++) {
        const struct l2_completion *all = j->r->completions, *c = &all[j->list[i].index];
        size_t at = hash_tokens(&c->tokens) & (size - 1);
        while (table[at] && !same_completion(c, &all[j->list[table[at] - 1].index]))
            at = (at + 1) & (size - 1);
        if (table[at]) {
            struct l2_verdict *v = &j->verdicts[j->list[i].index];
            v->fate = L2_FATE_DUPLICATE;
            v->same_as = j->list[table[at] - 1].index;
            j->list[table[at] - 1].times++;
            continue;
        }
        j->list[kept++] = j->list[i];
        table[at] = kept;
    }
    j->n = kept;
    return L2_OK;
}

static void take_plain(struct judging *j, double value)
{
    if (!j->has_plain || value > j->plain)
        j->plain = value;
    j->has_plain = true;
}

/* Fills list with what can be chosen from, and the verdicts of the others. */
static int collect(struct judging *j, struct l2_err *err)
{
    const struct l2_select_opts *o = j->o;
    bool tagged;
    int rc = find_tag(j->r, o->safety_tag, &tagged, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < j->r->n_completions; i++) {
        const struct l2_completion *c = &j->r->completions[i];
        struct l2_verdict *v = &j->verdicts[i];
        bool under = true;
        *v = (struct l2_verdict){.fate = L2_FATE_UNSCORED};
        if (!l2_expr_value(o->by, c, tagged, &v->value, &v->missing))
            continue;
        v->value = (v->value - o->shift) * o->scale;
        if (!isfinite(v->value)) {
            char id[64];
            l2_id_format(&j->r->id, id, sizeof id);
            return l2_err_set(err, L2_CORRUPT,
                              "record %s: completion %zu: want a finite value to choose by, got %s",
                              id, i,
                              isnan(v->value) ? "not a number"
                              : v->value > 0  ? "infinity"
                                              : "minus infinity");
        }
        if (o->over_plain && (rc = l2_preprompt_is_under(c, &under, err)) < 0)
            return rc;
        v->fate = under ? L2_FATE_OUTRANKED : L2_FATE_PLAIN;
        if (!under)
            take_plain(j, v->value);
        else if (o->has_min_score && v->value < o->min_score && !o->random)
            v->fate = L2_FATE_BELOW;
        else
            j->list[j->n++] = (struct candidate){v->value, c->gen.has_k ? c->gen.k : i, i, 1};
    }
    return L2_OK;
}

static void choose_one(struct judging *j, size_t rank, size_t place)
{
    struct l2_verdict *v = &j->verdicts[j->list[rank].index];
    v->fate = L2_FATE_CHOSEN;
    v->place = place;
}

/* Draws one of n ranks, each with as many chances as there are completions like it: a place in
 * ranks. */
static size_t draw(struct judging *j, const size_t *ranks, size_t n)
{
    size_t chances = 0, at;
    for (size_t i = 0; i < n; i++)
        chances += j->list[ranks[i]].times;
    chances = (size_t)(l2_philox_uniform(j->key, DRAWS_OF_RANDOM, j->draws++) * (double)chances);
    for (at = 0; chances >= j->list[ranks[at]].times; at++)
        chances -= j->list[ranks[at]].times;
    return at;
}

/* All ranks, in order; NULL where memory is lacking. */
static size_t *all_ranks(struct judging *j, struct l2_err *err)
{
    size_t *ranks = l2_arena_alloc(&j->r->arena, j->n, sizeof *ranks, err);
    for (size_t i = 0; ranks && i < j->n; i++)
        ranks[i] = i;
    return ranks;
}

/* Two ranks of different values, the one that comes first in *best. */
static int draw_pair(struct judging *j, size_t *best, size_t *worst, struct l2_err *err)
{
    size_t *ranks = all_ranks(j, err);
    size_t first, n = 0;
    if (!ranks)
        return L2_MEMORY;
    first = draw(j, ranks, j->n);
    for (size_t i = 0; i < j->n; i++)
        if (j->list[i].value != j->list[first].value)
            ranks[n++] = i;
    *worst = ranks[draw(j, ranks, n)];
    *best = first < *worst ? first : *worst;
    *worst = first < *worst ? *worst : first;
    return L2_OK;
}

/* The best and the worst, or two at random that differ. */
static int choose_pair(struct judging *j, enum l2_select_result *result, struct l2_err *err)
{
    size_t best = 0, worst = j->n - 1;
    *result = j->n < 2                                   ? L2_SELECT_SINGLE
              : j->list[0].value == j->list[worst].value ? L2_SELECT_TIED
                                                         : L2_SELECTED;
    if (*result != L2_SELECTED)
        return L2_OK;
    while (j->list[worst - 1].value == j->list[worst].value)
        worst--; /* of the worst, the one with the lowest k */
    if (j->o->random && draw_pair(j, &best, &worst, err) < 0)
        return L2_MEMORY;
    choose_one(j, best, 0);
    choose_one(j, worst, 1);
    return L2_OK;
}

/* The first n candidates; or as many, drawn one after the other from those that are left. */
static int choose_some(struct judging *j, size_t n, struct l2_err *err)
{
    size_t *left;
    if (!j->o->random) {
        for (size_t i = 0; i < n; i++)
            choose_one(j, i, i);
        return L2_OK;
    }
    if (!(left = all_ranks(j, err)))
        return L2_MEMORY;
    for (size_t i = 0; i < n; i++) {
        size_t at = i + draw(j, left + i, j->n - i), rank = left[at];
        left[at] = left[i];
        choose_one(j, rank, i);
    }
    return L2_OK;
}

/* How many of the candidates reach the minimum: all, but for random. */
static size_t count_eligible(const struct judging *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++)
        n += !j->o->has_min_score || j->list[i].value >= j->o->min_score;
    return n;
}

static int choose(struct judging *j, enum l2_select_result *result, struct l2_err *err)
{
    size_t n = count_eligible(j);
    for (size_t i = 0; i < j->n; i++)
        j->verdicts[j->list[i].index].rank = i + 1;
    if (n == 0) {
        *result = L2_SELECT_BELOW;
        return L2_OK;
    }
    if (j->o->kind == L2_SELECT_PAIRS)
        return choose_pair(j, result, err);
    *result = j->o->n > 0 ? L2_SELECTED : L2_SELECT_OUTRANKED;
    return choose_some(j, j->o->n < n ? j->o->n : n, err);
}

/* The result where completions with a value are missing: all, or with over_plain those of a side.
 */
static bool is_unscored(const struct judging *j)
{
    bool valued = false;
    for (size_t i = 0; i < j->r->n_completions; i++)
        valued = valued ||
                 (j->verdicts[i].fate != L2_FATE_UNSCORED && j->verdicts[i].fate != L2_FATE_PLAIN);
    return !valued || (j->o->over_plain && !j->has_plain);
}

/* Drops candidates, best first, that are no better than the best completion without a pre-prompt.
 * True where there were some and none is left. */
static bool drop_no_gain(struct judging *j, enum l2_select_result *result)
{
    size_t n = j->n;
    *result = n > 0 && j->list[0].value == j->plain ? L2_SELECT_TIED : L2_SELECT_NO_GAIN;
    for (; j->n > 0 && !(j->list[j->n - 1].value > j->plain); j->n--)
        j->verdicts[j->list[j->n - 1].index].fate = L2_FATE_NO_GAIN;
    return n > 0 && j->n == 0;
}

int l2_judge(struct l2_record *r, const struct l2_select_opts *opts, struct l2_verdict **verdicts,
             enum l2_select_result *result, struct l2_err *err)
{
    struct judging j = {.r = r, .o = opts};
    uint8_t id[32];
    int rc;
    *result = L2_SELECT_UNSCORED;
    j.verdicts = l2_arena_alloc(&r->arena, r->n_completions, sizeof *j.verdicts, err);
    j.list = l2_arena_alloc(&r->arena, r->n_completions, sizeof *j.list, err);
    if (!j.verdicts || !j.list)
        return L2_MEMORY;
    *verdicts = j.verdicts;
    if ((rc = collect(&j, err)) < 0)
        return rc;
    if (is_unscored(&j))
        return L2_OK;
    qsort(j.list, j.n, sizeof *j.list, opts->kind == L2_SELECT_WORST ? worst_first : best_first);
    if (opts->over_plain && drop_no_gain(&j, result))
        return L2_OK;
    if ((rc = drop_duplicates(&j, err)) < 0)
        return rc;
    if (opts->random) {
        l2_id_hash(&r->id, id);
        j.key = l2_philox_key_for(opts->seed, id);
    }
    return choose(&j, result, err);
}

/* Makes the n chosen the record's completions. */
static int keep(struct l2_record *r, const struct l2_select_opts *o,
                const struct l2_verdict *verdicts, size_t n, struct l2_err *err)
{
    struct l2_completion *chosen = l2_arena_alloc(&r->arena, n, sizeof *chosen, err);
    double value[2] = {0, 0}; /* of the first two that are kept */
    size_t index[2] = {0, 0}; /* where they were */
    if (!chosen)
        return L2_MEMORY;
    for (size_t i = 0; i < r->n_completions; i++) {
        const struct l2_verdict *v = &verdicts[i];
        int rc;
        if (v->fate != L2_FATE_CHOSEN)
            continue;
        chosen[v->place] = r->completions[i];
        if (o->as && (rc = l2_record_set_score(r, &chosen[v->place], o->as, v->value, err)) < 0)
            return rc;
        if (v->place < 2) {
            value[v->place] = v->value;
            index[v->place] = i;
        }
    }
    r->completions = chosen;
    r->n_completions = n;
    if (o->kind == L2_SELECT_PAIRS && o->keep_margin) {
        r->has_margin = true;
        r->margin = (float)(value[0] - value[1]);
    } else if (n < 2 || index[0] != 0 || index[1] != 1) {
        r->has_margin = false;
        r->margin = 0;
    }
    return L2_OK;
}

static void count(const struct l2_verdict *v, bool selected, struct l2_select_counts *counts,
                  size_t *chosen)
{
    if (v->fate == L2_FATE_UNSCORED)
        counts->unscored++;
    else
        counts->sum_before += v->value;
    counts->below += v->fate == L2_FATE_BELOW;
    counts->duplicates += v->fate == L2_FATE_DUPLICATE;
    if (v->fate == L2_FATE_CHOSEN && selected) {
        counts->sum_after += v->value;
        ++*chosen;
    }
}

int l2_select(struct l2_record *r, const struct l2_select_opts *opts,
              struct l2_select_counts *counts, enum l2_select_result *result, struct l2_err *err)
{
    struct l2_verdict *verdicts;
    size_t n = 0;
    int rc = l2_judge(r, opts, &verdicts, result, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->n_completions; i++)
        count(&verdicts[i], *result == L2_SELECTED, counts, &n);
    counts->completions_in += r->n_completions;
    counts->completions_out += n;
    counts->results[*result]++;
    return *result == L2_SELECTED ? keep(r, opts, verdicts, n, err) : L2_OK;
}
