/* Arrays that grow. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/grow.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

/* ISO C has no pointer to any kind of pointer: the address is copied out and in. */
int l2_resize(void *array, size_t n, size_t size, struct l2_err *err)
{
    void *old, *new;
    size_t bytes;
    if (!l2_mul_size(n, size, &bytes))
        return l2_err_memory(err, SIZE_MAX);
    memcpy(&old, array, sizeof old);
    new = realloc(old, bytes);
    if (!new &&bytes > 0)
        return l2_err_memory(err, bytes);
    memcpy(array, &new, sizeof new);
    return L2_OK;
}

int l2_grow(void *array, size_t n, size_t *cap, size_t more, size_t size, struct l2_err *err)
{
    size_t want = *cap > 0 ? *cap : 64;
    if (*cap - n >= more)
        return L2_OK;
    while (want - n < more) {
        if (want > SIZE_MAX / 2)
            return l2_err_memory(err, SIZE_MAX);
        want *= 2;
    }
    int r = l2_resize(array, want, size, err);
    if (r == L2_OK)
        *cap = want;
    return r;
}
