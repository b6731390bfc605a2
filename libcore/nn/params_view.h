/* Parameters in memory as a model, so that an engine can be made from what is being trained. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PARAMS_VIEW_H
#define L2_PARAMS_VIEW_H

#include "nn/params.h"

/* A model whose tensors are p's values where they lie; nothing is copied, and both p and its values
 * outlive it. Owned, free with l2_model_close. */
int l2_params_view(struct l2_model **out, const struct l2_params *p,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
