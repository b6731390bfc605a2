/* The table of tensors, and reading single rows of them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/tensors.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "util/num.h"

#define LAYER_HF "model.layers.%u."

/* clang-format off */
const struct l2_role_info l2_roles[L2_N_ROLES] = {
    [L2_T_EMBED] = {false, true, "model.embed_tokens.weight", "tok_embeddings.weight", "token_embd.weight"},
    [L2_T_ATTN_NORM] = {true, false, LAYER_HF "input_layernorm.weight", "layers.%u.attention_norm.weight", "blk.%u.attn_norm.weight"},
    [L2_T_Q] = {true, true, LAYER_HF "self_attn.q_proj.weight", "layers.%u.attention.wq.weight", "blk.%u.attn_q.weight"},
    [L2_T_K] = {true, true, LAYER_HF "self_attn.k_proj.weight", "layers.%u.attention.wk.weight", "blk.%u.attn_k.weight"},
    [L2_T_V] = {true, true, LAYER_HF "self_attn.v_proj.weight", "layers.%u.attention.wv.weight", "blk.%u.attn_v.weight"},
    [L2_T_O] = {true, true, LAYER_HF "self_attn.o_proj.weight", "layers.%u.attention.wo.weight", "blk.%u.attn_output.weight"},
    [L2_T_FFN_NORM] = {true, false, LAYER_HF "post_attention_layernorm.weight", "layers.%u.ffn_norm.weight", "blk.%u.ffn_norm.weight"},
    [L2_T_GATE] = {true, true, LAYER_HF "mlp.gate_proj.weight", "layers.%u.feed_forward.w1.weight", "blk.%u.ffn_gate.weight"},
    [L2_T_UP] = {true, true, LAYER_HF "mlp.up_proj.weight", "layers.%u.feed_forward.w3.weight", "blk.%u.ffn_up.weight"},
    [L2_T_DOWN] = {true, true, LAYER_HF "mlp.down_proj.weight", "layers.%u.feed_forward.w2.weight", "blk.%u.ffn_down.weight"},
    [L2_T_Q_BIAS] = {true, false, LAYER_HF "self_attn.q_proj.bias", "layers.%u.attention.wq.bias", "blk.%u.attn_q.bias"},
    [L2_T_K_BIAS] = {true, false, LAYER_HF "self_attn.k_proj.bias", "layers.%u.attention.wk.bias", "blk.%u.attn_k.bias"},
    [L2_T_V_BIAS] = {true, false, LAYER_HF "self_attn.v_proj.bias", "layers.%u.attention.wv.bias", "blk.%u.attn_v.bias"},
    [L2_T_O_BIAS] = {true, false, LAYER_HF "self_attn.o_proj.bias", "layers.%u.attention.wo.bias", "blk.%u.attn_output.bias"},
    [L2_T_GATE_BIAS] = {true, false, LAYER_HF "mlp.gate_proj.bias", "layers.%u.feed_forward.w1.bias", "blk.%u.ffn_gate.bias"},
    [L2_T_UP_BIAS] = {true, false, LAYER_HF "mlp.up_proj.bias", "layers.%u.feed_forward.w3.bias", "blk.%u.ffn_up.bias"},
    [L2_T_DOWN_BIAS] = {true, false, LAYER_HF "mlp.down_proj.bias", "layers.%u.feed_forward.w2.bias", "blk.%u.ffn_down.bias"},
    [L2_T_NORM] = {false, false, "model.norm.weight", "norm.weight", "output_norm.weight"},
    [L2_T_HEAD] = {false, true, "lm_head.weight", "output.weight", "output.weight"},
    [L2_T_SCORE] = {false, true, "score.weight", NULL, "cls.output.weight"},
};
/* clang-format on */

#define FIRST_LAYER_ROLE L2_T_ATTN_NORM
#define BASIC_ROLES      (L2_T_DOWN - L2_T_ATTN_NORM + 1)
#define ATTENTION_BIASES (L2_T_O_BIAS - L2_T_Q_BIAS + 1)
#define MLP_BIASES       (L2_T_DOWN_BIAS - L2_T_GATE_BIAS + 1)

