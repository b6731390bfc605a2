/* How the learning rate changes over a run. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SCHEDULE_H
#define L2_SCHEDULE_H

#include <stdint.h>

enum l2_schedule_kind { L2_SCHEDULE_COSINE, L2_SCHEDULE_LINEAR, L2_SCHEDULE_CONSTANT };

struct l2_schedule {
    enum l2_schedule_kind kind;
    double peak;
    double least;    /* where the decay ends, as a share of the peak; the paper's: 0.1 */
    uint64_t warmup; /* steps of linear increase */
    uint64_t total;  /* steps; later ones have the least rate */
};

/* The learning rate of a step, counted from 1. */
double l2_schedule_at(const struct l2_schedule *s, uint64_t step);

#endif
