/* The attention half of a layer: positions, cache, and attention block by block. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/engine_state.h"

#include <math.h>
#include <string.h>
#include "kern/ops.h"

/* Queries of one key/value head that go through a block together: enough to use what is loaded. */
#define QUERIES 64

static size_t group_of(const struct l2_engine *e)
{
    return e->hp.n_heads / e->hp.n_kv_heads;
}

/* The keys of rows [first, first + n) are rotated and go with the values into the cache. */
static void store_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    (void)arg;
    size_t dim = e->hp.head_dim, n_kv = e->hp.n_kv_heads, stride = l2_attend_stride(dim);
    size_t q_width = e->hp.n_heads * dim, width = q_width + 2 * n_kv * dim;
    for (size_t i = first; i < first + n; i++) {
        const struct l2_work_row *row = &e->rows[i];
        uint32_t block = row->seq->blocks[row->pos / L2_KV_BLOCK], slot = row->pos % L2_KV_BLOCK;
        float *k = e->qkv + i * width + q_width, *v = k + n_kv * dim;
        l2_rope_fwd(k, n_kv, dim, e->cos + i * (dim / 2), e->sin + i * (dim / 2));
        for (uint32_t head = 0; head < n_kv; head++) {
            float *keys = l2_kv_keys(e->kv, block, e->layer, head) + slot;
            for (size_t d = 0; d < dim; d++)
                keys[d * L2_KV_BLOCK] = k[head * dim + d];
            memcpy(l2_kv_values(e->kv, block, e->layer, head) + slot * stride, v + head * dim,
                   dim * sizeof *v);
        }
    }
}

/* The queries of wanted rows are rotated, scaled and sorted by key/value head. */
static void take_queries(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    (void)arg;
    size_t dim = e->hp.head_dim, n_kv = e->hp.n_kv_heads, per_kv = group_of(e) * dim;
    size_t q_width = e->hp.n_heads * dim, width = q_width + 2 * n_kv * dim;
    float scale = 1.0f / sqrtf((float)dim);
    for (size_t i = first; i < first + n; i++) {
        size_t row = e->wanted[i];
        float *q = e->qkv + row * width;
        l2_rope_fwd(q, e->hp.n_heads, dim, e->cos + row * (dim / 2), e->sin + row * (dim / 2));
        for (size_t head = 0; head < n_kv; head++)
            l2_scale_fwd(e->q + (head * e->n_wanted + i) * per_kv, q + head * per_kv, per_kv,
                         scale);
    }
}

static void make_chunks(struct l2_engine *e)
{
    size_t group = group_of(e), most = group < QUERIES ? QUERIES / group : 1;
    e->n_chunks = 0;
    for (uint32_t i = 0; i < e->n_wanted; i++) {
        const struct l2_work_row *row = &e->rows[e->wanted[i]];
        struct l2_attn_chunk *last = e->n_chunks ? &e->chunks[e->n_chunks - 1] : NULL;
        if (last && last->n < most) {
            const struct l2_work_row *before = &e->rows[e->wanted[last->first]];
            if (before->seq == row->seq && before->pos / L2_KV_BLOCK == row->pos / L2_KV_BLOCK) {
                last->n++;
                continue;
            }
        }
        e->chunks[e->n_chunks++] = (struct l2_attn_chunk){i, 1};
    }
}

/* Attention of one chunk and key/value head: the blocks before the chunk's own for all its rows at
 * once, then for each row its part of the last block. Every query meets the blocks in order of
 * position, whatever rows it shares the chunk with. */
static void attend_chunk(void *arg, size_t index)
{
    struct l2_engine *e = arg;
    const struct l2_attn_chunk *c = &e->chunks[index / e->hp.n_kv_heads];
    uint32_t head = (uint32_t)(index % e->hp.n_kv_heads);
    size_t group = group_of(e), dim = e->hp.head_dim, n = c->n * group;
    size_t at = (head * (size_t)e->n_wanted + c->first) * group;
    float *q = e->q + at * dim, *o = e->o + at * dim, *max = e->max + at, *sum = e->sum + at;
    const struct l2_work_row *row = &e->rows[e->wanted[c->first]];
    uint32_t last = row->pos / L2_KV_BLOCK, block = row->seq->blocks[last];
    for (size_t i = 0; i < n; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    memset(o, 0, n * dim * sizeof *o);
    for (uint32_t b = 0; b < last; b++)
        l2_attend_block(q, n, dim, l2_kv_keys(e->kv, row->seq->blocks[b], e->layer, head),
                        l2_kv_values(e->kv, row->seq->blocks[b], e->layer, head), L2_KV_BLOCK, max,
                        sum, o);
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t pos = e->rows[e->wanted[c->first + i]].pos;
        float *out = e->att + (c->first + i) * e->hp.n_heads * dim + head * group * dim;
        size_t g = i * group;
        l2_attend_block(q + g * dim, group, dim, l2_kv_keys(e->kv, block, e->layer, head),
                        l2_kv_values(e->kv, block, e->layer, head), pos % L2_KV_BLOCK + 1, max + g,
                        sum + g, o + g * dim);
        for (size_t j = 0; j < group; j++)
            l2_scale_fwd(out + j * dim, o + (g + j) * dim, dim, 1.0f / sum[g + j]);
    }
}

void l2_engine_attention(struct l2_engine *e)
{
    size_t dim = e->hp.head_dim;
    l2_engine_rows(e, store_rows, NULL, e->n_rows, 2 * e->hp.n_kv_heads * dim);
    if (e->n_wanted == 0)
        return;
    l2_engine_rows(e, take_queries, NULL, e->n_wanted, e->hp.n_heads * dim);
    make_chunks(e);
    l2_pool_run(e->opts.pool, attend_chunk, e, (size_t)e->n_chunks * e->hp.n_kv_heads);
}
