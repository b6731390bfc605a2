/* Learning rates: linear warm-up, then a cosine, a line, or nothing. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/schedule.h"

#include <math.h>

double l2_schedule_at(const struct l2_schedule *s, uint64_t step)
{
    if (step <= s->warmup)
        return s->peak * (double)step / (double)s->warmup;
    if (s->kind == L2_SCHEDULE_CONSTANT)
        return s->peak;
    if (step >= s->total)
        return s->peak * s->least;
    double done = (double)(step - s->warmup) / (double)(s->total - s->warmup);
    double left = s->kind == L2_SCHEDULE_LINEAR ? 1 - done : (1 + cos(acos(-1) * done)) / 2;
    return s->peak * (s->least + (1 - s->least) * left);
}
