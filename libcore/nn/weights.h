/* A model's weights as the forward pass wants them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NN_WEIGHTS_H
#define L2_NN_WEIGHTS_H

#include "kern/backend.h"
#include "model/model.h"
#include "nn/pack_cache.h"

struct l2_layer_weights {
    float *attn_norm, *ffn_norm;                         /* (dim) */
    float *qkv_bias, *o_bias, *gate_up_bias, *down_bias; /* (rows of the matrix), or NULL */
    struct l2_weight qkv; /* queries, keys and values, one below the other */
    struct l2_weight o;
    struct l2_weight gate_up; /* gate above up */
    struct l2_weight down;
};

/* How weights are packed; all zero: as they are, for exact products. */
struct l2_weights_opts {
    enum l2_pack_type type;
    bool narrow;       /* as struct l2_pack_opts */
    const char *cache; /* a file that packed weights are mapped from, written when it is absent or
                          was made of another model or in another way; native only; or NULL */
    const struct l2_weights *lender; /* whose matrices are used where the tensors are the same to
                                        the byte and would be packed alike; it and its model outlive
                                        the borrower; or NULL */
};

/* Caller's storage; all zero is empty. */
struct l2_weights {
    const struct l2_backend *backend;
    const struct l2_tensor *embed; /* borrowed from the model */
    struct l2_layer_weights *layers;
    uint32_t n_layers;
    float *norm;                /* (dim), or NULL */
    struct l2_weight head;      /* or empty */
    struct l2_pack_cache cache; /* mapped where weights are borrowed */
    uint64_t bytes;             /* of all that is owned or mapped */
    uint64_t lent;              /* of what is the lender's */
    const struct l2_model *model;
    const struct l2_weights *lender;
    struct l2_pack_opts pack;
};

/* Packs the first n_layers layers of m, which outlives w, and with_norm, with_head the rest, into w
 * (empty). Release also after failure. */
int l2_weights_init(struct l2_weights *w, const struct l2_model *m,
                    const struct l2_backend *backend, uint32_t n_layers, bool with_norm,
                    bool with_head, const struct l2_weights_opts *opts, struct l2_pool *pool,
                    struct l2_err *err) L2_MUST_CHECK;
/* Bytes of working memory for products of m rows with any of the matrices. */
size_t l2_weights_scratch(const struct l2_weights *w, size_t m);
void l2_weights_release(struct l2_weights *w);

#endif
