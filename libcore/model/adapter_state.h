/* Names that reading and writing adapters share. Private to them. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ADAPTER_STATE_H
#define L2_ADAPTER_STATE_H

#include "model/adapter.h"

#define L2_ADAPTER_CONFIG "adapter_config.json"
#define L2_ADAPTER_FILE   "adapter_model.safetensors"
#define L2_ADAPTER_PREFIX "base_model.model."

/* Projections that can have adapters. */
bool l2_adapter_role(enum l2_role role);
/* "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight"; letter is 'A' or 'B'. */
void l2_adapter_name(enum l2_role role, uint32_t layer, char letter, char *out, size_t size);

#endif
