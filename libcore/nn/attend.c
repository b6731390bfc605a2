/* The attention half of a layer: positions, cache, and attention block by block. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/engine_state.h"

#include <math.h>
#include <string.h>
#include "kern/ops.h"

/* Queries of one key/value head that go through a block together: enough to use what is loaded. */
#define QUERIES 64

/* Tasks a thread at least, where there are rows for them. */
#define TASKS_PER_THREAD 4

static size_t group_of(const struct l2_engine *e)
{
    return e->hp.n_heads / e->hp.n_kv_heads;
}

/* The keys of rows [first, first + n) are rotated and go with the values into the cache. */
static void store_rows(struct l2_engine *e, void *arg, size_t first, size_t n)
{
    (void)arg;
    size_t dim = e->hp.head_dim, n_kv = e->hp.n_kv_heads;
    size_t q_width = e->hp.n_heads * dim, width = q_width + 2 * n_kv * dim;
    for (size_t i = first; i < first + n; i++) {
        const struct l2_work_row *row = &e->rows[i];
        uint32_t block = row->seq->blocks[row->pos / L2_KV_BLOCK], slot = row->pos % L2_KV_BLOCK;
        float *k = e->qkv + i * width + q_width, *v = k + n_kv * dim;
        l2_rope_fwd(k, n_kv, dim, e->cos + i * (dim / 2), e->sin + i * (dim / 2));
        for (uint32_t head = 0; head < n_kv; head++) {
            struct l2_kv_head kv = l2_kv_pool_head(e->kv, block, e->layer, head);
            l2_kv_head_put(&kv, dim, slot, k + head * dim, v + head * dim);
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

/* The number of leading blocks that both rows see whole. */
static uint32_t common_blocks(const struct l2_work_row *a, const struct l2_work_row *b)
{
    uint32_t last_a = a->pos / L2_KV_BLOCK, last_b = b->pos / L2_KV_BLOCK, n = 0;
    if (a->seq == b->seq)
        return last_a < last_b ? last_a : last_b;
    while (n < last_a && n < last_b && a->seq->blocks[n] == b->seq->blocks[n])
        n++;
    return n;
}

/* True when the neighbours of wanted row i are of other sequences. */
static bool is_single(const struct l2_engine *e, uint32_t i)
{
    const struct l2_kv_seq *seq = e->rows[e->wanted[i]].seq;
    return (i == 0 || e->rows[e->wanted[i - 1]].seq != seq) &&
           (i + 1 == e->n_wanted || e->rows[e->wanted[i + 1]].seq != seq);
}

/* Takes wanted row i, which follows c, into c if that pays: rows of one sequence go together when
 * they are in the same block, single rows of different sequences when they share blocks at all and
 * as many as all rows so far do. */
static bool join(const struct l2_engine *e, struct l2_attn_chunk *c, uint32_t i)
{
    const struct l2_work_row *first = &e->rows[e->wanted[c->first]];
    const struct l2_work_row *row = &e->rows[e->wanted[i]];
    uint32_t n = common_blocks(first, row);
    if (first->seq == row->seq) {
        if (first->pos / L2_KV_BLOCK != row->pos / L2_KV_BLOCK || n != c->shared)
            return false;
    } else {
        if (n == 0 || (c->n > 1 && n != c->shared) || !is_single(e, c->first) || !is_single(e, i))
            return false;
    }
    c->shared = n;
    c->n++;
    return true;
}

void l2_engine_plan_attention(struct l2_engine *e)
{
    size_t group = group_of(e), most = group < QUERIES ? QUERIES / group : 1;
    size_t tasks = (size_t)l2_pool_threads(e->opts.pool) * TASKS_PER_THREAD;
    size_t share = e->n_wanted * (size_t)e->hp.n_kv_heads / tasks;
    if (most > share)
        most = share > 0 ? share : 1;
    e->n_chunks = 0;
    for (uint32_t i = 0; i < e->n_wanted; i++) {
        uint32_t whole = e->rows[e->wanted[i]].pos / L2_KV_BLOCK;
        struct l2_attn_chunk *c = e->n_chunks ? &e->chunks[e->n_chunks - 1] : NULL;
        if (!c || c->n >= most || !join(e, c, i))
            e->chunks[e->n_chunks++] = (struct l2_attn_chunk){i, 1, whole};
    }
}

/* Queries that meet the same blocks, and their running sums. */
struct span {
    float *q, *o, *max, *sum;
    size_t n;
};

/* Takes them through blocks [from, to), of whose last they see last_n positions. */
static void attend_span(const struct l2_engine *e, const struct span *s, const uint32_t *blocks,
                        uint32_t from, uint32_t to, uint32_t last_n, uint32_t head)
{
    for (uint32_t b = from; b < to; b++) {
        struct l2_kv_head kv = l2_kv_pool_head(e->kv, blocks[b], e->layer, head);
        l2_attend_block(s->q, s->n, e->hp.head_dim, &kv, b + 1 < to ? L2_KV_BLOCK : last_n, s->max,
                        s->sum, s->o);
    }
}

/* Attention of one chunk and key/value head: the blocks that its rows share for all of them at
 * once, then for each row the rest. Every query meets the blocks in order of position, whatever
 * rows it shares the chunk with. */
static void attend_chunk(void *arg, size_t index)
{
    struct l2_engine *e = arg;
    const struct l2_attn_chunk *c = &e->chunks[index / e->hp.n_kv_heads];
    uint32_t head = (uint32_t)(index % e->hp.n_kv_heads);
    size_t group = group_of(e), dim = e->hp.head_dim;
    size_t at = (head * (size_t)e->n_wanted + c->first) * group;
    struct span s = {e->q + at * dim, e->o + at * dim, e->max + at, e->sum + at, c->n * group};
    for (size_t i = 0; i < s.n; i++) {
        s.max[i] = -INFINITY;
        s.sum[i] = 0;
    }
    memset(s.o, 0, s.n * dim * sizeof *s.o);
    attend_span(e, &s, e->rows[e->wanted[c->first]].seq->blocks, 0, c->shared, L2_KV_BLOCK, head);
    s.n = group;
    for (uint32_t i = c->first; i < c->first + c->n; i++) {
        const struct l2_work_row *row = &e->rows[e->wanted[i]];
        float *out = e->att + (i * (size_t)e->hp.n_heads + head * group) * dim;
        attend_span(e, &s, row->seq->blocks, c->shared, row->pos / L2_KV_BLOCK + 1,
                    row->pos % L2_KV_BLOCK + 1, head);
        for (size_t g = 0; g < group; g++)
            l2_scale_fwd(out + g * dim, s.o + g * dim, dim, 1.0f / s.sum[g]);
        s.q += group * dim;
        s.o += group * dim;
        s.max += group;
        s.sum += group;
    }
}

void l2_engine_attention(struct l2_engine *e)
{
    size_t dim = e->hp.head_dim;
    l2_engine_rows(e, store_rows, NULL, e->n_rows, 2 * e->hp.n_kv_heads * dim);
    if (e->n_wanted == 0)
        return;
    l2_engine_rows(e, take_queries, NULL, e->n_wanted, e->hp.n_heads * dim);
    l2_pool_run(e->opts.pool, attend_chunk, e, (size_t)e->n_chunks * e->hp.n_kv_heads);
}
