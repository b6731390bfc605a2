/* What BPE training counts: symbols by text, and pairs of symbols by number with the words they are
 * in. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/bpe_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "text/piece_index.h"
#include "util/grow.h"
#include "util/num.h"

#define NONE UINT32_MAX

/* Room for one more of size bytes each in *v; places are counted in 32 bits. */
static int grow(void *v, size_t n, size_t *cap, size_t size, struct l2_err *err)
{
    if (n >= *cap && *cap > NONE / 2)
        return l2_err_set(err, L2_LIMIT, "too many pairs: %zu", n);
    return l2_grow(v, n, cap, 1, size, err);
}

static uint32_t *new_slots(size_t n, struct l2_err *err)
{
    uint32_t *slots = malloc(n * sizeof *slots);
    if (slots)
        memset(slots, 0xFF, n * sizeof *slots);
    else
        l2_err_memory(err, n * sizeof *slots);
    return slots;
}

/* ---- symbols ---- */

static size_t symbol_hash(const char *text, size_t len)
{
    uint64_t h = l2_piece_hash(text, len);
    return (size_t)(h ^ h >> 32);
}

static int rehash_symbols(struct l2_bpe_symbols *s, struct l2_err *err)
{
    size_t n = s->n_slots ? s->n_slots * 2 : 1024;
    uint32_t *slots = new_slots(n, err);
    if (!slots)
        return L2_MEMORY;
    for (uint32_t i = 0; i < s->n; i++) {
        size_t at = symbol_hash((const char *)s->text.data + s->v[i].text, s->v[i].len) & (n - 1);
        while (slots[at] != NONE)
            at = (at + 1) & (n - 1);
        slots[at] = i;
    }
    free(s->slots);
    s->slots = slots;
    s->n_slots = n;
    return L2_OK;
}

int l2_bpe_symbol_intern(struct l2_bpe_symbols *s, const char *text, size_t len, uint32_t *symbol,
                         bool *added, struct l2_err *err)
{
    int r = L2_OK;
    size_t cap = s->cap;
    *added = false;
    if ((size_t)s->n * 2 >= s->n_slots)
        r = rehash_symbols(s, err);
    if (r == L2_OK)
        r = grow(&s->v, s->n, &cap, sizeof *s->v, err);
    if (r != L2_OK)
        return r;
    s->cap = (uint32_t)cap;
    size_t at = symbol_hash(text, len) & (s->n_slots - 1);
    for (; s->slots[at] != NONE; at = (at + 1) & (s->n_slots - 1)) {
        const struct l2_bpe_symbol_row *row = &s->v[s->slots[at]];
        if (row->len == len && memcmp(s->text.data + row->text, text, len) == 0) {
            *symbol = s->slots[at];
            return L2_OK;
        }
    }
    struct l2_bpe_symbol_row row = {.text = s->text.len, .len = (uint32_t)len};
    for (size_t i = 0; i < len; i++)
        row.chars += ((uint8_t)text[i] & 0xC0) != 0x80;
    r = l2_buf_append(&s->text, text, len, err);
    if (r != L2_OK)
        return r;
    s->v[s->n] = row;
    s->slots[at] = *symbol = s->n++;
    *added = true;
    return L2_OK;
}

uint32_t l2_bpe_symbol_chars(const struct l2_bpe_symbols *s, uint32_t symbol)
{
    return s->v[symbol].chars;
}

int l2_bpe_symbol_text(const struct l2_bpe_symbols *s, uint32_t symbol, struct l2_buf *out,
                       struct l2_err *err)
{
    return l2_buf_append(out, s->text.data + s->v[symbol].text, s->v[symbol].len, err);
}

void l2_bpe_symbols_release(struct l2_bpe_symbols *s)
{
    free(s->v);
    free(s->slots);
    l2_buf_release(&s->text);
    memset(s, 0, sizeof *s);
}

/* ---- pairs ---- */

static uint64_t key_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

static size_t pair_hash(uint32_t left, uint32_t right)
{
    uint64_t h = key_of(left, right) * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32);
}

static int rehash_pairs(struct l2_bpe_pairs *p, struct l2_err *err)
{
    size_t n = p->n_slots ? p->n_slots * 2 : 1024;
    uint32_t *slots = new_slots(n, err);
    if (!slots)
        return L2_MEMORY;
    for (size_t i = 0; i < p->n; i++) {
        size_t at = pair_hash(p->v[i].left, p->v[i].right) & (n - 1);
        while (slots[at] != NONE)
            at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i;
    }
    free(p->slots);
    p->slots = slots;
    p->n_slots = n;
    return L2_OK;
}

/* The slot of a pair: NONE, or its number. */
static uint32_t *find(const struct l2_bpe_pairs *p, uint32_t left, uint32_t right)
{
    size_t at = pair_hash(left, right) & (p->n_slots - 1);
    while (p->slots[at] != NONE &&
           (p->v[p->slots[at]].left != left || p->v[p->slots[at]].right != right))
        at = (at + 1) & (p->n_slots - 1);
    return &p->slots[at];
}

