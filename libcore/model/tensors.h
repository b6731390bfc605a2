/* The one table that describes a Llama model's tensors. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_TENSORS_H
#define L2_TENSORS_H

#include "model/hparams.h"
#include "model/quant.h"

enum l2_role {
    L2_T_EMBED,     /* (vocab_size, dim) */
    L2_T_ATTN_NORM, /* (1, dim), a layer */
    L2_T_Q,         /* (n_heads * head_dim, dim) */
    L2_T_K,         /* (n_kv_heads * head_dim, dim) */
    L2_T_V,         /* (n_kv_heads * head_dim, dim) */
    L2_T_O,         /* (dim, n_heads * head_dim) */
    L2_T_FFN_NORM,  /* (1, dim) */
    L2_T_GATE,      /* (hidden, dim) */
    L2_T_UP,        /* (hidden, dim) */
    L2_T_DOWN,      /* (dim, hidden) */
    L2_T_Q_BIAS,    /* (n_heads * head_dim, 1), where attention_bias */
    L2_T_K_BIAS,    /* (n_kv_heads * head_dim, 1) */
    L2_T_V_BIAS,    /* (n_kv_heads * head_dim, 1) */
    L2_T_O_BIAS,    /* (dim, 1) */
    L2_T_GATE_BIAS, /* (hidden, 1), where mlp_bias */
    L2_T_UP_BIAS,   /* (hidden, 1) */
    L2_T_DOWN_BIAS, /* (dim, 1) */
    L2_T_NORM,      /* (1, dim) */
    L2_T_HEAD,      /* (vocab_size, dim) */
    L2_T_SCORE,     /* (n_labels, dim) */
    L2_N_ROLES
};

/* Matrices are (rows, cols) row-major with y = W x. Norms have one row and biases one column, so
 * that rows of Q and K are ordered as their biases are; both have one dimension on disk. */
struct l2_role_info {
    bool per_layer;
    bool decayed;                 /* weight decay applies: a matrix, two dimensions */
    const char *hf, *meta, *gguf; /* names; per layer with %u for the layer */
};
extern const struct l2_role_info l2_roles[L2_N_ROLES];

/* True when a model of these hyper-parameters has the tensor on disk (no head when tied, ...). */
bool l2_role_present(const struct l2_hparams *hp, enum l2_role role);
void l2_role_shape(const struct l2_hparams *hp, enum l2_role role, uint32_t *rows, uint32_t *cols);

/* All tensors in file order: index runs over [0, l2_tensor_count(hp)). */
size_t l2_tensor_count(const struct l2_hparams *hp);
void l2_tensor_at(const struct l2_hparams *hp, size_t index, enum l2_role *role, uint32_t *layer);
/* SIZE_MAX when the model has no such tensor. layer is 0 for roles that are not per layer. */
size_t l2_tensor_index(const struct l2_hparams *hp, enum l2_role role, uint32_t layer);

/* A name out of l2_roles with the layer put in; and the Hugging Face name. */
void l2_tensor_name_in(const char *pattern, uint32_t layer, char *out, size_t out_size);
void l2_tensor_name(enum l2_role role, uint32_t layer, char *out, size_t out_size);

/* Quantised tensors are read, and computed with in F32. */
enum l2_dtype { L2_F32, L2_F16, L2_BF16, L2_QUANTISED };
size_t l2_dtype_size(enum l2_dtype t);      /* bytes of a value; not of L2_QUANTISED */
const char *l2_dtype_name(enum l2_dtype t); /* "F32", ... */
/* True where name is that of F32, F16 or BF16. */
bool l2_dtype_parse(const char *name, enum l2_dtype *out);

/* A byte view into a mapped file; data has any alignment. */
struct l2_tensor {
    enum l2_dtype dtype;
    const struct l2_quant *quant; /* where dtype is L2_QUANTISED; rows are whole blocks */
    uint32_t rows, cols;
    const uint8_t *data; /* rows * cols values, row-major, little-endian; borrowed */
    bool interleaved; /* rows of Q and K pair (2i, 2i+1) for RoPE, as Meta and llama2.c have them;
                         else (i, i + head_dim/2), as Hugging Face does */
};

/* Bytes of a row. "F32", "Q4_K", ... */
size_t l2_tensor_row_size(const struct l2_tensor *t);
const char *l2_tensor_type_name(const struct l2_tensor *t);

/* Where row number row of t in Hugging Face order lies. head_dim is used where the rows are
 * interleaved. */
const uint8_t *l2_tensor_row_bytes(const struct l2_tensor *t, uint32_t head_dim, uint32_t row);

/* Values [first, first + n) of the row at p, converted, into out; first is a multiple of 256, and
 * first + n one too, or cols. */
void l2_tensor_values(const struct l2_tensor *t, const uint8_t *p, uint32_t first, uint32_t n,
                      float *out);

/* Row number row of t in Hugging Face order, converted, into out[0..cols). */
void l2_tensor_row(const struct l2_tensor *t, uint32_t head_dim, uint32_t row, float *out);

#endif
