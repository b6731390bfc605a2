/* A model's parameters in memory, as training changes them; gradients and moments have the same
 * form. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PARAMS_H
#define L2_PARAMS_H

#include "model/model.h"
#include "util/pool.h"

/* All tensors one after the other in the order of l2_tensor_at, F32, matrices (rows, cols)
 * row-major with the rows of Q and K in Hugging Face order. */
struct l2_params {
    struct l2_hparams hp;
    size_t n_tensors; /* l2_tensor_count(&hp) */
    size_t *offset;   /* (n_tensors + 1) floats, multiples of 16; gaps are 0; owned */
    float *values;    /* (offset[n_tensors]), aligned to 64; owned */
    uint16_t *frozen; /* NULL; or the matrices in bf16, at their offsets. Then vectors and the label
                         head, which can be trained, are in values, and offset[n_tensors] counts
                         values of frozen; owned */
};

/* All zero. Owned, free with l2_params_free (NULL is fine). */
int l2_params_new(struct l2_params **out, const struct l2_hparams *hp,
                  struct l2_err *err) L2_MUST_CHECK;
/* For weights that do not change: half the memory. Matrices are rounded to bf16 by l2_params_load.
 */
int l2_params_new_frozen(struct l2_params **out, const struct l2_hparams *hp,
                         struct l2_err *err) L2_MUST_CHECK;
void l2_params_free(struct l2_params *p);

/* Fills p with the values of m, which has the same hyper-parameters but perhaps for the head: a
 * tensor that m lacks stays as it is. What has been read of m's files is dropped from memory. */
void l2_params_load(struct l2_params *p, const struct l2_model *m, struct l2_pool *pool);

/* NULL where the model has no such tensor, or it is frozen. */
float *l2_params_at(const struct l2_params *p, enum l2_role role, uint32_t layer);

/* Values [first, first + n) of a tensor, which may be frozen. */
void l2_params_get(const struct l2_params *p, enum l2_role role, uint32_t layer, size_t first,
                   size_t n, float *out);

/* l2_model_source's rows, for l2_model_write; arg is a struct l2_params. */
int l2_params_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                   float *out, struct l2_err *err);

#endif
