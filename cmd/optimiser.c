/* The options of steps as libcore takes them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "optimiser.h"

#include <stddef.h>

const char *const optimiser_targets[] = {"attention", "all", NULL};

struct l2_lora_opts optimiser_lora(const struct optimiser *o)
{
    return (struct l2_lora_opts){
        .rank = (uint32_t)o->lora_rank,
        .alpha = (float)(o->lora_alpha > 0 ? o->lora_alpha : 2 * (double)o->lora_rank),
        .roles = o->lora_targets == 0 ? L2_LORA_ATTENTION : L2_LORA_ALL};
}
