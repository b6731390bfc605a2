/* Beginnings that sequences have in common: blocks of keys and values found again by their tokens.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/kv_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A tree over whole blocks: a node is known by the block before it and its own 64 tokens, so that a
 * path from the root spells the tokens from position 0 on. A sequence that has a block has all of
 * its ancestors and gives them back after it; hence a list of idle blocks in the order in which
 * they became idle always has a leaf in front, and to forget the oldest one leaves a tree. */

static uint32_t bucket_of(const struct l2_kv_pool *p, uint32_t parent, const uint32_t *tokens)
{
    uint64_t h = parent ^ UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < L2_KV_BLOCK; i++) {
        h = (h ^ tokens[i]) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return (uint32_t)h & (p->n_buckets - 1);
}

static int make_tree(struct l2_kv_pool *p, struct l2_err *err)
{
    uint32_t n = 1;
    while (n < p->n_blocks)
        n *= 2;
    p->buckets = malloc(n * sizeof *p->buckets);
    p->nodes = calloc(p->n_blocks, sizeof *p->nodes);
    if (!p->buckets || !p->nodes) {
        free(p->buckets);
        free(p->nodes);
        p->buckets = NULL;
        p->nodes = NULL;
        return l2_err_memory(err, p->n_blocks * sizeof *p->nodes);
    }
    for (uint32_t i = 0; i < n; i++)
        p->buckets[i] = L2_KV_NONE;
    p->n_buckets = n;
    return L2_OK;
}

static uint32_t find(const struct l2_kv_pool *p, uint32_t parent, const uint32_t *tokens)
{
    uint32_t b = p->buckets[bucket_of(p, parent, tokens)];
    while (b != L2_KV_NONE && (p->nodes[b].parent != parent ||
                               memcmp(p->nodes[b].tokens, tokens, sizeof p->nodes[b].tokens) != 0))
        b = p->nodes[b].chain;
    return b;
}

uint32_t l2_kv_prefix_find(const struct l2_kv_pool *p, const uint32_t *tokens, uint32_t n)
{
    uint32_t at = L2_KV_NONE, len = 0;
    while (p->nodes && n - len >= L2_KV_BLOCK && (at = find(p, at, tokens + len)) != L2_KV_NONE)
        len += L2_KV_BLOCK;
    return len;
}

int l2_kv_prefix_share(struct l2_kv_pool *p, struct l2_kv_seq *s, const uint32_t *tokens,
                       uint32_t n, struct l2_err *err)
{
    uint32_t len = l2_kv_prefix_find(p, tokens, n), at = L2_KV_NONE;
    assert(s->n_blocks == 0 && s->len == 0);
    int r = l2_kv_seq_grow(s, len / L2_KV_BLOCK, err);
    if (r != L2_OK)
        return r;
    while (s->len < len) {
        at = find(p, at, tokens + s->len);
        if (p->refs[at]++ == 0)
            l2_kv_prefix_wake(p, at);
        s->blocks[s->n_blocks++] = at;
        s->len += L2_KV_BLOCK;
    }
    return L2_OK;
}

int l2_kv_prefix_publish(struct l2_kv_pool *p, const struct l2_kv_seq *s, const uint32_t *tokens,
                         uint32_t n, struct l2_err *err)
{
    uint32_t whole = (n < s->len ? n : s->len) / L2_KV_BLOCK, parent = L2_KV_NONE;
    if (whole > 0 && !p->nodes) {
        int r = make_tree(p, err);
        if (r != L2_OK)
            return r;
    }
    for (uint32_t i = 0; i < whole; i++) {
        uint32_t block = s->blocks[i];
        const uint32_t *own = tokens + (size_t)i * L2_KV_BLOCK;
        struct l2_kv_node *node = &p->nodes[block];
        if (!node->known) {
            if (find(p, parent, own) != L2_KV_NONE) /* another sequence's; ours cannot hang on it */
                return L2_OK;
            uint32_t *bucket = &p->buckets[bucket_of(p, parent, own)];
            node->known = true;
            node->parent = parent;
            node->chain = *bucket;
            memcpy(node->tokens, own, sizeof node->tokens);
            *bucket = block;
        }
        parent = block;
    }
    return L2_OK;
}

void l2_kv_prefix_idle(struct l2_kv_pool *p, uint32_t block)
{
    struct l2_kv_node *node = &p->nodes[block];
    node->older = p->newest;
    node->newer = L2_KV_NONE;
    if (p->newest != L2_KV_NONE)
        p->nodes[p->newest].newer = block;
    else
        p->oldest = block;
    p->newest = block;
    p->n_idle++;
}

void l2_kv_prefix_wake(struct l2_kv_pool *p, uint32_t block)
{
    const struct l2_kv_node *node = &p->nodes[block];
    if (node->older != L2_KV_NONE)
        p->nodes[node->older].newer = node->newer;
    else
        p->oldest = node->newer;
    if (node->newer != L2_KV_NONE)
        p->nodes[node->newer].older = node->older;
    else
        p->newest = node->older;
    p->n_idle--;
}

uint32_t l2_kv_prefix_evict(struct l2_kv_pool *p)
{
    uint32_t block = p->oldest;
    assert(block != L2_KV_NONE && p->refs[block] == 0);
    struct l2_kv_node *node = &p->nodes[block];
    uint32_t *link = &p->buckets[bucket_of(p, node->parent, node->tokens)];
    while (*link != block)
        link = &p->nodes[*link].chain;
    *link = node->chain;
    l2_kv_prefix_wake(p, block);
    node->known = false;
    return block;
}
