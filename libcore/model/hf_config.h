/* The config.json of a Hugging Face directory. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_HF_CONFIG_H
#define L2_HF_CONFIG_H

#include "model/tensors.h"
#include "util/buf.h"

/* Reads dir/config.json, and the EOS ids of dir/generation_config.json where that is there.
 * Architectures other than LlamaForCausalLM, LlamaForSequenceClassification and MistralForCausalLM
 * with full attention (which is a Llama), scaled RoPE other than linear and llama3, and keys that
 * hf_keys.h does not let pass are L2_UNSUPPORTED. hp has passed l2_hparams_check. */
int l2_hf_config_read(const char *dir, struct l2_hparams *hp, struct l2_err *err) L2_MUST_CHECK;

/* Appends a config.json that transformers loads. */
int l2_hf_config_write(struct l2_buf *out, const struct l2_hparams *hp, enum l2_dtype dtype,
                       struct l2_err *err) L2_MUST_CHECK;

#endif
