/* AdamW (Loshchilov and Hutter, 2019) over all parameters of a model. */
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

struct l2_adamw {
    struct l2_adamw_opts opts;
    struct l2_params *m, *v; /* first and second moments; owned */
    uint64_t step;           /* steps taken */
};

int l2_adamw_init(struct l2_adamw *a, const struct l2_hparams *hp, const struct l2_adamw_opts *opts,
                  struct l2_err *err) L2_MUST_CHECK;
void l2_adamw_release(struct l2_adamw *a);

/* The norm of all values together. The sum's order does not depend on the number of threads. */
int l2_params_norm(const struct l2_params *p, struct l2_pool *pool, double *norm,
                   struct l2_err *err) L2_MUST_CHECK;

/* One step with the gradients grads * scale at learning rate lr. grads are zero afterwards. */
void l2_adamw_step(struct l2_adamw *a, struct l2_params *params, struct l2_params *grads,
                   double scale, double lr, struct l2_pool *pool);

#endif
