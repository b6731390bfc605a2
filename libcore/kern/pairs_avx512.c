/* Products of bf16 pairs for AVX-512 with BF16. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/narrow.h"
#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES   16
#    define L2_TARGET  __attribute__((target("avx512f,avx512bw,avx512bf16")))
#    define PAIRS_SET  l2_pairs_avx512
#    define PAIRS_NAME "avx512-bf16"
#    define PAIRS_DOT(sum, w, x)                                                                   \
        (vf) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(w), (__m512bh)_mm512_set1_epi32((int)(x)))
#    include "kern/vec_pairs.h"
#endif
