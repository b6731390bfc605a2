/* Finding evaluation samples in training text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/contam.h"

#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "util/grow.h"

/* All samples stand one behind the other in `tokens`. Every place where a span can begin is in a
 * chain of places with the same first tokens; a filter of bits keeps most lookups short. */
struct sample {
    size_t begin, n; /* in tokens */
    uint64_t here;   /* contaminated by the present text */
    uint32_t turn;   /* of the text that `here` is of */
};

struct set {
    char *name;
    size_t first; /* sample */
};

enum { MAX_ALIKE = 1024 };

struct l2_contam {
    struct l2_contam_settings s;
    uint64_t *tokens;
    uint32_t *owner;  /* (n_tokens): its sample */
    uint32_t *marked; /* (n_tokens): the last text that it was found in, from 1 on; 0: none */
    uint32_t *next;   /* (n_tokens): place + 1 */
    uint32_t *heads;  /* (n_heads) */
    uint64_t *hashes; /* (n_tokens): of the span that begins there */
    size_t n_tokens, tokens_cap, n_heads;
    struct sample *samples;
    size_t n_samples, samples_cap;
    struct set *sets;
    size_t n_sets;
    uint32_t *touched; /* (n_samples): those that the present text has something of */
    size_t n_touched;
    uint32_t turn;
    uint64_t left_out;
};

int l2_contam_new(struct l2_contam **out, const struct l2_contam_settings *s, struct l2_err *err)
{
    struct l2_contam *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return l2_err_memory(err, sizeof *c);
    c->s = *s;
    return L2_OK;
}

void l2_contam_free(struct l2_contam *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_sets; i++)
        free(c->sets[i].name);
    free(c->sets);
    free(c->samples);
    free(c->tokens);
    free(c->owner);
    free(c->marked);
    free(c->next);
    free(c->heads);
    free(c->hashes);
    free(c->touched);
    free(c);
}

int l2_contam_add_set(struct l2_contam *c, const char *name, struct l2_err *err)
{
    struct set *sets = realloc(c->sets, (c->n_sets + 1) * sizeof *sets);
    if (!sets)
        return l2_err_memory(err, (c->n_sets + 1) * sizeof *sets);
    c->sets = sets;
    char *copy = malloc(strlen(name) + 1);
    if (!copy)
        return l2_err_memory(err, strlen(name) + 1);
    memcpy(copy, name, strlen(name) + 1);
    sets[c->n_sets++] = (struct set){copy, c->n_samples};
    return L2_OK;
}

int l2_contam_add_sample(struct l2_contam *c, const uint64_t *tokens, size_t n, struct l2_err *err)
{
    if (c->n_tokens + n >= UINT32_MAX || c->n_samples + 1 >= UINT32_MAX)
        return l2_err_set(err, L2_LIMIT, "evaluation sets of more than %lu tokens",
                          (unsigned long)UINT32_MAX);
    int r = l2_grow(&c->tokens, c->n_tokens, &c->tokens_cap, n, sizeof *c->tokens, err);
    if (r == L2_OK)
        r = l2_grow(&c->samples, c->n_samples, &c->samples_cap, 1, sizeof *c->samples, err);
    if (r != L2_OK)
        return r;
    if (n > 0)
        memcpy(c->tokens + c->n_tokens, tokens, n * sizeof *tokens);
    c->samples[c->n_samples++] = (struct sample){.begin = c->n_tokens, .n = n};
    c->n_tokens += n;
    return L2_OK;
}

static uint32_t *head_of(const struct l2_contam *c, uint64_t hash)
{
    return &c->heads[(size_t)hash & (c->n_heads - 1)];
}

/* Equal spans are counted, so that a chain never grows long by them. */
static void index_sample(struct l2_contam *c, uint32_t sample)
{
    const struct sample *s = &c->samples[sample];
    for (size_t i = 0; i < s->n; i++)
        c->owner[s->begin + i] = sample;
    struct l2_rolling roll;
    l2_rolling_init(&roll, c->s.span);
    for (size_t i = 0; i < s->n; i++) {
        uint64_t hash;
        if (!l2_rolling_add(&roll, c->tokens[s->begin + i], &hash))
            continue;
        size_t place = s->begin + i + 1 - c->s.span;
        uint32_t *head = head_of(c, hash), alike = 0, at = *head;
        /* `marked` of the first place of a hash counts them while the index is built */
        while (at != 0 && c->hashes[at - 1] != hash)
            at = c->next[at - 1];
        alike = at != 0 ? c->marked[at - 1] : 0;
        if (alike >= MAX_ALIKE) {
            c->left_out++;
            continue;
        }
        c->hashes[place] = hash;
        c->marked[place] = alike + 1;
        c->next[place] = *head;
        *head = (uint32_t)place + 1;
    }
}

int l2_contam_index(struct l2_contam *c, struct l2_err *err)
{
    size_t n = c->n_tokens > 0 ? c->n_tokens : 1;
    c->n_heads = 1024;
    while (c->n_heads < n * 4)
        c->n_heads *= 2;
    c->owner = calloc(n, sizeof *c->owner);
    c->marked = calloc(n, sizeof *c->marked);
    c->next = calloc(n, sizeof *c->next);
    c->hashes = calloc(n, sizeof *c->hashes);
    c->heads = calloc(c->n_heads, sizeof *c->heads);
    c->touched = calloc(c->n_samples > 0 ? c->n_samples : 1, sizeof *c->touched);
    if (!c->owner || !c->marked || !c->next || !c->hashes || !c->heads || !c->touched)
        return l2_err_memory(err, n * 32);
    for (size_t i = 0; i < c->n_samples; i++)
        index_sample(c, (uint32_t)i);
    memset(c->marked, 0, n * sizeof *c->marked);
    return L2_OK;
}

