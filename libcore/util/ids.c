/* A growable array of token ids. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/ids.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

void l2_ids_release(struct l2_ids *a)
{
    free(a->v);
    *a = (struct l2_ids){0};
}

int l2_ids_reserve(struct l2_ids *a, size_t extra, struct l2_err *err)
{
    size_t need, bytes;
    if (extra <= a->cap - a->n)
        return L2_OK;
    if (!l2_add_size(a->n, extra, &need) || !l2_mul_size(need, 2 * sizeof *a->v, &bytes))
        return l2_err_memory(err, extra);
    uint32_t *v = realloc(a->v, bytes);
    if (!v)
        return l2_err_memory(err, bytes);
    a->v = v;
    a->cap = 2 * need;
    return L2_OK;
}

int l2_ids_append(struct l2_ids *a, uint32_t id, struct l2_err *err)
{
    int r = l2_ids_reserve(a, 1, err);
    if (r == L2_OK)
        a->v[a->n++] = id;
    return r;
}

int l2_ids_append_n(struct l2_ids *a, const uint32_t *ids, size_t n, struct l2_err *err)
{
    int r = l2_ids_reserve(a, n, err);
    if (r == L2_OK && n > 0) {
        memcpy(a->v + a->n, ids, n * sizeof *ids);
        a->n += n;
    }
    return r;
}
