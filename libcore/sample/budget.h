/* Which part of the KV pool is promised to whom: blocks are committed before they are taken, so
 * that nothing that was begun runs out of them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_BUDGET_H
#define L2_BUDGET_H

#include "nn/kv.h"

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

#endif
