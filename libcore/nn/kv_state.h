/* What the pool of KV blocks holds; shared by the files that make up the cache. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_KV_STATE_H
#define L2_KV_STATE_H

#include "nn/kv.h"

#define L2_KV_NONE UINT32_MAX

/* What is kept of a block that stays known after its sequences are gone: a node of the prefix tree,
 * found by its parent and its tokens. */
struct l2_kv_node {
    bool known;
    uint32_t parent;       /* the block before it, or L2_KV_NONE */
    uint32_t chain;        /* next one in the same bucket */
    uint32_t older, newer; /* among the idle ones, which no sequence has */
    uint32_t tokens[L2_KV_BLOCK];
};

struct l2_kv_pool {
    char *data; /* n_blocks * block_bytes; mapped */
    size_t bytes;
    enum l2_kv_type type;
    size_t head_dim;
    size_t block_bytes, layer_bytes, head_bytes; /* each part of the one before */
    uint32_t n_blocks;
    uint32_t *refs; /* sequences that have a block */
    uint32_t *free; /* stack of the blocks that none has and that are not known */
    uint32_t n_free;

    struct l2_kv_node *nodes; /* one a block; NULL until a block is to be known */
    uint32_t *buckets;        /* n_buckets, a power of two */
    uint32_t n_buckets;
    uint32_t oldest, newest, n_idle;
};

/* The last sequence has left a known block, or one has found it again. */
void l2_kv_prefix_idle(struct l2_kv_pool *p, uint32_t block);
void l2_kv_prefix_wake(struct l2_kv_pool *p, uint32_t block);

/* Forgets the block that has been idle for longest, which there is, and returns it. */
uint32_t l2_kv_prefix_evict(struct l2_kv_pool *p);

/* Room for n entries in s->blocks. */
int l2_kv_seq_grow(struct l2_kv_seq *s, uint32_t n, struct l2_err *err) L2_MUST_CHECK;

static inline bool l2_kv_known(const struct l2_kv_pool *p, uint32_t block)
{
    return p->nodes && p->nodes[block].known;
}

#endif