/* Tensors of one layer. */
static size_t layer_roles(const struct l2_hparams *hp)
{
    return BASIC_ROLES + (hp->attention_bias ? ATTENTION_BIASES : 0) +
           (hp->mlp_bias ? MLP_BIASES : 0);
}

/* Where in its layer a role that is present stands, and back. */
static size_t place_in_layer(const struct l2_hparams *hp, enum l2_role role)
{
    size_t i = (size_t)(role - FIRST_LAYER_ROLE);
    return role >= L2_T_GATE_BIAS && !hp->attention_bias ? i - ATTENTION_BIASES : i;
}

static enum l2_role role_in_layer(const struct l2_hparams *hp, size_t i)
{
    if (i >= BASIC_ROLES && !hp->attention_bias)
        i += ATTENTION_BIASES;
    return (enum l2_role)(FIRST_LAYER_ROLE + i);
}

bool l2_role_present(const struct l2_hparams *hp, enum l2_role role)
{
    if (role == L2_T_HEAD)
        return hp->head == L2_HEAD_VOCAB && !hp->tied;
    if (role == L2_T_SCORE)
        return hp->head == L2_HEAD_LABELS;
    if (role >= L2_T_Q_BIAS && role <= L2_T_O_BIAS)
        return hp->attention_bias;
    if (role >= L2_T_GATE_BIAS && role <= L2_T_DOWN_BIAS)
        return hp->mlp_bias;
    return true;
}

void l2_role_shape(const struct l2_hparams *hp, enum l2_role role, uint32_t *rows, uint32_t *cols)
{
    uint32_t q = hp->n_heads * hp->head_dim;
    uint32_t kv = hp->n_kv_heads * hp->head_dim;
    *rows = 1;
    *cols = hp->dim;
    switch (role) {
    case L2_T_EMBED:
    case L2_T_HEAD:
        *rows = hp->vocab_size;
        break;
    case L2_T_Q:
        *rows = q;
        break;
    case L2_T_K:
    case L2_T_V:
        *rows = kv;
        break;
    case L2_T_O:
        *rows = hp->dim;
        *cols = q;
        break;
    case L2_T_GATE:
    case L2_T_UP:
        *rows = hp->hidden;
        break;
    case L2_T_DOWN:
        *rows = hp->dim;
        *cols = hp->hidden;
        break;
    case L2_T_SCORE:
        *rows = hp->n_labels;
        break;
    case L2_T_Q_BIAS:
        *rows = q;
        *cols = 1;
        break;
    case L2_T_K_BIAS:
    case L2_T_V_BIAS:
        *rows = kv;
        *cols = 1;
        break;
    case L2_T_GATE_BIAS:
    case L2_T_UP_BIAS:
        *rows = hp->hidden;
        *cols = 1;
        break;
    case L2_T_O_BIAS:
    case L2_T_DOWN_BIAS:
        *rows = hp->dim;
        *cols = 1;
        break;
    case L2_T_ATTN_NORM:
    case L2_T_FFN_NORM:
    case L2_T_NORM:
    case L2_N_ROLES:
        break;
    }
}

/* File order: the embedding, the layers one after the other, the last norm, the head. */
size_t l2_tensor_count(const struct l2_hparams *hp)
{
    return 2 + (size_t)hp->n_layers * layer_roles(hp) + l2_role_present(hp, L2_T_HEAD) +
           l2_role_present(hp, L2_T_SCORE);
}

void l2_tensor_at(const struct l2_hparams *hp, size_t index, enum l2_role *role, uint32_t *layer)
{
    size_t per_layer = layer_roles(hp), in_layers = (size_t)hp->n_layers * per_layer;
    assert(index < l2_tensor_count(hp));
    *layer = 0;
    if (index == 0) {
        *role = L2_T_EMBED;
    } else if (index <= in_layers) {
        *layer = (uint32_t)((index - 1) / per_layer);
        *role = role_in_layer(hp, (index - 1) % per_layer);
    } else if (index == in_layers + 1) {
        *role = L2_T_NORM;
    } else {
        *role = hp->head == L2_HEAD_LABELS ? L2_T_SCORE : L2_T_HEAD;
    }
}

