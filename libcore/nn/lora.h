/* Low-rank adapters (LoRA, arXiv 2106.09685): y = x W^T + alpha / rank (x A^T) B^T with W frozen,
 * so that only A and B have gradients and moments. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LORA_H
#define L2_LORA_H

#include "nn/params.h"

/* Projections that can have adapters: Q to DOWN without the norm between them. */
#define L2_LORA_BIT(role) (1u << (unsigned)(role))
#define L2_LORA_ATTENTION                                                                          \
    (L2_LORA_BIT(L2_T_Q) | L2_LORA_BIT(L2_T_K) | L2_LORA_BIT(L2_T_V) | L2_LORA_BIT(L2_T_O))
#define L2_LORA_ALL                                                                                \
    (L2_LORA_ATTENTION | L2_LORA_BIT(L2_T_GATE) | L2_LORA_BIT(L2_T_UP) | L2_LORA_BIT(L2_T_DOWN))

struct l2_lora_opts {
    uint32_t rank;  /* 1 to the smaller side of each projection */
    float alpha;    /* adapters count alpha / rank */
    uint32_t roles; /* L2_LORA_BIT of the projections that have adapters */
};

/* The adapters of all layers, or their gradients or moments. */
struct l2_lora {
    struct l2_hparams hp;
    struct l2_lora_opts opts;
    size_t offset[L2_N_ROLES]; /* of A (rank, cols) within a layer; B (rows, rank) follows */
    size_t per_layer, n;       /* floats of a layer, and of all */
    float *values;             /* (n), aligned to 64; owned */
};

/* All zero. L2_ARGUMENT where rank or roles do not fit. Owned, free with l2_lora_free (NULL is
 * fine). */
int l2_lora_new(struct l2_lora **out, const struct l2_hparams *hp, const struct l2_lora_opts *opts,
                struct l2_err *err) L2_MUST_CHECK;
void l2_lora_free(struct l2_lora *l);
/* A uniform within 1 / sqrt(cols), B zero: the model is unchanged to begin with. A value depends on
 * seed, role, layer and place alone. */
void l2_lora_init(struct l2_lora *l, uint64_t seed);

/* A (rank, cols) and B (rows, rank) of a projection; false where it has none. */
bool l2_lora_at(const struct l2_lora *l, enum l2_role role, uint32_t layer, float **a, float **b);

/* W += alpha / rank B A: a model that needs no adapters. p is not frozen. */
void l2_lora_merge(struct l2_params *p, const struct l2_lora *l, struct l2_pool *pool);

/* The same while a model is written, for parameters that are frozen: l2_model_source's rows; arg is
 * a struct l2_lora_merged. */
struct l2_lora_merged {
    struct l2_params *params; /* borrowed, both */
    const struct l2_lora *lora;
};
int l2_lora_merged_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                        float *out, struct l2_err *err);

#endif
