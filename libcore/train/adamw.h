/* AdamW (Loshchilov and Hutter, 2019) over all parameters of a model, or over other arrays. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ADAMW_H
#define L2_ADAMW_H

#include "nn/params.h"

struct l2_adamw_opts {
    double beta1, beta2, eps;
    double weight_decay; /* decoupled, of matrices only */
};
/* The paper's, section 2.2: 0.9, 0.95, 1e-5, 0.1. */
extern const struct l2_adamw_opts l2_adamw_defaults;

/* Values that an optimiser changes: an array in f32, or one in bf16 that is rounded at random, so
 * that steps below its precision add up. */
struct l2_adamw_values {
    float *f32;     /* one of the two */
    uint16_t *bf16; /* the other is NULL */
};

/* An array with its gradients and moments, all of n values; borrowed. */
struct l2_adamw_array {
    struct l2_adamw_values p, m, v;
    float *g;
    size_t n;
    bool decayed;
    uint64_t number; /* of the first value among all arrays: random rounding depends on it */
};

/* Step number step (from 1) on an array, with the gradients g * scale at learning rate lr. g is
 * zero afterwards. The result depends on the arguments alone. */
void l2_adamw_array_step(const struct l2_adamw_opts *opts, uint64_t step,
                         const struct l2_adamw_array *a, double scale, double lr,
                         struct l2_pool *pool);

/* The sum of squares of n values. Its order does not depend on the number of threads. */
int l2_adamw_squares(const float *v, size_t n, struct l2_pool *pool, double *sum,
                     struct l2_err *err) L2_MUST_CHECK;

/* ---- over all parameters of a model ---- */

struct l2_adamw {
    struct l2_adamw_opts opts;
    struct l2_params *m, *v; /* first and second moments; owned */
    uint64_t step;           /* steps taken */
};

int l2_adamw_init(struct l2_adamw *a, const struct l2_hparams *hp, const struct l2_adamw_opts *opts,
                  struct l2_err *err) L2_MUST_CHECK;
/* With the moments of matrices in moments, L2_F32 or L2_BF16. */
int l2_adamw_init_as(struct l2_adamw *a, const struct l2_hparams *hp,
                     const struct l2_adamw_opts *opts, enum l2_dtype moments,
                     struct l2_err *err) L2_MUST_CHECK;
void l2_adamw_release(struct l2_adamw *a);

/* The norm of all values together, of parameters that are not frozen. The sum's order does not
 * depend on the number of threads. */
int l2_params_norm(const struct l2_params *p, struct l2_pool *pool, double *norm,
                   struct l2_err *err) L2_MUST_CHECK;

/* Tensor i as an array: its values in [begin, end) of the gradients' memory, and none where n is 0.
 * params may be frozen, grads not. */
struct l2_adamw_array l2_adamw_tensor(const struct l2_adamw *a, const struct l2_params *params,
                                      const struct l2_params *grads, size_t i, size_t begin,
                                      size_t end);

/* One step with the gradients grads * scale at learning rate lr. grads are zero afterwards. params
 * may be frozen: their matrices are rounded at random. */
void l2_adamw_step(struct l2_adamw *a, struct l2_params *params, struct l2_params *grads,
                   double scale, double lr, struct l2_pool *pool);

#endif
