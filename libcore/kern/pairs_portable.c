/* Products of bf16 pairs in vectors of four lanes, which every compiler can make something of. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#define L2_LANES 4
#define L2_TARGET
#define PAIRS_SET  l2_pairs_portable
#define PAIRS_NAME "portable"
#include "kern/vec_pairs.h"
