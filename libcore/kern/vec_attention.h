/* Attention over one block of keys and values; see simd_set.h. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_VEC_ATTENTION_H
#define L2_VEC_ATTENTION_H

#define VEC_BLOCK L2_KV_BLOCK

/* Turns the scores s[0..64) of one query, of which n count, into exp(s - m) with the new maximum m,
 * and takes their sum into l. Returns what the sums made with the old maximum are to be multiplied
 * with. Scores that do not count become 0, which changes no bit of any sum. */
VEC_FN float vec_softmax_merge(float s[VEC_BLOCK], size_t n, float *m, float *l)
{
    size_t end = (n + 15) / 16 * 16;
    for (size_t j = n; j < end; j++)
        s[j] = -INFINITY;
    vf high[VEC_16];
    for (int g = 0; g < VEC_16; g++)
        high[g] = vec_set(*m);
    for (size_t j = 0; j < end; j += 16)
        for (int g = 0; g < VEC_16; g++)
            high[g] = vec_larger(vec_load(s + j + g * L2_LANES), high[g]);
    float m_new = vec_max16(high);

    vf sum[4][VEC_16] = {0};
    for (size_t j = 0; j < end; j += 16)
        for (int g = 0; g < VEC_16; g++) {
            vf p = vec_exp(vec_load(s + j + g * L2_LANES) - m_new);
            vec_store(s + j + g * L2_LANES, p);
            sum[j / 16][g] = p;
        }
    for (int g = 0; g < VEC_16; g++)
        sum[0][g] = (sum[0][g] + sum[1][g]) + (sum[2][g] + sum[3][g]);
    vf factor = vec_exp(vec_set(*m) - m_new);
    *m = m_new;
    *l = *l * factor[0] + vec_sum16(sum[0]);
    return factor[0];
}

/* o = o * factor + sum */
VEC_FN void vec_scale_add(float *o, float factor, const float *sum, size_t n)
{
    size_t j = 0;
    for (; j + L2_LANES <= n; j += L2_LANES)
        vec_store(o + j, vec_load(o + j) * factor + vec_load(sum + j));
    for (; j < n; j++)
        o[j] = o[j] * factor + sum[j];
}

/* x[j] *= scale[j] */
VEC_FN void vec_scale_by(float *x, const float *scale, size_t n)
{
    for (size_t j = 0; j < n; j += L2_LANES)
        vec_store(x + j, vec_load(x + j) * vec_load(scale + j));
}

/* Scores and weighted values are products with panels: keys lie transposed, positions as lanes, and
 * values with their dimensions as lanes. A scale is a position's: scores are multiplied with those
 * of the keys, the weights of the values with those of the values. */
static L2_TARGET void vec_attend_block(const float *q, size_t group, size_t head_dim,
                                       const struct l2_kv_head *kv, size_t n, float *m, float *l,
                                       float *o)
{
    static const enum l2_layout layouts[] = {
        [L2_KV_F32] = L2_LAYOUT_F32, [L2_KV_BF16] = L2_LAYOUT_BF16, [L2_KV_Q8] = L2_LAYOUT_S8};
    const enum l2_layout layout = layouts[kv->type];
    const size_t size = vec_size(layout), width = l2_kv_stride(head_dim), end = (n + 15) / 16 * 16;
    float s[VEC_TILE][VEC_BLOCK], sums[VEC_TILE][VEC_BLOCK], factor[VEC_TILE];
    size_t left = (group + VEC_TILE - 1) / VEC_TILE;
    for (size_t i = 0; i < group; left--) {
        size_t rows = (group - i + left - 1) / left;
        vec_tile(rows, s[0], VEC_BLOCK, q + i * head_dim, head_dim, kv->k, layout, VEC_BLOCK, end,
                 head_dim, false);
        for (size_t r = 0; r < rows; r++) {
            if (kv->k_scale)
                vec_scale_by(s[r], kv->k_scale, end);
            factor[r] = vec_softmax_merge(s[r], n, &m[i + r], &l[i + r]);
            if (kv->v_scale)
                vec_scale_by(s[r], kv->v_scale, end);
        }
        for (size_t j = 0; j < width; j += VEC_BLOCK) {
            size_t cols = width - j < VEC_BLOCK ? width - j : VEC_BLOCK;
            size_t valid = head_dim - j < VEC_BLOCK ? head_dim - j : VEC_BLOCK;
            vec_tile(rows, sums[0], VEC_BLOCK, s[0], VEC_BLOCK, (const char *)kv->v + j * size,
                     layout, width, cols, n, false);
            for (size_t r = 0; r < rows; r++)
                vec_scale_add(o + (i + r) * head_dim + j, factor[r], sums[r], valid);
        }
        i += rows;
    }
}

#endif