static int find_or_add(struct l2_bpe_pairs *p, uint32_t left, uint32_t right, uint32_t *pair,
                       struct l2_err *err)
{
    int r = p->n * 2 >= p->n_slots ? rehash_pairs(p, err) : L2_OK;
    if (r == L2_OK)
        r = grow(&p->v, p->n, &p->cap, sizeof *p->v, err);
    if (r != L2_OK)
        return r;
    uint32_t *slot = find(p, left, right);
    if (*slot == NONE) {
        *slot = (uint32_t)p->n;
        p->v[p->n++] = (struct l2_bpe_pair){.left = left, .right = right, .postings = NONE};
    }
    *pair = *slot;
    return L2_OK;
}

/* Notes that a pair is in word and waits to be queued. */
static int note(struct l2_bpe_pairs *p, uint32_t pair, uint32_t word, struct l2_err *err)
{
    struct l2_bpe_pair *v = &p->v[pair];
    int r = grow(&p->postings, p->n_postings, &p->cap_postings, sizeof *p->postings, err);
    if (r == L2_OK && !v->touched)
        r = grow(&p->touched, p->n_touched, &p->cap_touched, sizeof *p->touched, err);
    if (r != L2_OK)
        return r;
    if (v->postings == NONE || p->postings[v->postings].word != word) {
        p->postings[p->n_postings] = (struct l2_bpe_posting){.word = word, .next = v->postings};
        v->postings = (uint32_t)p->n_postings++;
    }
    if (!v->touched)
        p->touched[p->n_touched++] = pair;
    v->touched = true;
    return L2_OK;
}

int l2_bpe_pairs_count(struct l2_bpe_pairs *p, const uint32_t *s, uint32_t n, uint32_t word,
                       int64_t count, uint32_t only, struct l2_err *err)
{
    int r = L2_OK;
    for (uint32_t i = 0; i + 1 < n && r == L2_OK; i++) {
        uint32_t pair;
        if (s[i] == NONE || s[i + 1] == NONE)
            continue;
        r = find_or_add(p, s[i], s[i + 1], &pair, err);
        if (r != L2_OK)
            break;
        p->v[pair].count += count;
        if (only == NONE || s[i] == only || s[i + 1] == only)
            r = note(p, pair, word, err);
    }
    return r;
}

void l2_bpe_pairs_uncount(struct l2_bpe_pairs *p, const uint32_t *s, uint32_t n, int64_t count)
{
    for (uint32_t i = 0; i + 1 < n; i++)
        if (s[i] != NONE && s[i + 1] != NONE)
            p->v[*find(p, s[i], s[i + 1])].count -= count;
}

static bool before(const struct l2_bpe_queued *a, const struct l2_bpe_queued *b)
{
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static void sift_down(struct l2_bpe_pairs *p, size_t at)
{
    struct l2_bpe_queued q = p->heap[at];
    for (size_t child; (child = 2 * at + 1) < p->n_heap; at = child) {
        if (child + 1 < p->n_heap && before(&p->heap[child + 1], &p->heap[child]))
            child++;
        if (!before(&p->heap[child], &q))
            break;
        p->heap[at] = p->heap[child];
    }
    p->heap[at] = q;
}

static int push(struct l2_bpe_pairs *p, uint32_t pair, struct l2_err *err)
{
    const struct l2_bpe_pair *v = &p->v[pair];
    struct l2_bpe_queued q = {v->count, key_of(v->left, v->right), pair};
    int r = grow(&p->heap, p->n_heap, &p->cap_heap, sizeof *p->heap, err);
    if (r != L2_OK)
        return r;
    size_t at = p->n_heap++;
    for (; at > 0 && before(&q, &p->heap[(at - 1) / 2]); at = (at - 1) / 2)
        p->heap[at] = p->heap[(at - 1) / 2];
    p->heap[at] = q;
    return L2_OK;
}

int l2_bpe_pairs_queue(struct l2_bpe_pairs *p, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < p->n_touched && r == L2_OK; i++) {
        p->v[p->touched[i]].touched = false;
        if (p->v[p->touched[i]].count > 0)
            r = push(p, p->touched[i], err);
    }
    p->n_touched = 0;
    return r;
}

/* Counts in the heap are those of when a pair was queued. Counts only fall while a pair is not
 * queued anew, so a pair whose count has fallen goes back down, and the first whose count is right
 * is the largest. */
bool l2_bpe_pairs_pop(struct l2_bpe_pairs *p, struct l2_bpe_pair *out)
{
    while (p->n_heap > 0) {
        struct l2_bpe_queued *top = &p->heap[0];
        int64_t count = p->v[top->pair].count;
        if (count > 0 && count == top->count)
            *out = p->v[top->pair];
        bool found = count > 0 && count == top->count;
        if (count > 0 && count < top->count)
            top->count = count;
        else
            p->heap[0] = p->heap[--p->n_heap];
        if (p->n_heap > 0)
            sift_down(p, 0);
        if (found)
            return true;
    }
    return false;
}

uint32_t l2_bpe_pairs_posting(const struct l2_bpe_pairs *p, uint32_t *at)
{
    const struct l2_bpe_posting *posting = &p->postings[*at];
    *at = posting->next;
    return posting->word;
}

void l2_bpe_pairs_release(struct l2_bpe_pairs *p)
{
    free(p->v);
    free(p->slots);
    free(p->postings);
    free(p->touched);
    free(p->heap);
    memset(p, 0, sizeof *p);
}
