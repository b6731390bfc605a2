/* A bump allocator: many small objects with one life, freed together. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ARENA_H
#define L2_ARENA_H

#include "util/err.h"

struct l2_arena_block;

/* Caller's storage. All zero is a valid empty arena. Blocks are kept by reset, so that an arena
 * that is filled and reset again and again stops allocating. */
struct l2_arena {
    struct l2_arena_block *first;
    struct l2_arena_block *current;
};

void l2_arena_init(struct l2_arena *a);
void l2_arena_release(struct l2_arena *a); /* frees everything */
void l2_arena_reset(struct l2_arena *a);   /* invalidates all objects, keeps (bounded) memory */

/* n objects of size bytes, aligned to 16, not cleared. NULL (with err set) when out of memory or
 * when n * size overflows. n * size == 0 gives a valid unique pointer. */
void *l2_arena_alloc(struct l2_arena *a, size_t n, size_t size, struct l2_err *err) L2_MUST_CHECK;

/* A copy of old_n objects with room for new_n; the old block stays in the arena until reset. */
void *l2_arena_grow(struct l2_arena *a, const void *old, size_t old_n, size_t new_n, size_t size,
                    struct l2_err *err) L2_MUST_CHECK;

/* A copy of n bytes followed by a NUL. */
char *l2_arena_strdup(struct l2_arena *a, const void *s, size_t n,
                      struct l2_err *err) L2_MUST_CHECK;

#endif
