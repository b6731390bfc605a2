/* The vector kernels in vectors of four floats, which every compiler can make something of. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#define L2_LANES 4
#define L2_TARGET
#define L2_SIMD_SET  l2_simd_portable
#define L2_SIMD_NAME "portable"
#include "kern/simd_set.h"
