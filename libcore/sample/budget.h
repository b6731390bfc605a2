/* Which part of the KV pool is promised to whom: blocks are committed before they are taken, so
 * that nothing that was begun runs out of them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BUDGET_H
#define L2_BUDGET_H

#include "nn/kv.h"
#include "stream/record.h"

struct l2_kv_budget {
    uint32_t total;
    uint32_t committed;
};

void l2_kv_budget_init(struct l2_kv_budget *b, const struct l2_kv_pool *pool);

/* False, and nothing done, when fewer than blocks are left. */
bool l2_kv_budget_commit(struct l2_kv_budget *b, uint32_t blocks);
void l2_kv_budget_return(struct l2_kv_budget *b, uint32_t blocks);

/* Blocks of its own that a fork at n_shared positions needs to grow by n_rows. */
uint32_t l2_kv_blocks_for_fork(uint32_t n_shared, uint32_t n_rows);

/* Of the first n tokens of a and b, how many are the same from the start: as whole blocks, without
 * the last token of a. */
uint32_t l2_prefix_common(const struct l2_u32s *a, const struct l2_u32s *b, size_t n);

#endif
