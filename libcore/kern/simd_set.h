/* Makes one set of vector kernels: included once by each simd_*.c, which has defined
 * L2_LANES (floats a vector) and L2_TARGET (the attribute that allows the instructions). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SIMD_SET_H
#define L2_SIMD_SET_H

#include "kern/simd.h"
#include "kern/vec.h"
#include "kern/vec_panel.h"
#include "kern/vec_attention.h"
#include "kern/vec_rows.h"
#include "kern/vec_grad.h"
#include "kern/vec_adamw.h"

/* A table of this file's kernels and of those for narrowed activations. */
#define L2_SIMD_TABLE(name_, pairs_, q8_, q8_k_)                                                   \
    {                                                                                              \
        .name = name_, .fused = VEC_FUSED, .pairs = pairs_, .q8 = q8_, .q8_k = q8_k_,              \
        .panel = vec_panel, .attend_block = vec_attend_block, .rmsnorm = vec_rmsnorm,              \
        .rope = vec_rope, .swiglu = vec_swiglu, .add = vec_add, .scale = vec_scale,                \
        .expf_row = vec_expf_row, .max = vec_max, .sum_exp = vec_sum_exp,                          \
        .rmsnorm_bwd = vec_rmsnorm_bwd, .rope_bwd = vec_rope_bwd, .swiglu_bwd = vec_swiglu_bwd,    \
        .softmax_bwd = vec_softmax_bwd, .exp_sum = vec_exp_sum, .from_bf16 = vec_bf16_row,         \
        .dot = vec_dot, .adamw = vec_adamw,                                                        \
    }

#endif