size_t l2_tensor_index(const struct l2_hparams *hp, enum l2_role role, uint32_t layer)
{
    size_t per_layer = layer_roles(hp), in_layers = (size_t)hp->n_layers * per_layer;
    if (!l2_role_present(hp, role))
        return SIZE_MAX;
    if (role == L2_T_EMBED)
        return 0;
    if (l2_roles[role].per_layer)
        return layer < hp->n_layers ? 1 + layer * per_layer + place_in_layer(hp, role) : SIZE_MAX;
    if (role == L2_T_NORM)
        return in_layers + 1;
    return in_layers + 2;
}

void l2_tensor_name_in(const char *pattern, uint32_t layer, char *out, size_t out_size)
{
    const char *mark = strstr(pattern, "%u");
    if (mark)
        snprintf(out, out_size, "%.*s%u%s", (int)(mark - pattern), pattern, (unsigned)layer,
                 mark + 2);
    else
        snprintf(out, out_size, "%s", pattern);
}

void l2_tensor_name(enum l2_role role, uint32_t layer, char *out, size_t out_size)
{
    l2_tensor_name_in(l2_roles[role].hf, layer, out, out_size);
}

size_t l2_dtype_size(enum l2_dtype t)
{
    assert(t != L2_QUANTISED);
    return t == L2_F32 ? 4 : 2;
}

const char *l2_dtype_name(enum l2_dtype t)
{
    static const char *const names[] = {
        [L2_F32] = "F32", [L2_F16] = "F16", [L2_BF16] = "BF16", [L2_QUANTISED] = "quantised"};
    return names[t];
}

bool l2_dtype_parse(const char *name, enum l2_dtype *out)
{
    for (int t = L2_F32; t <= L2_BF16; t++) {
        *out = (enum l2_dtype)t;
        if (strcmp(name, l2_dtype_name(*out)) == 0)
            return true;
    }
    return false;
}

/* Bytes of n values, whole blocks where t is quantised. */
static size_t values_size(const struct l2_tensor *t, size_t n)
{
    if (t->dtype == L2_QUANTISED)
        return n / t->quant->block_values * t->quant->block_bytes;
    return n * l2_dtype_size(t->dtype);
}

size_t l2_tensor_row_size(const struct l2_tensor *t)
{
    return values_size(t, t->cols);
}

const char *l2_tensor_type_name(const struct l2_tensor *t)
{
    return t->dtype == L2_QUANTISED ? t->quant->name : l2_dtype_name(t->dtype);
}

/* Where row `row` of Hugging Face order lies in a matrix with interleaved rows: head h's row j*hd/2
 * + i (j = 0, 1) is Meta's row 2i + j. */
static uint32_t interleaved_row(uint32_t head_dim, uint32_t row)
{
    uint32_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + 2 * (in_head % half) + in_head / half;
}

const uint8_t *l2_tensor_row_bytes(const struct l2_tensor *t, uint32_t head_dim, uint32_t row)
{
    assert(row < t->rows);
    if (t->interleaved)
        row = interleaved_row(head_dim, row);
    return t->data + row * l2_tensor_row_size(t);
}

void l2_tensor_values(const struct l2_tensor *t, const uint8_t *p, uint32_t first, uint32_t n,
                      float *out)
{
    p += values_size(t, first);
    switch (t->dtype) {
    case L2_F32:
        l2_get_f32le_array(out, p, n);
        break;
    case L2_F16:
        for (uint32_t i = 0; i < n; i++)
            out[i] = l2_f32_from_f16(l2_get_u16le(p + 2 * (size_t)i));
        break;
    case L2_BF16:
        for (uint32_t i = 0; i < n; i++)
            out[i] = l2_f32_from_bf16(l2_get_u16le(p + 2 * (size_t)i));
        break;
    case L2_QUANTISED:
        t->quant->decode(out, p, n / t->quant->block_values);
        break;
    }
}

void l2_tensor_row(const struct l2_tensor *t, uint32_t head_dim, uint32_t row, float *out)
{
    l2_tensor_values(t, l2_tensor_row_bytes(t, head_dim, row), 0, t->cols, out);
}
