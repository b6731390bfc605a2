/* Hyper-parameters of a Llama model. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_HPARAMS_H
#define L2_HPARAMS_H

#include <stdbool.h>
#include "util/err.h"

#define L2_MAX_EOS 16

/* Which head stands on the transformer: a vocabulary (LlamaForCausalLM) or labels
 * (LlamaForSequenceClassification; one label is a reward model). */
enum l2_head { L2_HEAD_VOCAB, L2_HEAD_LABELS };

/* Whether a reward model was trained on completions that end in EOS; a property of the model that
 * is never guessed. */
/* How frequencies of the rotary position embedding differ from theta^(-2i/head_dim). LINEAR: all
 * are divided by rope_factor. LLAMA3: low ones are, high ones stay, with a smooth passage between
 * (Llama 3.1). FACTORS: pair i's is divided by rope_factors[i]. */
enum l2_rope_scaling { L2_ROPE_PLAIN, L2_ROPE_LINEAR, L2_ROPE_LLAMA3, L2_ROPE_FACTORS };

#define L2_MAX_ROPE_FACTORS 256

enum l2_eos_convention { L2_EOS_UNKNOWN, L2_EOS_PRESENT, L2_EOS_ABSENT };

struct l2_hparams {
    enum l2_head head;
    uint32_t n_labels; /* rows of score.weight; 0 for L2_HEAD_VOCAB */
    uint32_t dim;      /* width of the residual stream */
    uint32_t hidden;   /* width of the SwiGLU layer */
    uint32_t n_layers;
    uint32_t n_heads;    /* query heads */
    uint32_t n_kv_heads; /* key and value heads; divides n_heads (grouped-query attention) */
    uint32_t head_dim;   /* even */
    uint32_t vocab_size; /* rows of the embedding */
    uint32_t context;    /* positions */
    float norm_eps;
    double rope_theta;
    enum l2_rope_scaling rope_scaling;
    double rope_factor;                      /* LINEAR and LLAMA3 */
    double rope_low_freq, rope_high_freq;    /* LLAMA3: turns within the original context */
    uint32_t rope_original_context;          /* LLAMA3 */
    float rope_factors[L2_MAX_ROPE_FACTORS]; /* FACTORS: (head_dim / 2) */
    bool attention_bias;                     /* Q, K, V and O have biases */
    bool mlp_bias;                           /* gate, up and down have biases */
    bool tied;                               /* the vocabulary head is the embedding */
    uint32_t bos;                            /* L2_NO_TOKEN where unknown */
    uint32_t eos[L2_MAX_EOS];
    uint32_t n_eos;
    enum l2_eos_convention reward_eos;
};

#define L2_NO_TOKEN UINT32_MAX

/* Checks that all sizes are there, agree and multiply without overflow. name is for the message. */
int l2_hparams_check(const struct l2_hparams *hp, const char *name,
                     struct l2_err *err) L2_MUST_CHECK;

/* What pair i's frequency, theta^(-2i/head_dim), is divided by. */
double l2_rope_divisor(const struct l2_hparams *hp, uint32_t pair, double frequency);

/* Parameters in all tensors; and in the matrices that every token is multiplied with. */
uint64_t l2_hparams_parameters(const struct l2_hparams *hp);
uint64_t l2_hparams_matrix_parameters(const struct l2_hparams *hp);

#endif
