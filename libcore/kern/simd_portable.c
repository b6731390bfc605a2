/* The vector kernels in vectors of four floats, which every compiler can make something of. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#define L2_LANES 4
#define L2_TARGET
#include "kern/simd_set.h"

const struct l2_simd l2_simd_portable =
    L2_SIMD_TABLE("portable", &l2_pairs_portable, &l2_q8_portable, &l2_q8_k_portable);
