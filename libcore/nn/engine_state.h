/* What the engine holds; shared by the files that make up the engine. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ENGINE_STATE_H
#define L2_ENGINE_STATE_H

#include "nn/engine.h"
#include "nn/weights.h"

/* One row of the running pass. */
struct l2_work_row {
    const struct l2_kv_seq *seq;
    uint32_t token;
    uint32_t pos;
};

/* Neighbouring rows whose attention is computed together: their first blocks are the same. */
struct l2_attn_chunk {
    uint32_t first, n; /* among the wanted rows */
    uint32_t shared;   /* leading blocks that all of them see, and see whole */
};

/* The packed matrices of a layer. */
enum l2_group { L2_GROUP_QKV, L2_GROUP_O, L2_GROUP_GATE_UP, L2_GROUP_DOWN, L2_N_GROUPS };

struct l2_engine {
    struct l2_hparams hp; /* the model's */
    struct l2_engine_opts opts;
    struct l2_weights weights;
    struct l2_engine_lora *lora; /* owned; NULL: no adapters */
    struct l2_kv_pool *kv;
    bool planned; /* nothing is allocated */
    uint64_t work_bytes;
    double *frequency; /* (head_dim / 2) */

    /* Rows of the pass; wanted[0..n_wanted) are those whose results the running layer computes
     * beyond keys and values: all, and in the last layer those with outputs, ascending. */
    struct l2_work_row *rows;
    uint32_t *wanted;
    struct l2_attn_chunk *chunks;
    uint32_t n_rows, n_wanted, n_chunks;
    uint32_t layer; /* the running one */

    /* Activations, max_rows each. */
    float *cos, *sin; /* (head_dim / 2) */
    float *x;         /* (dim), the residual stream */
    float *h;         /* (dim), x normed */
    float *delta;     /* (dim), what a half layer adds to x */
    float *qkv;       /* ((n_heads + 2 n_kv_heads) * head_dim) */
    float *q, *o; /* (n_kv_heads, wanted row, group, head_dim), rotated and scaled queries, sums */
    float *max, *sum; /* (n_kv_heads, wanted row, group), the running softmax */
    float *att;       /* (n_heads * head_dim) */
    float *gate_up;   /* (2 * hidden) */
    float *act;       /* (hidden) */
    void *scratch;    /* of matrix products, or NULL */
    float *values;    /* (max_outputs, vocab_size or n_labels), or NULL */
};

/* Runs fn(arg, first, n) over [0, n_rows) in slices on the engine's pool; cost is about the number
 * of floats that a row takes. */
void l2_engine_rows(struct l2_engine *e, void (*fn)(struct l2_engine *, void *, size_t, size_t),
                    void *arg, size_t n_rows, size_t cost);

/* Cuts the wanted rows into chunks. */
void l2_engine_plan_attention(struct l2_engine *e);

/* Attention of the wanted rows in the running layer: qkv -> att, appending keys and values of all
 * rows. */
void l2_engine_attention(struct l2_engine *e);

/* y (rows, w->rows), which is the product of x with the group's matrix w of the running layer, +=
 * what the adapters add. */
void l2_engine_adapt(struct l2_engine *e, float *y, const float *x, const struct l2_weight *w,
                     enum l2_group group, size_t n_rows);
void l2_engine_lora_free(struct l2_engine *e);

#endif
