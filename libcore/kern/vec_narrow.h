/* The walk over tiles that all narrow kernels share; see narrow.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_NARROW_H
#define L2_VEC_NARROW_H

#include <string.h>

#include "kern/narrow.h"
#include "kern/vec.h"

/* Rows a tile: as many sums as there are registers for. */
#if L2_LANES == 16
#    define NARROW_HEIGHT 12
#else
#    define NARROW_HEIGHT 4
#endif

/* Tiles of so many rows read weights as fast as memory gives them, in one forward stream that the
 * processor fetches ahead by itself. Higher ones ask for what comes, into the second cache: more
 * breaks off the processor's own fetching. */
#define NARROW_STREAM 4

VEC_FN void narrow_ahead(const void *p)
{
    __builtin_prefetch(p, 0, 2);
}

/* sums (m, width) of all columns for one group of tiles. */
typedef void narrow_sums(float *sums, const struct l2_tiles *t, const struct l2_panel *p);

/* Sums lie together while they grow: rows of y may be many pages apart. */
static void narrow_panel(float *y, size_t ldy, const struct l2_tiles *t, const struct l2_panel *p,
                         narrow_sums *compute)
{
    float sums[L2_NARROW_ROWS * L2_PANEL] __attribute__((aligned(64)));
    size_t step = L2_NARROW_ROWS / t->height * t->height;
    for (size_t first = 0; first < t->m; first += step) {
        struct l2_tiles part = *t;
        part.data += first * t->row_bytes;
        part.m = t->m - first < step ? t->m - first : step;
        compute(sums, &part, p);
        for (size_t i = 0; i < part.m; i++)
            memcpy(y + (first + i) * ldy, sums + i * p->width, p->valid * sizeof *y);
    }
}

#endif
