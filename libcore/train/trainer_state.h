/* What a trainer consists of. Private to it and its checkpoints. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TRAINER_STATE_H
#define L2_TRAINER_STATE_H

#include "train/trainer.h"

struct l2_trainer {
    struct l2_trainer_opts opts;
    struct l2_params *params; /* borrowed */
    struct l2_params *grads;
    struct l2_adamw adamw;
    struct l2_net *net;
    float *logprob, *coefficient; /* (cap_targets) */
    size_t cap_targets;
    float *scores, *dscores; /* (2 * cap_pairs) */
    uint32_t *rows;          /* (2 * cap_pairs) */
    size_t cap_pairs;
};

#endif
