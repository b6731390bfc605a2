/* Matrices stacked from several tensors. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/weight.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int l2_weight_init(struct l2_weight *w, const struct l2_tensor *const *parts, size_t n_parts,
                   struct l2_err *err)
{
    uint64_t rows = 0;
    assert(n_parts > 0 && n_parts <= L2_MAX_PARTS);
    memset(w, 0, sizeof *w);
    w->cols = parts[0]->cols;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i]->cols != w->cols)
            return l2_err_set(err, L2_CORRUPT, "matrices for one input differ in width: %u and %u",
                              (unsigned)w->cols, (unsigned)parts[i]->cols);
        rows += parts[i]->rows;
    }
    if (rows > INT_MAX || w->cols > INT_MAX)
        return l2_err_set(err, L2_LIMIT, "a matrix of %llu rows and %u columns is too large",
                          (unsigned long long)rows, (unsigned)w->cols);
    w->rows = (uint32_t)rows;
    return L2_OK;
}

const struct l2_tensor *l2_weight_part(const struct l2_tensor *const *parts, uint32_t *row)
{
    size_t i = 0;
    for (; *row >= parts[i]->rows; i++)
        *row -= parts[i]->rows;
    return parts[i];
}

void l2_weight_release(struct l2_weight *w)
{
    if (!w->borrowed)
        free(w->data);
    memset(w, 0, sizeof *w);
}
