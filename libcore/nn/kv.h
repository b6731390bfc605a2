/* The KV cache: sequences of reference-counted blocks of 64 positions, so that completions share
 * the blocks of their prompt. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_KV_H
#define L2_KV_H

#include "kern/kv_block.h"
#include "model/hparams.h"

/* Sequences share whole blocks only and attention merges block by block, at multiples of
 * L2_KV_BLOCK counted from position 0; so sharing does not change the order of any sum. */

struct l2_kv_pool;

/* What one sequence has cached: positions [0, len) in blocks[0..n_blocks). Caller's storage; all
 * zero is an empty sequence. */
struct l2_kv_seq {
    uint32_t *blocks; /* owned */
    uint32_t n_blocks, cap;
    uint32_t len;
};

/* A pool of as many blocks as fit in bytes (at least one context of hp, else L2_LIMIT with the
 * figures). Memory is reserved at once and touched when first used. */
int l2_kv_pool_new(struct l2_kv_pool **out, const struct l2_hparams *hp, enum l2_kv_type type,
                   uint64_t bytes, struct l2_err *err) L2_MUST_CHECK;
void l2_kv_pool_free(struct l2_kv_pool *p);
/* Blocks for a sequence of that many positions. */
uint32_t l2_kv_blocks_for(uint32_t positions);
uint64_t l2_kv_block_bytes(const struct l2_hparams *hp, enum l2_kv_type type);
enum l2_kv_type l2_kv_pool_type(const struct l2_kv_pool *p);
uint32_t l2_kv_pool_blocks(const struct l2_kv_pool *p);
/* Blocks that no sequence has, known ones (below) too. */
uint32_t l2_kv_pool_free_blocks(const struct l2_kv_pool *p);

/* Makes room for positions [0, positions), and a copy of the last block where it is to be written
 * and is shared or known (after a truncation into such a block): so call it before every forward
 * pass that adds to s. L2_LIMIT when the pool has no block left: callers that reserve what they
 * need at admission never see it. */
int l2_kv_seq_reserve(struct l2_kv_pool *p, struct l2_kv_seq *s, uint32_t positions,
                      struct l2_err *err) L2_MUST_CHECK;

/* True when position pos has a block that is s's alone. */
bool l2_kv_seq_writable(const struct l2_kv_pool *p, const struct l2_kv_seq *s, uint32_t pos);

/* dst (empty) becomes the first len positions of src: whole blocks are shared, the remainder is
 * copied into a block of its own. */
int l2_kv_seq_fork(struct l2_kv_pool *p, struct l2_kv_seq *dst, const struct l2_kv_seq *src,
                   uint32_t len, struct l2_err *err) L2_MUST_CHECK;

/* Forgets positions from len on; blocks that are empty then, reserved ones too, go back. */
void l2_kv_seq_truncate(struct l2_kv_pool *p, struct l2_kv_seq *s, uint32_t len);
void l2_kv_seq_release(struct l2_kv_pool *p, struct l2_kv_seq *s);

/* Common beginnings of sequences that are not forks of each other: a block whose 64 positions were
 * run can be made known by all tokens from position 0 to its end, and stays known after its
 * sequences are gone, until its memory is needed: longest idle first. */

/* The number of positions, a multiple of L2_KV_BLOCK and at most n, that are known. */
uint32_t l2_kv_prefix_find(const struct l2_kv_pool *p, const uint32_t *tokens, uint32_t n);

/* s (empty) becomes those positions. */
int l2_kv_prefix_share(struct l2_kv_pool *p, struct l2_kv_seq *s, const uint32_t *tokens,
                       uint32_t n, struct l2_err *err) L2_MUST_CHECK;

/* Makes known the whole blocks of s among its first n positions, which hold tokens[0..n). */
int l2_kv_prefix_publish(struct l2_kv_pool *p, const struct l2_kv_seq *s, const uint32_t *tokens,
                         uint32_t n, struct l2_err *err) L2_MUST_CHECK;

/* Keys and values of one block, layer and key/value head. */
struct l2_kv_head l2_kv_pool_head(const struct l2_kv_pool *p, uint32_t block, uint32_t layer,
                                  uint32_t kv_head);

#endif
