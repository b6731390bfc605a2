/* Which keys of a config.json may stand there without being read. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/hf_keys.h"

#include <string.h>

/* Keys that are read, with rules of their own. */
static const char *const read_keys[] = {
    "architectures",
    "attention_bias",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "id2label",
    "intermediate_size",
    "l2_reward_eos",
    "layer_types",
    "max_position_embeddings",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_labels",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vocab_size",
};

/* Keys whose value does not change logits: where a model comes from, how it was trained, how it is
 * to be loaded or sampled from, and padding, which there is none of. pretraining_tp only says in
 * how many parts products are computed. */
static const char *const harmless_keys[] = {
    /* origin */
    "_commit_hash",
    "_name_or_path",
    "finetuning_task",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "problem_type",
    "task_specific_params",
    "tokenizer_class",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    /* training */
    "attention_dropout",
    "attn_pdrop",
    "classifier_dropout",
    "embd_pdrop",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "initializer_range",
    "resid_pdrop",
    /* loading, and the form of what a library returns */
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "attn_implementation",
    "chunk_size_feed_forward",
    "dtype",
    "is_decoder",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pretraining_tp",
    "return_dict",
    "return_dict_in_generate",
    "tf_legacy_loss",
    "torch_dtype",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention",
    "use_flash_attn",
    /* lengths and windows that something else, which is read, puts to use */
    "max_sequence_length",
    "max_window_layers",
    "model_max_length",
    "original_max_position_embeddings",
    "tokenizer_model_max_length",
    "tokenizer_padding_side",
    /* tokens that the computation does not ask for */
    "decoder_start_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    /* defaults of a sampler */
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
};

/* Factors, which change nothing where they are 1. */
static const char *const factor_keys[] = {
    "embedding_multiplier",  "logit_scale",         "logits_scaling",
    "partial_rotary_factor", "residual_multiplier", "rotary_pct",
};

static const char *const rope_keys[] = {
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "original_max_position_embeddings",
    "rope_theta",
    "rope_type",
    "type",
};

#define IS_IN(list, key) is_in(list, sizeof(list) / sizeof *(list), key)

static bool is_in(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0)
            return true;
    return false;
}

static bool is_not_used(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(v) == 0.0;
    case JSON_STRING:
        return json_string_length(v) == 0;
    case JSON_ARRAY:
        return json_array_size(v) == 0;
    case JSON_OBJECT:
        return json_object_size(v) == 0;
    default:
        return false;
    }
}

/* Whether a key that is not read has a value that leaves the result as it is. */
static bool is_neutral(const char *key, const json_t *v)
{
    if (IS_IN(factor_keys, key))
        return json_is_null(v) || (json_is_number(v) && json_number_value(v) == 1.0);
    return is_not_used(v);
}

int l2_hf_key_unsupported(const char *key, const json_t *value, const char *file,
                          struct l2_err *err)
{
    char text[128] = "";
    size_t n = json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_COMPACT);
    if (n > sizeof text - 1)
        n = 0; /* too long to show; then text may hold a part of it */
    text[n] = '\0';
    return l2_err_at(err, L2_UNSUPPORTED, file, -1, "%.100s%s%s is not supported", key,
                     n ? " " : "", text);
}

int l2_hf_keys_check(const json_t *j, const char *file, struct l2_err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)j, key, v)
    {
        if (!IS_IN(read_keys, key) && !IS_IN(harmless_keys, key) && !is_neutral(key, v))
            return l2_hf_key_unsupported(key, v, file, err);
    }
    return L2_OK;
}

int l2_hf_keys_check_rope(const json_t *rope, const char *key, const char *file, struct l2_err *err)
{
    const char *member;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)rope, member, v)
    {
        if (!IS_IN(rope_keys, member) && !is_neutral(member, v))
            return l2_hf_key_unsupported(key, rope, file, err);
    }
    return L2_OK;
}
