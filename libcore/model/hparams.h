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
    bool tied;    /* the vocabulary head is the embedding */
    uint32_t bos; /* L2_NO_TOKEN where unknown */
    uint32_t eos[L2_MAX_EOS];
    uint32_t n_eos;
    enum l2_eos_convention reward_eos;
};

#define L2_NO_TOKEN UINT32_MAX

/* Checks that all sizes are there, agree and multiply without overflow. name is for the message. */
int l2_hparams_check(const struct l2_hparams *hp, const char *name,
                     struct l2_err *err) L2_MUST_CHECK;

/* Parameters in all tensors; and in the matrices that every token is multiplied with. */
uint64_t l2_hparams_parameters(const struct l2_hparams *hp);
uint64_t l2_hparams_matrix_parameters(const struct l2_hparams *hp);

#endif
