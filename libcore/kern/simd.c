/* The choice of vector kernels by what the processor can do. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/simd.h"

size_t l2_simd_all(const struct l2_simd *out[L2_SIMD_MAX])
{
    size_t n = 0;
    out[n++] = &l2_simd_portable;
#ifdef L2_SIMD_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        out[n++] = &l2_simd_avx2;
    if (__builtin_cpu_supports("avx512f"))
        out[n++] = &l2_simd_avx512;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni")) {
        out[n++] = &l2_simd_avx512_vnni;
        if (__builtin_cpu_supports("avx512bf16"))
            out[n++] = &l2_simd_avx512_bf16;
    }
#endif
    return n;
}

const struct l2_simd *l2_simd_best(void)
{
    const struct l2_simd *all[L2_SIMD_MAX];
    return all[l2_simd_all(all) - 1];
}
