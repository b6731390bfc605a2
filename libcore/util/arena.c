/* A bump allocator over a list of blocks. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/arena.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* Blocks below this size are kept by reset; a single larger object gets a block of its own. */
#define BLOCK_BYTES ((size_t)64 * 1024)
#define ALIGNMENT   16
/* What reset keeps at most, so that one huge record does not hold its memory for ever. */
#define KEPT_BYTES ((size_t)4 * 1024 * 1024)

struct l2_arena_block {
    struct l2_arena_block *next;
    size_t used, cap; /* bytes of payload */
    _Alignas(ALIGNMENT) uint8_t payload[];
};

void l2_arena_init(struct l2_arena *a)
{
    *a = (struct l2_arena){0};
}

static void free_list(struct l2_arena_block *b)
{
    while (b) {
        struct l2_arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void l2_arena_release(struct l2_arena *a)
{
    free_list(a->first);
    *a = (struct l2_arena){0};
}

void l2_arena_reset(struct l2_arena *a)
{
    size_t kept = 0;
    struct l2_arena_block **link = &a->first;
    while (*link && kept + (*link)->cap <= KEPT_BYTES) {
        kept += (*link)->cap;
        (*link)->used = 0;
        link = &(*link)->next;
    }
    free_list(*link);
    *link = NULL;
    a->current = a->first;
}

/* A block with room for need bytes after the current one: a kept one where it is large enough, else
 * a new one put in between. */
static struct l2_arena_block *next_block(struct l2_arena *a, size_t need, struct l2_err *err)
{
    struct l2_arena_block *next = a->current ? a->current->next : a->first;
    if (next && need <= next->cap) {
        a->current = next;
        return next;
    }
    size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    size_t bytes;
    struct l2_arena_block *b = l2_add_size(cap, sizeof *b, &bytes) ? malloc(bytes) : NULL;
    if (!b) {
        (void)l2_err_memory(err, cap);
        return NULL;
    }
    b->used = 0;
    b->cap = cap;
    b->next = next;
    if (a->current)
        a->current->next = b;
    else
        a->first = b;
    a->current = b;
    return b;
}

void *l2_arena_alloc(struct l2_arena *a, size_t n, size_t size, struct l2_err *err)
{
    size_t bytes;
    if (!l2_mul_size(n, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT) {
        (void)l2_err_memory(err, SIZE_MAX);
        return NULL;
    }
    bytes = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct l2_arena_block *b = a->current;
    if (!b || bytes > b->cap - b->used) {
        b = next_block(a, bytes, err);
        if (!b)
            return NULL;
    }
    void *p = b->payload + b->used;
    b->used += bytes;
    return p;
}

void *l2_arena_grow(struct l2_arena *a, const void *old, size_t old_n, size_t new_n, size_t size,
                    struct l2_err *err)
{
    void *p = l2_arena_alloc(a, new_n, size, err);
    if (p && old_n > 0)
        memcpy(p, old, old_n * size);
    return p;
}

char *l2_arena_strdup(struct l2_arena *a, const void *s, size_t n, struct l2_err *err)
{
    if (n == SIZE_MAX) {
        (void)l2_err_memory(err, n);
        return NULL;
    }
    char *p = l2_arena_alloc(a, n + 1, 1, err);
    if (p) {
        if (n > 0)
            memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}
