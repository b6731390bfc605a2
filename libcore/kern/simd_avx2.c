/* The vector kernels for AVX2 with FMA. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES     8
#    define L2_TARGET    __attribute__((target("avx2,fma")))
#    define L2_SIMD_SET  l2_simd_avx2
#    define L2_SIMD_NAME "avx2"
#    include "kern/simd_set.h"
#endif
