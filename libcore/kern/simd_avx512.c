/* The vector kernels for AVX-512. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/simd.h"

#ifdef L2_SIMD_X86
#    define L2_LANES  16
#    define L2_TARGET __attribute__((target("avx512f")))
#    include "kern/simd_set.h"

const struct l2_simd l2_simd_avx512 =
    L2_SIMD_TABLE("avx512", &l2_pairs_avx2, &l2_q8_avx2, &l2_q8_k_avx2);
const struct l2_simd l2_simd_avx512_vnni =
    L2_SIMD_TABLE("avx512 vnni", &l2_pairs_avx2, &l2_q8_avx512, &l2_q8_k_avx512);
const struct l2_simd l2_simd_avx512_bf16 =
    L2_SIMD_TABLE("avx512 vnni bf16", &l2_pairs_avx512, &l2_q8_avx512, &l2_q8_k_avx512);
#endif