uint64_t l2_contam_bytes(const struct l2_contam *c)
{
    return (uint64_t)c->tokens_cap * 8 + (uint64_t)c->n_tokens * 20 + (uint64_t)c->n_heads * 4 +
           (uint64_t)c->samples_cap * sizeof *c->samples;
}

static void mark(struct l2_contam *c, struct sample *s, size_t place)
{
    if (s->turn != c->turn) {
        s->turn = c->turn;
        s->here = 0;
        c->touched[c->n_touched++] = c->owner[place];
    }
    s->here += c->marked[place] != c->turn;
    c->marked[place] = c->turn;
}

/* The span that begins at these two places, as long as it can be: only up to its last equal token.
 */
static void mark_span(struct l2_contam *c, const uint64_t *tokens, size_t n, size_t place)
{
    struct sample *s = &c->samples[c->owner[place]];
    const uint64_t *mine = c->tokens + place;
    size_t most = s->begin + s->n - place, end = c->s.span;
    uint32_t differ = 0;
    if (most > n)
        most = n;
    for (size_t i = c->s.span; i < most; i++) {
        if (mine[i] == tokens[i])
            end = i + 1;
        else if (++differ > c->s.skip)
            break;
    }
    for (size_t i = 0; i < end; i++)
        if (mine[i] == tokens[i])
            mark(c, s, place + i);
}

/* A span that could begin one token earlier is a part of the one that does. */
static bool begins_earlier(const struct l2_contam *c, const uint64_t *tokens, size_t i,
                           size_t place)
{
    return i > 0 && place > c->samples[c->owner[place]].begin &&
           tokens[i - 1] == c->tokens[place - 1] && c->hashes[place - 1] != 0;
}

int l2_contam_check(struct l2_contam *c, const uint64_t *tokens, size_t n, double *share,
                    size_t *set, uint64_t *sample, struct l2_err *err)
{
    uint32_t span = c->s.span;
    struct l2_rolling roll;
    *share = 0;
    *set = 0;
    *sample = 0;
    if (c->turn == UINT32_MAX)
        return l2_err_set(err, L2_LIMIT, "more than %lu documents", (unsigned long)UINT32_MAX);
    c->turn++;
    c->n_touched = 0;
    l2_rolling_init(&roll, span);
    for (size_t last = 0; last < n; last++) {
        uint64_t hash;
        if (!l2_rolling_add(&roll, tokens[last], &hash))
            continue;
        size_t i = last + 1 - span;
        for (uint32_t at = *head_of(c, hash); at != 0; at = c->next[at - 1]) {
            size_t place = at - 1;
            if (c->hashes[place] != hash || begins_earlier(c, tokens, i, place) ||
                memcmp(tokens + i, c->tokens + place, span * sizeof *tokens) != 0)
                continue;
            mark_span(c, tokens + i, n - i, place);
        }
    }
    for (size_t i = 0; i < c->n_touched; i++) {
        const struct sample *s = &c->samples[c->touched[i]];
        double part = (double)s->here / (double)s->n;
        if (part > *share) {
            *share = part;
            *sample = c->touched[i];
        }
    }
    while (*set + 1 < c->n_sets && c->sets[*set + 1].first <= *sample)
        ++*set;
    if (c->n_sets > 0)
        *sample -= c->sets[*set].first;
    return L2_OK;
}

size_t l2_contam_n_sets(const struct l2_contam *c)
{
    return c->n_sets;
}

void l2_contam_sample(const struct l2_contam *c, size_t i, uint64_t k, uint64_t *tokens,
                      uint64_t *found)
{
    const struct sample *s = &c->samples[c->sets[i].first + k];
    *tokens = s->n;
    *found = 0;
    for (size_t t = 0; t < s->n; t++)
        *found += c->marked[s->begin + t] != 0;
}

void l2_contam_set(const struct l2_contam *c, size_t i, struct l2_contam_set *out)
{
    size_t end = i + 1 < c->n_sets ? c->sets[i + 1].first : c->n_samples;
    *out = (struct l2_contam_set){.name = c->sets[i].name};
    for (size_t k = c->sets[i].first; k < end; k++) {
        const struct sample *s = &c->samples[k];
        uint64_t n, found;
        l2_contam_sample(c, i, k - c->sets[i].first, &n, &found);
        out->samples++;
        out->tokens += s->n;
        out->contaminated_tokens += found;
        out->touched += found > 0;
        out->short_samples += s->n < c->s.span;
        out->clean += found * 5 < s->n || s->n == 0;
        out->not_clean += found * 5 >= s->n && s->n > 0;
        out->not_dirty += found * 5 < s->n * 4 || s->n == 0;
        out->dirty += found * 5 >= s->n * 4 && s->n > 0;
    }
}

uint64_t l2_contam_left_out(const struct l2_contam *c)
{
    return c->left_out;
}
