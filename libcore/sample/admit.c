/* What a generator takes in: checks, truncation, numbering. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/admit.h"

#include <string.h>

int l2_admit_check(const struct l2_record *rec, uint32_t vocab_size, struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    if (!rec->prompt.v)
        return l2_err_set(err, L2_FORMAT, "record %s: want token ids, got text alone", id);
    if (rec->prompt.n == 0)
        return l2_err_set(err, L2_CORRUPT,
                          "record %s: the prompt is empty: want one token at least, such as BOS",
                          id);
    for (size_t i = 0; i < rec->prompt.n; i++)
        if (rec->prompt.v[i] >= vocab_size)
            return l2_err_set(err, L2_CORRUPT,
                              "record %s: token %zu of the prompt: want an id below %u, got %u", id,
                              i, (unsigned)vocab_size, (unsigned)rec->prompt.v[i]);
    return L2_OK;
}

int l2_admit_first_k(const struct l2_record *rec, uint32_t n, uint64_t *first, struct l2_err *err)
{
    uint64_t largest = 0;
    bool any = false;
    char id[128];
    for (size_t i = 0; i < rec->n_completions; i++) {
        const struct l2_gen *gen = &rec->completions[i].gen;
        if (gen->has_k && (!any || gen->k > largest))
            largest = gen->k;
        any = any || gen->has_k;
    }
    *first = any ? largest + 1 : rec->n_completions;
    if (any && largest >= UINT64_MAX - n) {
        l2_id_format(&rec->id, id, sizeof id);
        return l2_err_set(
            err, L2_LIMIT,
            "record %s: its largest gen.k, %llu, leaves no numbers for %u completions", id,
            (unsigned long long)largest, (unsigned)n);
    }
    return L2_OK;
}

int l2_admit_overlong(const struct l2_record *rec, uint32_t context, struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    return l2_err_set(err, L2_LIMIT,
                      "record %s: a prompt of %zu tokens leaves no room in a context of %u", id,
                      rec->prompt.n, (unsigned)context);
}

/* Where position p is after count positions from at on were taken out. */
static uint32_t moved(uint32_t p, size_t at, size_t count)
{
    if (p <= at)
        return p;
    return p <= at + count ? (uint32_t)at : (uint32_t)(p - count);
}

int l2_admit_truncate(struct l2_record *rec, size_t n, bool left, uint32_t bos, struct l2_err *err)
{
    size_t count = rec->prompt.n - n, at = n, kept = 0;
    uint32_t *v = l2_arena_alloc(&rec->arena, n, sizeof *v, err);
    uint32_t *spans = l2_arena_alloc(&rec->arena, rec->spans.n, sizeof *spans, err);
    if (!v || !spans)
        return L2_MEMORY;
    if (left)
        at = rec->prompt.v[0] == bos ? 1 : 0;
    memcpy(v, rec->prompt.v, at * sizeof *v);
    if (n > at)
        memcpy(v + at, rec->prompt.v + at + count, (n - at) * sizeof *v);
    rec->prompt = (struct l2_u32s){v, n};
    for (size_t i = 0; i + 1 < rec->spans.n; i += 2) {
        uint32_t begin = moved(rec->spans.v[i], at, count);
        uint32_t end = moved(rec->spans.v[i + 1], at, count);
        if (begin < end) {
            spans[kept++] = begin;
            spans[kept++] = end;
        }
    }
    if (rec->spans.v)
        rec->spans = (struct l2_u32s){spans, kept};
    return L2_OK;
}

bool l2_admit_has_text(const struct l2_vocab *vocab, const struct l2_u32s *prompt)
{
    for (size_t i = 0; vocab && i < prompt->n; i++) {
        size_t len = 0;
        if (prompt->v[i] < l2_vocab_size(vocab))
            (void)l2_vocab_bytes(vocab, prompt->v[i], &len);
        if (len > 0)
            return true;
    }
    return false;
}
