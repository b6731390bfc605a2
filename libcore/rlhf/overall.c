/* Choosing the best of all: one list of all candidates, sorted once. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/overall.h"

#include <stdlib.h>

#include "util/philox.h"

struct slot {
    double value;
    size_t record;
    bool eligible;
};

struct l2_overall {
    struct slot *slots; /* all candidates */
    size_t n_slots, cap_slots;
    size_t *counts; /* by record */
    size_t n_records, cap_records;
};

int l2_overall_new(struct l2_overall **out, struct l2_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? L2_OK : l2_err_memory(err, sizeof **out);
}

void l2_overall_free(struct l2_overall *o)
{
    if (!o)
        return;
    free(o->slots);
    free(o->counts);
    free(o);
}

/* Room for one more of size bytes after n. */
static int grow(void **v, size_t n, size_t *cap, size_t size, struct l2_err *err)
{
    size_t more = *cap ? *cap * 2 : 256;
    void *grown;
    if (n < *cap)
        return L2_OK;
    grown = more < SIZE_MAX / size ? realloc(*v, more * size) : NULL;
    if (!grown)
        return l2_err_memory(err, more * size);
    *v = grown;
    *cap = more;
    return L2_OK;
}

int l2_overall_add(struct l2_overall *o, const struct l2_select_opts *opts,
                   const struct l2_verdict *verdicts, size_t n, struct l2_err *err)
{
    void *v = o->counts;
    int rc = grow(&v, o->n_records, &o->cap_records, sizeof *o->counts, err);
    if (rc < 0)
        return rc;
    o->counts = v;
    o->counts[o->n_records] = 0;
    for (size_t i = 0; i < n; i++) {
        const struct l2_verdict *d = &verdicts[i];
        if (d->fate != L2_FATE_CHOSEN && d->fate != L2_FATE_OUTRANKED)
            continue;
        v = o->slots;
        if ((rc = grow(&v, o->n_slots, &o->cap_slots, sizeof *o->slots, err)) < 0)
            return rc;
        o->slots = v;
        o->slots[o->n_slots++] = (struct slot){d->value, o->n_records,
                                               !opts->has_min_score || d->value >= opts->min_score};
    }
    o->n_records++;
    return L2_OK;
}

static int best_first(const void *pa, const void *pb)
{
    const struct slot *a = pa, *b = pb;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return a->record < b->record ? -1 : a->record > b->record;
}

static int worst_first(const void *pa, const void *pb)
{
    const struct slot *a = pa, *b = pb;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return a->record < b->record ? -1 : a->record > b->record;
}

/* Moves n slots, drawn evenly, to the front. */
static void shuffle(struct l2_overall *o, uint64_t seed, size_t n)
{
    static const uint8_t of_all[32]; /* no record's hash */
    struct l2_philox_key key = l2_philox_key_for(seed, of_all);
    for (size_t i = 0; i < n; i++) {
        size_t at = i + (size_t)(l2_philox_uniform(key, UINT64_MAX, i) * (double)(o->n_slots - i));
        struct slot drawn = o->slots[at];
        o->slots[at] = o->slots[i];
        o->slots[i] = drawn;
    }
}

void l2_overall_pick(struct l2_overall *o, const struct l2_select_opts *opts, uint64_t n)
{
    size_t eligible = 0;
    for (size_t i = 0; i < o->n_slots; i++)
        eligible += o->slots[i].eligible;
    if (eligible > n)
        eligible = (size_t)n;
    if (opts->random)
        shuffle(o, opts->seed, eligible);
    else if (o->n_slots > 0)
        qsort(o->slots, o->n_slots, sizeof *o->slots,
              opts->kind == L2_SELECT_WORST ? worst_first : best_first);
    for (size_t i = 0; i < eligible; i++)
        o->counts[o->slots[i].record]++;
}

size_t l2_overall_count(const struct l2_overall *o, size_t record)
{
    return o->counts[record];
}
