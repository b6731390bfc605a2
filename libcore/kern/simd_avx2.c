/* The vector kernels for AVX2 with FMA. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES  8
#    define L2_TARGET __attribute__((target("avx2,fma")))
#    include "kern/simd_set.h"

const struct l2_simd l2_simd_avx2 =
    L2_SIMD_TABLE("avx2", &l2_pairs_avx2, &l2_q8_avx2, &l2_q8_k_avx2);
#endif
