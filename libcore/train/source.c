/* Passes over a corpus. A place is enough to make everything else again: orders are drawn from
 * random numbers that depend on seed, input, pass and group alone. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/source.h"

#include <stdlib.h>

#include "util/num.h"
#include "util/philox.h"

int l2_source_init(struct l2_source *s, struct l2_corpus *corpus, bool held, uint64_t number,
                   uint64_t memory, struct l2_err *err)
{
    size_t n = corpus->n_frames;
    *s = (struct l2_source){.corpus = corpus,
                            .held = held,
                            .keep_order = held || corpus->opts->keep_order,
                            .seed = corpus->opts->seed,
                            .number = number,
                            .memory = memory};
    if (n > UINT32_MAX)
        return l2_err_at(err, L2_LIMIT, corpus->name, -1, "%zu frames", n);
    s->frames = calloc(n ? n : 1, sizeof *s->frames);
    return s->frames ? L2_OK : l2_err_memory(err, n * sizeof *s->frames);
}

void l2_source_release(struct l2_source *s)
{
    free(s->frames);
    free(s->order);
    l2_examples_release(&s->group);
    *s = (struct l2_source){.loaded = false};
}

/* v becomes 0 to n - 1 in an order that depends on the seed, the input, the pass and which. */
static void shuffle(const struct l2_source *s, uint64_t which, uint32_t *v, size_t n)
{
    uint8_t what[32] = {0};
    l2_put_u64le(what, s->number);
    l2_put_u64le(what + 8, s->at.epoch);
    l2_put_u64le(what + 16, which);
    struct l2_philox_key key = l2_philox_key_for(s->seed, what);
    for (size_t i = 0; i < n; i++)
        v[i] = (uint32_t)i;
    if (!s->keep_order)
        l2_philox_shuffle(key, 0, v, n);
}

/* Whether all frames make one group. */
static bool fits_memory(const struct l2_source *s)
{
    uint64_t left = s->memory;
    for (size_t i = 0; i < s->corpus->n_frames; i++) {
        if (s->corpus->frames[i].bytes > left)
            return false;
        left -= s->corpus->frames[i].bytes;
    }
    return true;
}

/* Where a stream is cut into frames depends on how fast its writer was. Frames of one group are
 * therefore taken as they stand: the order of its examples is that of their numbers, whatever the
 * frames. */
static void order_frames(struct l2_source *s)
{
    if (!s->ordered && fits_memory(s))
        for (size_t i = 0; i < s->corpus->n_frames; i++)
            s->frames[i] = (uint32_t)i;
    else if (!s->ordered)
        shuffle(s, UINT64_MAX, s->frames, s->corpus->n_frames);
    s->ordered = true;
}

/* Finds where the group that begins at at.group ends, and makes room for it. */
static int measure_group(struct l2_source *s, struct l2_err *err)
{
    uint64_t ids = 0, n = 0, answers = 0, bytes = 0, i;
    for (i = s->at.group; i < s->corpus->n_frames; i++) {
        const struct l2_corpus_frame *f = &s->corpus->frames[s->frames[i]];
        if (i > s->at.group && bytes + f->bytes > s->memory)
            break;
        bytes += f->bytes;
        ids += f->ids;
        answers += f->n_answers;
        n += f->n;
    }
    s->group_end = i;
    l2_examples_clear(&s->group);
    return l2_examples_reserve(&s->group, (size_t)ids, (size_t)n, (size_t)answers, err);
}

static int order_group(struct l2_source *s, struct l2_err *err)
{
    size_t n = s->group.n;
    if (n > UINT32_MAX)
        return l2_err_at(err, L2_LIMIT, s->corpus->name, -1, "%zu records in one group", n);
    if (n > s->cap_order) {
        uint32_t *v = realloc(s->order, n * sizeof *v);
        if (!v)
            return l2_err_memory(err, n * sizeof *v);
        s->order = v;
        s->cap_order = n;
    }
    shuffle(s, s->at.group, s->order, n);
    return L2_OK;
}

static int load(struct l2_source *s, struct l2_err *err)
{
    order_frames(s);
    int rc = measure_group(s, err);
    for (uint64_t i = s->at.group; i < s->group_end && rc == L2_OK; i++)
        rc = l2_corpus_read(s->corpus, s->frames[i], s->held, &s->group, err);
    if (rc == L2_OK)
        rc = order_group(s, err);
    s->loaded = rc == L2_OK;
    return rc;
}

int l2_source_at_end(struct l2_source *s, bool *end, struct l2_err *err)
{
    int rc;
    *end = false;
    while (s->at.group < s->corpus->n_frames) {
        if (!s->loaded && (rc = load(s, err)) != L2_OK)
            return rc;
        if (s->at.index < s->group.n)
            return L2_OK;
        s->at.group = s->group_end;
        s->at.index = 0;
        s->loaded = false;
    }
    *end = true;
    return L2_OK;
}

void l2_source_next_epoch(struct l2_source *s)
{
    s->at = (struct l2_source_place){.epoch = s->at.epoch + 1};
    s->ordered = s->ordered && s->keep_order;
    s->loaded = false;
}

int l2_source_peek(struct l2_source *s, const struct l2_example **out, struct l2_err *err)
{
    bool end;
    int rc = l2_source_at_end(s, &end, err);
    if (rc == L2_OK && end) {
        l2_source_next_epoch(s);
        rc = l2_source_at_end(s, &end, err);
    }
    *out = rc == L2_OK && !end ? &s->group.v[s->order[s->at.index]] : NULL;
    return rc;
}

void l2_source_advance(struct l2_source *s)
{
    s->at.index++;
}

int l2_source_seek(struct l2_source *s, struct l2_source_place at, struct l2_err *err)
{
    int rc = L2_OK;
    s->at = at;
    s->ordered = s->loaded = false;
    if (at.group < s->corpus->n_frames)
        rc = load(s, err);
    else if (at.group > s->corpus->n_frames || at.index > 0)
        return l2_err_at(err, L2_CORRUPT, s->corpus->name, -1,
                         "position is behind the end: frame %llu of %zu",
                         (unsigned long long)at.group, s->corpus->n_frames);
    if (rc == L2_OK && s->loaded && at.index > s->group.n)
        rc = l2_err_at(err, L2_CORRUPT, s->corpus->name, -1,
                       "position is behind the end: record %llu of %zu",
                       (unsigned long long)at.index, s->group.n);
    return rc;
}
