/* Products of bf16 pairs for AVX2. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/narrow.h"
#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES   8
#    define L2_TARGET  __attribute__((target("avx2,fma")))
#    define PAIRS_SET  l2_pairs_avx2
#    define PAIRS_NAME "avx2"
#    include "kern/vec_pairs.h"
#endif
