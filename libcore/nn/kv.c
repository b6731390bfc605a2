/* Reference-counted blocks of keys and values in one mapped region. */
/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include <config.h>

#include "nn/kv_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "util/num.h"

uint64_t l2_kv_block_bytes(const struct l2_hparams *hp, enum l2_kv_type type)
{
    return (uint64_t)hp->n_layers * hp->n_kv_heads * l2_kv_head_bytes(type, hp->head_dim);
}

uint32_t l2_kv_blocks_for(uint32_t positions)
{
    return positions / L2_KV_BLOCK + (positions % L2_KV_BLOCK != 0);
}

static int pool_alloc(struct l2_kv_pool *p, struct l2_err *err)
{
    p->refs = calloc(p->n_blocks, sizeof *p->refs);
    p->free = malloc(p->n_blocks * sizeof *p->free);
    if (!p->refs || !p->free)
        return l2_err_memory(err, p->n_blocks * sizeof *p->refs);
    void *data = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return l2_err_sys(err, errno, NULL, "cannot reserve %zu bytes for the KV cache", p->bytes);
    p->data = data;
    p->oldest = p->newest = L2_KV_NONE;
    while (p->n_free < p->n_blocks) { /* lowest on top, so that memory is touched from the start */
        p->free[p->n_free] = p->n_blocks - 1 - p->n_free;
        p->n_free++;
    }
    return L2_OK;
}

int l2_kv_pool_new(struct l2_kv_pool **out, const struct l2_hparams *hp, enum l2_kv_type type,
                   uint64_t bytes, struct l2_err *err)
{
    uint64_t block = l2_kv_block_bytes(hp, type), n = bytes / block,
             need = l2_kv_blocks_for(hp->context);
    *out = NULL;
    if (n < need)
        return l2_err_set(
            err, L2_LIMIT, "the KV cache needs %llu bytes for a context of %u positions, got %llu",
            (unsigned long long)(need * block), (unsigned)hp->context, (unsigned long long)bytes);
    struct l2_kv_pool *p = calloc(1, sizeof *p);
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->n_blocks = n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2;
    p->type = type;
    p->head_dim = hp->head_dim;
    p->head_bytes = l2_kv_head_bytes(type, hp->head_dim);
    p->layer_bytes = hp->n_kv_heads * p->head_bytes;
    p->block_bytes = hp->n_layers * p->layer_bytes;
    int r = L2_OK;
    if (!l2_mul_size((size_t)block, p->n_blocks, &p->bytes))
        r = l2_err_set(err, L2_LIMIT, "a KV cache of %llu bytes cannot be addressed",
                       (unsigned long long)bytes);
    if (r == L2_OK)
        r = pool_alloc(p, err);
    if (r == L2_OK)
        *out = p;
    else
        l2_kv_pool_free(p);
    return r;
}

void l2_kv_pool_free(struct l2_kv_pool *p)
{
    if (!p)
        return;
    if (p->data)
        munmap(p->data, p->bytes);
    free(p->nodes);
    free(p->buckets);
    free(p->refs);
    free(p->free);
    free(p);
}

uint32_t l2_kv_pool_blocks(const struct l2_kv_pool *p)
{
    return p->n_blocks;
}

uint32_t l2_kv_pool_free_blocks(const struct l2_kv_pool *p)
{
    return p->n_free + p->n_idle;
}

static uint32_t take_block(struct l2_kv_pool *p)
{
    uint32_t b = p->n_free > 0 ? p->free[--p->n_free] : l2_kv_prefix_evict(p);
    p->refs[b] = 1;
    return b;
}

static void drop_block(struct l2_kv_pool *p, uint32_t b)
{
    assert(p->refs[b] > 0);
    if (--p->refs[b] > 0)
        return;
    if (l2_kv_known(p, b))
        l2_kv_prefix_idle(p, b);
    else
        p->free[p->n_free++] = b;
}

static void copy_block(const struct l2_kv_pool *p, uint32_t to, uint32_t from)
{
    memcpy(p->data + to * p->block_bytes, p->data + from * p->block_bytes, p->block_bytes);
}

