/* A tile of a matrix product with factors in bf16 and sums in f32. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GEMM_BF16_H
#define L2_GEMM_BF16_H

#include "kern/gemm.h"

/* True when the processor multiplies bf16 itself; without, products cost what f32 ones do. */
bool l2_gemm_bf16_native(void);
/* In the calling thread. */
void l2_gemm_bf16(const struct l2_gemm *g);
/* The same without the processor's bf16, in OpenBLAS; sums differ in order. */
void l2_gemm_bf16_portable(const struct l2_gemm *g);

#endif
