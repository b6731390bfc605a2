/* Byte-pair merging: of short runs of symbols by search, of long ones with a heap. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "text/vocab_impl.h"
#include "util/num.h"

/* Up to here searching all pairs at every step is faster than a heap. */
#define SMALL 32

#define NONE UINT32_MAX

static size_t merge_small(const struct l2_bpe *b, uint32_t *sym, size_t n)
{
    uint32_t rank[SMALL], id[SMALL]; /* of the pair that begins at each symbol */
    for (size_t i = 0; i + 1 < n; i++) {
        const struct l2_pair *p = l2_pairs_find(&b->merges, sym[i], sym[i + 1]);
        rank[i] = p->rank; /* L2_NO_RANK in an empty slot */
        id[i] = p->id;
    }
    for (;;) {
        uint32_t best = L2_NO_RANK;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            if (rank[i] < best) {
                best = rank[i];
                at = i;
            }
        if (best == L2_NO_RANK)
            return n;
        sym[at] = id[at];
        n--;
        for (size_t i = at + 1; i < n; i++) {
            sym[i] = sym[i + 1];
            rank[i] = rank[i + 1];
            id[i] = id[i + 1];
        }
        for (size_t i = at > 0 ? at - 1 : 0; i <= at && i + 1 < n; i++) {
            const struct l2_pair *p = l2_pairs_find(&b->merges, sym[i], sym[i + 1]);
            rank[i] = p->rank;
            id[i] = p->id;
        }
    }
}

/* ---- long runs ---- */

/* A list of symbols linked both ways by index, and a heap of keys rank << 32 | index of the left
 * symbol: the smallest is the highest score, leftmost. Keys are not removed when a merge makes them
 * stale; a key is good when its left symbol is there and its pair still has that rank. */
struct run {
    const struct l2_bpe *b;
    struct l2_bpe_work *w;
    uint32_t *sym, *prev, *next;
    uint32_t *rank, *id; /* of the pair that begins at each symbol; rank L2_NO_RANK: none */
    uint64_t *heap;
    size_t n_heap;
};

static void heap_down(uint64_t *heap, size_t n, size_t i)
{
    uint64_t key = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (key <= heap[child])
            break;
        heap[i] = heap[child];
    }
    heap[i] = key;
}

static void heap_push(struct run *r, uint64_t key)
{
    size_t i = r->n_heap++;
    for (; i > 0 && key < r->heap[(i - 1) / 2]; i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = key;
}

/* Looks up what the symbol at left makes with its right neighbour. */
static bool consider(struct run *r, uint32_t left)
{
    uint32_t right = r->next[left];
    r->rank[left] = L2_NO_RANK;
    if (right == NONE)
        return false;
    const struct l2_pair *p = l2_pairs_find(&r->b->merges, r->sym[left], r->sym[right]);
    r->rank[left] = p->rank;
    r->id[left] = p->id;
    if (p->rank == L2_NO_RANK)
        return false;
    if (r->w->splits && r->w->vocab->pieces[p->id].kind == L2_PIECE_UNUSED) {
        r->w->splits[p->id][0] = p->left;
        r->w->splits[p->id][1] = p->right;
    }
    return true;
}

static uint64_t key_of(const struct run *r, uint32_t left)
{
    return (uint64_t)r->rank[left] << 32 | left;
}

static int reserve(struct l2_bpe_work *w, size_t n, struct l2_err *err)
{
    size_t links, keys;
    if (n <= w->cap)
        return L2_OK;
    free(w->links);
    free(w->heap);
    w->links = NULL;
    w->heap = NULL;
    w->cap = 0;
    /* symbols are counted in 32 bits, NONE apart */
    if (n >= NONE / 2 || !l2_mul_size(n, 4 * sizeof *w->links, &links) ||
        !l2_mul_size(n, 2 * sizeof *w->heap, &keys))
        return l2_err_set(err, L2_LIMIT, "text of %zu characters without a break", n);
    w->links = malloc(links);
    w->heap = malloc(keys);
    if (!w->links || !w->heap)
        return l2_err_memory(err, links + keys);
    w->cap = n;
    return L2_OK;
}

/* Each merge takes one key at least and puts in two at most, so 2 n keys are enough. */
static void merge_long(struct run *r, size_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        r->prev[i] = i == 0 ? NONE : i - 1;
        r->next[i] = i + 1 == n ? NONE : i + 1;
    }
    for (uint32_t i = 0; i < n; i++)
        if (consider(r, i))
            r->heap[r->n_heap++] = key_of(r, i);
    for (size_t i = r->n_heap / 2; i-- > 0;)
        heap_down(r->heap, r->n_heap, i);
    while (r->n_heap > 0) {
        uint64_t key = r->heap[0];
        uint32_t left = (uint32_t)key;
        r->heap[0] = r->heap[--r->n_heap];
        heap_down(r->heap, r->n_heap, 0);
        if (r->rank[left] != key >> 32)
            continue;
        uint32_t right = r->next[left], after = r->next[right], before = r->prev[left];
        r->sym[left] = r->id[left];
        r->next[left] = after;
        if (after != NONE)
            r->prev[after] = left;
        r->rank[right] = L2_NO_RANK;
        if (before != NONE && consider(r, before))
            heap_push(r, key_of(r, before));
        if (consider(r, left))
            heap_push(r, key_of(r, left));
    }
}

int l2_bpe_merge(const struct l2_bpe *b, struct l2_bpe_work *w, uint32_t *sym, size_t *n,
                 struct l2_err *err)
{
    if (*n < 2)
        return L2_OK;
    if (*n <= SMALL && !w->splits) {
        *n = merge_small(b, sym, *n);
        return L2_OK;
    }
    int code = reserve(w, *n, err);
    if (code != L2_OK)
        return code;
    struct run r = {.b = b,
                    .w = w,
                    .sym = sym,
                    .prev = w->links,
                    .next = w->links + *n,
                    .rank = w->links + 2 * *n,
                    .id = w->links + 3 * *n,
                    .heap = w->heap};
    merge_long(&r, *n);
    size_t kept = 0;
    for (uint32_t i = 0; i != NONE; i = r.next[i])
        sym[kept++] = sym[i];
    *n = kept;
    return L2_OK;
}

void l2_bpe_work_release(struct l2_bpe_work *w)
{
    free(w->links);
    free(w->heap);
    free(w->splits);
    *w = (struct l2_bpe_work){0};
}
