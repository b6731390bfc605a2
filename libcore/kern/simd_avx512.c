/* The vector kernels for AVX-512. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES     16
#    define L2_TARGET    __attribute__((target("avx512f")))
#    define L2_SIMD_SET  l2_simd_avx512
#    define L2_SIMD_NAME "avx512"
#    include "kern/simd_set.h"
#endif
