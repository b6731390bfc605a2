/* A Llama model in plain loops and double, for tests of gradients by central differences. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TEST_REF_NET_H
#define L2_TEST_REF_NET_H

#include "nn/net.h"

/* The loss that tests use: the sum of coefficient times log-probability, or, of a model with
 * labels, of coefficient times score of label t mod n_labels at targets[t].row. */
struct ref_loss {
    const struct l2_net_batch *batch;
    const struct l2_target *targets;
    const float *coefficient;
    size_t n_targets;
};

/* values lie as those of layout do. Where out is not NULL it receives the log-probability or score
 * of each target. */
double ref_loss(const struct l2_params *layout, const double *values, const struct ref_loss *loss,
                double *out);

#endif
