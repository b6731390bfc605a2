/* Products of quantised weights in vectors of four lanes, which every compiler can make something
 * of. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#define L2_LANES 4
#define L2_TARGET
#define Q8_SET   l2_q8_portable
#define Q8_K_SET l2_q8_k_portable
#define Q8_NAME  "portable"
#include "kern/vec_q8.h"
#include "kern/vec_q8_k.h"