/* A block that is another's too, or known by its tokens, is not to be written. */
static bool is_own(const struct l2_kv_pool *p, uint32_t block)
{
    return p->refs[block] == 1 && !l2_kv_known(p, block);
}

int l2_kv_seq_grow(struct l2_kv_seq *s, uint32_t n, struct l2_err *err)
{
    if (n <= s->cap)
        return L2_OK;
    uint32_t cap = n < 2 * s->cap ? 2 * s->cap : n;
    uint32_t *blocks = realloc(s->blocks, cap * sizeof *blocks);
    if (!blocks)
        return l2_err_memory(err, cap * sizeof *blocks);
    s->blocks = blocks;
    s->cap = cap;
    return L2_OK;
}

int l2_kv_seq_reserve(struct l2_kv_pool *p, struct l2_kv_seq *s, uint32_t positions,
                      struct l2_err *err)
{
    uint32_t n = l2_kv_blocks_for(positions), last = s->len / L2_KV_BLOCK;
    bool copy = positions > s->len && s->len % L2_KV_BLOCK != 0 && !is_own(p, s->blocks[last]);
    uint32_t need = (n > s->n_blocks ? n - s->n_blocks : 0) + copy;
    if (need > l2_kv_pool_free_blocks(p))
        return l2_err_set(err, L2_LIMIT, "the KV cache is full: want %u blocks, got %u",
                          (unsigned)need, (unsigned)l2_kv_pool_free_blocks(p));
    int r = l2_kv_seq_grow(s, n, err);
    if (r != L2_OK)
        return r;
    if (copy) {
        uint32_t own = take_block(p);
        copy_block(p, own, s->blocks[last]);
        drop_block(p, s->blocks[last]);
        s->blocks[last] = own;
    }
    while (s->n_blocks < n)
        s->blocks[s->n_blocks++] = take_block(p);
    return L2_OK;
}

bool l2_kv_seq_writable(const struct l2_kv_pool *p, const struct l2_kv_seq *s, uint32_t pos)
{
    uint32_t i = pos / L2_KV_BLOCK;
    return i < s->n_blocks && is_own(p, s->blocks[i]);
}

int l2_kv_seq_fork(struct l2_kv_pool *p, struct l2_kv_seq *dst, const struct l2_kv_seq *src,
                   uint32_t len, struct l2_err *err)
{
    uint32_t whole = len / L2_KV_BLOCK, n = l2_kv_blocks_for(len);
    assert(dst->n_blocks == 0 && dst->len == 0 && len <= src->len);
    if (n > whole && l2_kv_pool_free_blocks(p) == 0)
        return l2_err_set(err, L2_LIMIT, "the KV cache is full: want 1 block, got 0");
    int r = l2_kv_seq_grow(dst, n, err);
    if (r != L2_OK)
        return r;
    for (uint32_t i = 0; i < whole; i++) {
        dst->blocks[i] = src->blocks[i];
        p->refs[dst->blocks[i]]++;
    }
    if (n > whole) {
        dst->blocks[whole] = take_block(p);
        copy_block(p, dst->blocks[whole], src->blocks[whole]);
    }
    dst->n_blocks = n;
    dst->len = len;
    return L2_OK;
}

void l2_kv_seq_truncate(struct l2_kv_pool *p, struct l2_kv_seq *s, uint32_t len)
{
    if (s->len > len)
        s->len = len;
    while (s->n_blocks > l2_kv_blocks_for(s->len))
        drop_block(p, s->blocks[--s->n_blocks]);
}

void l2_kv_seq_release(struct l2_kv_pool *p, struct l2_kv_seq *s)
{
    while (s->n_blocks > 0)
        drop_block(p, s->blocks[--s->n_blocks]);
    free(s->blocks);
    memset(s, 0, sizeof *s);
}

enum l2_kv_type l2_kv_pool_type(const struct l2_kv_pool *p)
{
    return p->type;
}

struct l2_kv_head l2_kv_pool_head(const struct l2_kv_pool *p, uint32_t block, uint32_t layer,
                                  uint32_t kv_head)
{
    return l2_kv_head_at(p->data + block * p->block_bytes + layer * p->layer_bytes +
                             kv_head * p->head_bytes,
                         p->type, p->head_dim);
}
