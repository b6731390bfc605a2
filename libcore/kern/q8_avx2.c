/* Products of quantised weights for AVX2. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/narrow.h"
#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES  8
#    define L2_TARGET __attribute__((target("avx2,fma")))
#    define Q8_SET    l2_q8_avx2
#    define Q8_K_SET  l2_q8_k_avx2
#    define Q8_NAME   "avx2"
#    include "kern/vec_q8.h"
#    include "kern/vec_q8_k.h"
#endif
