/* A small random model, the same in every run, for tests of what runs models. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_TINY_MODEL_H
#define L2_TEST_TINY_MODEL_H

#include "nn/engine.h"
#include "stream/record.h"

/* 2 layers, 4 heads, 2 KV heads, 96 tokens, context 150, BOS 1, EOS 2. */
struct tiny_model {
    char dir[1024];
    struct l2_model *model;
};

/* label: a reward model's head. poison: one weight of the embedding of token 5 is NaN. */
void tiny_model_open(struct tiny_model *t, enum l2_head head, bool poison);
void tiny_model_close(struct tiny_model *t);

/* An engine of the native backend on it. kv_blocks 0: plenty. */
struct l2_engine *tiny_engine(const struct tiny_model *t, uint32_t max_rows, uint32_t max_outputs,
                              uint32_t kv_blocks, struct l2_pool *pool);

/* The same, where every sequence is run from its start. */
struct l2_engine *tiny_engine_alone(const struct tiny_model *t, uint32_t max_rows,
                                    uint32_t max_outputs, uint32_t kv_blocks, struct l2_pool *pool);

/* A heap record with a number as id and a prompt of n tokens, which depend on id alone: BOS, then
 * any but 0, 1, 2 and 5. */
struct l2_record *tiny_record(int64_t id, size_t n);
void tiny_record_add(struct l2_record *r, const uint32_t *tokens, size_t n);
void tiny_record_free(struct l2_record *r);

#endif
