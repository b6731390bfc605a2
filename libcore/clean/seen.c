/* A hash set of fixed size, with linear probing. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/seen.h"

#include <stdlib.h>

int l2_seen_init(struct l2_seen *s, uint64_t bytes, struct l2_err *err)
{
    size_t n = 128;
    *s = (struct l2_seen){0};
    while (n <= SIZE_MAX / 32 && n * 2 * sizeof *s->slots <= bytes)
        n *= 2;
    s->slots = calloc(n, sizeof *s->slots);
    if (!s->slots)
        return l2_err_memory(err, n * sizeof *s->slots);
    s->n_slots = n;
    return L2_OK;
}

void l2_seen_release(struct l2_seen *s)
{
    free(s->slots);
    *s = (struct l2_seen){0};
}

size_t l2_seen_room(const struct l2_seen *s)
{
    return s->n_slots / 8 * 7;
}

bool l2_seen_add(struct l2_seen *s, uint64_t hash)
{
    uint64_t h = hash != 0 ? hash : 1;
    for (size_t i = (size_t)h & (s->n_slots - 1);; i = (i + 1) & (s->n_slots - 1)) {
        if (s->slots[i] == h)
            return true;
        if (s->slots[i] != 0)
            continue;
        if (s->n >= l2_seen_room(s)) {
            s->missed++;
        } else {
            s->slots[i] = h;
            s->n++;
        }
        return false;
    }
}
