/* Makes one set of vector kernels: included once by each simd_*.c, which has defined
 * L2_LANES (floats a vector), L2_TARGET (the attribute that allows the instructions), L2_SIMD_SET
 * and L2_SIMD_NAME. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SIMD_SET_H
#define L2_SIMD_SET_H

#include "kern/simd.h"
#include "kern/vec.h"
#include "kern/vec_panel.h"
#include "kern/vec_attention.h"
#include "kern/vec_rows.h"
#include "kern/vec_grad.h"

const struct l2_simd L2_SIMD_SET = {
    .name = L2_SIMD_NAME,
    .fused = VEC_FUSED,
    .panel = vec_panel,
    .attend_block = vec_attend_block,
    .rmsnorm = vec_rmsnorm,
    .rope = vec_rope,
    .swiglu = vec_swiglu,
    .add = vec_add,
    .scale = vec_scale,
    .expf_row = vec_expf_row,
    .max = vec_max,
    .sum_exp = vec_sum_exp,
    .rmsnorm_bwd = vec_rmsnorm_bwd,
    .rope_bwd = vec_rope_bwd,
    .swiglu_bwd = vec_swiglu_bwd,
    .softmax_bwd = vec_softmax_bwd,
    .exp_sum = vec_exp_sum,
    .dot = vec_dot,
};

#endif
