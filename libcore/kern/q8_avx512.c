/* Products of quantised weights for AVX-512 with VNNI. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/narrow.h"
#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES  16
#    define L2_TARGET __attribute__((target("avx512f,avx512bw,avx512vnni")))
#    define Q8_SET    l2_q8_avx512
#    define Q8_K_SET  l2_q8_k_avx512
#    define Q8_NAME   "avx512-vnni"
#    define Q8_DOT_VNNI
#    include "kern/vec_q8.h"
#    include "kern/vec_q8_k.h"
#endif
