/* Which part of the KV pool is promised to whom. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/budget.h"

#include <assert.h>

void l2_kv_budget_init(struct l2_kv_budget *b, const struct l2_kv_pool *pool)
{
    b->total = l2_kv_pool_blocks(pool);
    b->committed = 0;
}

bool l2_kv_budget_commit(struct l2_kv_budget *b, uint32_t blocks)
{
    if (blocks > b->total - b->committed)
        return false;
    b->committed += blocks;
    return true;
}

void l2_kv_budget_return(struct l2_kv_budget *b, uint32_t blocks)
{
    assert(blocks <= b->committed);
    b->committed -= blocks;
}

uint32_t l2_kv_blocks_for_fork(uint32_t n_shared, uint32_t n_rows)
{
    return n_rows == 0 ? 0 : l2_kv_blocks_for(n_shared + n_rows) - n_shared / L2_KV_BLOCK;
}

uint32_t l2_prefix_common(const struct l2_u32s *a, const struct l2_u32s *b, size_t n)
{
    uint32_t i = 0;
    while (i < n && i + 1 < a->n && i < b->n && a->v[i] == b->v[i])
        i++;
    return i / L2_KV_BLOCK * L2_KV_BLOCK;
}
