/* Unit tests of config.json: what is read, what may stand there unread, and what is refused. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/hf_config.h"
#include "model/model.h"
#include "model_files.h"
#include "scratch.h"

/* What changes nothing, or is another way to say what l2 does. */
static void test_config_accepted(void **state)
{
    static const char *const more[] = {
        "",
        "\"rope_scaling\": null",
        "\"rope_scaling\": {\"rope_type\": \"default\"}",
        "\"rope_scaling\": {\"type\": \"default\"}",
        "\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}",
        "\"rope_parameters\": {\"rope_theta\": 10000}",
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}",
        ("\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}"),
        "\"architectures\": [\"MistralForCausalLM\"], \"model_type\": \"mistral\"",
        "\"layer_types\": [\"full_attention\", \"full_attention\"]",
        "\"attention_bias\": false, \"mlp_bias\": false, \"hidden_act\": \"silu\"",
        "\"attention_bias\": null, \"head_dim\": null, \"rope_theta\": null",
        "\"partial_rotary_factor\": 1.0",
        "\"sliding_window\": null",
        "\"sliding_window\": 12",
        "\"sliding_window\": 4, \"use_sliding_window\": false",
        "\"pretraining_tp\": 1, \"use_cache\": true, \"transformers_version\": \"4.31.0\"",
        "\"eos_token_id\": [2, 3, 4], \"bos_token_id\": null, \"pad_token_id\": -1",
        "\"eos_token_id\": null",
        "\"pretraining_tp\": 2, \"attention_dropout\": 0.1, \"max_sequence_length\": 2048",
        "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0, \"finetuned\": false}",
        /* not known, and not used */
        "\"a\": null, \"b\": false, \"c\": 0, \"d\": 0.0, \"e\": \"\", \"f\": [], \"g\": {}",
        "\"layer_types\": null",
        "\"logit_scale\": 1, \"residual_multiplier\": 1.0, \"embedding_multiplier\": null",
    };
    (void)state;
    model_copy(scratch, "hf-f32", "model.safetensors");
    /* the reward model's file has a score that this one has no place for */
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        struct l2_err err;
        model_write_config(scratch, more[i]);
        if (model_try(scratch, &err) != L2_OK)
            fail_msg("%s: %s", more[i], err.text);
    }
}

static void test_config_refused(void **state)
{
    static const struct {
        const char *more;
        int code;
        const char *text;
    } cases[] = {
        {"\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}", L2_UNSUPPORTED,
         "rope_scaling {\"type\":\"dynamic\",\"factor\":2.0} is not supported"},
        {"\"rope_scaling\": {\"type\": \"linear\"}", L2_CORRUPT, "factor is not a number"},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", L2_CORRUPT,
         "scaling factor 0 is not above 0"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}",
         L2_CORRUPT, "original context of RoPE is 0"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}",
         L2_CORRUPT, "from frequency factor 4 to 4"},
        {"\"rope_scaling\": {\"factor\": 2.0}", L2_UNSUPPORTED, "rope_scaling"},
        {"\"rope_scaling\": {\"rope_type\": \"default\", \"type\": \"yarn\"}", L2_UNSUPPORTED,
         "rope_scaling"},
        {"\"rope_scaling\": 2", L2_UNSUPPORTED, "rope_scaling"},
        {"\"rope_parameters\": {\"rope_type\": \"llama3\"}", L2_CORRUPT, "factor is not a number"},
        {"\"rope_parameters\": {\"rope_type\": \"longrope\"}", L2_UNSUPPORTED, "rope_parameters"},
        {"\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", L2_UNSUPPORTED,
         "rope_parameters"},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5e5}}", L2_UNSUPPORTED,
         "rope_parameters"},
        {"\"attention_bias\": true", L2_CORRUPT,
         "has no tensor model.layers.0.self_attn.q_proj.bias"},
        {"\"mlp_bias\": true", L2_CORRUPT, "has no tensor model.layers.0.mlp.gate_proj.bias"},
        {"\"mlp_bias\": 1", L2_CORRUPT, "mlp_bias is not true or false"},
        {"\"layer_types\": [\"full_attention\", \"sliding_attention\"]", L2_UNSUPPORTED,
         "layer_types \"sliding_attention\""},
        {"\"hidden_act\": \"gelu\"", L2_UNSUPPORTED, "hidden_act \"gelu\" is not supported"},
        {"\"hidden_act\": 3", L2_UNSUPPORTED, "hidden_act"},
        {"\"partial_rotary_factor\": 0.5", L2_UNSUPPORTED, "partial_rotary_factor"},
        {"\"quantization_config\": {\"bits\": 4}", L2_UNSUPPORTED, "quantization_config"},
        {"\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, \"modules\": "
         "[\"self_attn.k_proj\", \"self_attn.v_proj\", \"self_attn.q_proj\", "
         "\"self_attn.o_proj\", \"mlp.up_proj\", \"mlp.gate_proj\"]}",
         L2_UNSUPPORTED, "config.json: quantization_config is not supported"},
        {"\"final_logit_softcapping\": 30.0", L2_UNSUPPORTED,
         "final_logit_softcapping 30.0 is not supported"},
        {"\"attn_logit_softcapping\": 50", L2_UNSUPPORTED, "attn_logit_softcapping 50"},
        {"\"use_parallel_residual\": true", L2_UNSUPPORTED, "use_parallel_residual true"},
        {"\"qkv_bias\": true", L2_UNSUPPORTED, "qkv_bias true"},
        {"\"use_qk_norm\": true", L2_UNSUPPORTED, "use_qk_norm true"},
        {"\"rope_interleaved\": true", L2_UNSUPPORTED, "rope_interleaved true"},
        {"\"logit_scale\": 0.0625", L2_UNSUPPORTED, "logit_scale 0.0625"},
        {"\"residual_multiplier\": 0", L2_UNSUPPORTED, "residual_multiplier 0"},
        {"\"no_rope_layers\": [1, 0]", L2_UNSUPPORTED, "no_rope_layers [1,0]"},
        {"\"auto_map\": {\"AutoModel\": \"modeling.Mine\"}", L2_UNSUPPORTED, "auto_map"},
        {"\"pruned_heads\": {\"0\": [1]}", L2_UNSUPPORTED, "pruned_heads"},
        {"\"a_new_key\": \"on\"", L2_UNSUPPORTED, "a_new_key \"on\" is not supported"},
        {"\"layer_types\": \"full_attention\"", L2_UNSUPPORTED, "layer_types \"full_attention\""},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"mscale\": 0.5}", L2_UNSUPPORTED,
         "rope_scaling {\"type\":\"linear\",\"factor\":2,\"mscale\":0.5} is not supported"},
        {"\"num_local_experts\": 8", L2_UNSUPPORTED, "num_local_experts"},
        {"\"sliding_window\": 11", L2_UNSUPPORTED, "sliding_window 11"},
        {"\"architectures\": [\"MixtralForCausalLM\"]", L2_UNSUPPORTED, "MixtralForCausalLM"},
        {"\"architectures\": [\"MistralForCausalLM\"], \"model_type\": \"mistral\", "
         "\"sliding_window\": 11",
         L2_UNSUPPORTED, "sliding_window 11"},
        {"\"architectures\": [\"MistralForCausalLM\"], \"attention_bias\": true", L2_UNSUPPORTED,
         "attention_bias"},
        {"\"architectures\": []", L2_FORMAT, "architectures"},
        {"\"architectures\": \"LlamaForCausalLM\"", L2_FORMAT, "architectures"},
        {"\"vocab_size\": 11", L2_CORRUPT, "duplicate"},
        {"\"rope_theta\": \"x\"", L2_CORRUPT, "rope_theta is not a number"},
        {"\"rope_theta\": -1", L2_CORRUPT, "rope_theta"},
        {"\"rope_theta\": 1e999", L2_CORRUPT, ""},
        {"\"tie_word_embeddings\": 1", L2_CORRUPT, "tie_word_embeddings"},
        {"\"head_dim\": -4", L2_CORRUPT, "head_dim is -4"},
        {"\"head_dim\": 0", L2_CORRUPT, "head_dim is 0"},
        {"\"head_dim\": 4.0", L2_CORRUPT, "head_dim is not an integer"},
        {"\"head_dim\": 4294967296", L2_CORRUPT, "head_dim is 4294967296"},
        {"\"head_dim\": 99999999999999999999", L2_CORRUPT, ""},
        {"\"head_dim\": 2", L2_CORRUPT, "want shape (2, 8), got (4, 8)"},
        {"\"eos_token_id\": -1", L2_CORRUPT, "eos_token_id"},
        {"\"eos_token_id\": [1, \"a\"]", L2_CORRUPT, "eos_token_id"},
        {"\"eos_token_id\": 10", L2_CORRUPT, "EOS is token 10, but the vocabulary has 10"},
        {"\"eos_token_id\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", L2_LIMIT, "17 ids"},
        {"\"bos_token_id\": 10", L2_CORRUPT, "BOS"},
        {"\"architectures\": [\"LlamaForSequenceClassification\"]", L2_CORRUPT,
         "has no tensor score.weight"},
        {"\"architectures\": [\"LlamaForSequenceClassification\"], \"num_labels\": 2, "
         "\"id2label\": {\"0\": \"a\"}",
         L2_CORRUPT, "num_labels is 2, but id2label has 1"},
    };
    (void)state;
    model_copy(scratch, "hf-f32", "model.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_write_config(scratch, cases[i].more);
        assert_model_fails(scratch, cases[i].code, cases[i].text);
    }
    scratch_write_str(scratch, "config.json",
                      "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 8}");
    assert_model_fails(scratch, L2_CORRUPT, "has no intermediate_size");
    scratch_write_str(scratch, "config.json", "[]");
    assert_model_fails(scratch, L2_FORMAT, "not a JSON object");
    scratch_write_str(scratch, "config.json", "");
    assert_model_fails(scratch, L2_TRUNCATED, "ends before");
    /* a layer count that would need terabytes for its table */
    model_write_config(scratch, "\"num_hidden_layers_\": 1");
    char text[1024];
    snprintf(text, sizeof text,
             "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 8, "
             "\"intermediate_size\": 6, \"num_hidden_layers\": 4000000000, "
             "\"num_attention_heads\": 2, \"vocab_size\": 10, \"max_position_embeddings\": 12}");
    scratch_write_str(scratch, "config.json", text);
    assert_model_fails(scratch, L2_LIMIT, "n_layers is 4000000000");
}

static void test_generation_config(void **state)
{
    struct l2_model *m;
    struct l2_err err;
    (void)state;
    model_copy(scratch, "hf-f32", "model.safetensors");
    model_copy(scratch, "hf-f32", "config.json");
    scratch_write_str(scratch, "generation_config.json", "{\"eos_token_id\": [5, 6]}");
    assert_int_equal(l2_model_open(&m, scratch, &err), L2_OK);
    assert_int_equal(m->hp.n_eos, 2);
    assert_int_equal(m->hp.eos[0], 5);
    l2_model_close(m);
    scratch_write_str(scratch, "generation_config.json", "{\"temperature\": 0.6}");
    assert_int_equal(l2_model_open(&m, scratch, &err), L2_OK);
    assert_int_equal(m->hp.n_eos, 1);
    assert_int_equal(m->hp.eos[0], 2);
    l2_model_close(m);
    scratch_write_str(scratch, "generation_config.json", "{\"eos_token_id\": 700}");
    assert_model_fails(scratch, L2_CORRUPT, "EOS is token 700");
    scratch_write_str(scratch, "generation_config.json", "{\"eos_token_id\":");
    assert_model_fails(scratch, L2_TRUNCATED, "generation_config.json");
}

/* The keys of checkpoints that people have, with the values that they have there. */
static void test_config_of_the_field(void **state)
{
    static const struct {
        const char *name, *text;
        struct {
            uint32_t n_kv_heads, head_dim, context, bos, n_eos;
            bool tied;
            enum l2_rope_scaling scaling;
        } want;
    } files[] = {
        {"Llama 1",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, "
         "\"hidden_act\": \"silu\", \"hidden_size\": 4096, \"intermediate_size\": 11008, "
         "\"initializer_range\": 0.02, \"max_sequence_length\": 2048, "
         "\"max_position_embeddings\": 2048, \"model_type\": \"llama\", "
         "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"pad_token_id\": -1, "
         "\"rms_norm_eps\": 1e-06, \"tie_word_embeddings\": false, \"torch_dtype\": \"float16\", "
         "\"transformers_version\": \"4.28.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}",
         {32, 128, 2048, 1, 1, false, L2_ROPE_PLAIN}},
        {"Llama 2 70b",
         "{\"_name_or_path\": \"meta-llama/Llama-2-70b-hf\", \"architectures\": "
         "[\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": "
         "\"silu\", \"hidden_size\": 8192, \"initializer_range\": 0.02, \"intermediate_size\": "
         "28672, \"max_position_embeddings\": 4096, \"model_type\": \"llama\", "
         "\"num_attention_heads\": 64, \"num_hidden_layers\": 80, \"num_key_value_heads\": 8, "
         "\"pad_token_id\": 0, \"pretraining_tp\": 8, \"rms_norm_eps\": 1e-05, \"rope_scaling\": "
         "null, \"tie_word_embeddings\": false, \"torch_dtype\": \"float16\", "
         "\"transformers_version\": \"4.31.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}",
         {8, 128, 4096, 1, 1, false, L2_ROPE_PLAIN}},
        {"Llama 3 8B",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, "
         "\"attention_dropout\": 0.0, \"bos_token_id\": 128000, \"eos_token_id\": 128001, "
         "\"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02, "
         "\"intermediate_size\": 14336, \"max_position_embeddings\": 8192, \"model_type\": "
         "\"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32, "
         "\"num_key_value_heads\": 8, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, "
         "\"rope_scaling\": null, \"rope_theta\": 500000.0, \"tie_word_embeddings\": false, "
         "\"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.0.dev0\", \"use_cache\": "
         "true, \"vocab_size\": 128256}",
         {8, 128, 8192, 128000, 1, false, L2_ROPE_PLAIN}},
        {"Llama 3.2 1B",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, "
         "\"attention_dropout\": 0.0, \"bos_token_id\": 128000, \"eos_token_id\": [128001, 128008, "
         "128009], \"head_dim\": 64, \"hidden_act\": \"silu\", \"hidden_size\": 2048, "
         "\"initializer_range\": 0.02, \"intermediate_size\": 8192, \"max_position_embeddings\": "
         "131072, \"mlp_bias\": false, \"model_type\": \"llama\", \"num_attention_heads\": 32, "
         "\"num_hidden_layers\": 16, \"num_key_value_heads\": 8, \"pretraining_tp\": 1, "
         "\"rms_norm_eps\": 1e-05, \"rope_scaling\": {\"factor\": 32.0, \"high_freq_factor\": 4.0, "
         "\"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192, \"rope_type\": "
         "\"llama3\"}, \"rope_theta\": 500000.0, \"tie_word_embeddings\": true, \"torch_dtype\": "
         "\"bfloat16\", \"transformers_version\": \"4.45.0.dev0\", \"use_cache\": true, "
         "\"vocab_size\": 128256}",
         {8, 64, 131072, 128000, 3, true, L2_ROPE_LLAMA3}},
        {"TinyLlama",
         "{\"_name_or_path\": \"x\", \"architectures\": [\"LlamaForCausalLM\"], "
         "\"attention_bias\": false, \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": "
         "\"silu\", \"hidden_size\": 2048, \"initializer_range\": 0.02, \"intermediate_size\": "
         "5632, \"max_position_embeddings\": 2048, \"model_type\": \"llama\", "
         "\"num_attention_heads\": 32, \"num_hidden_layers\": 22, \"num_key_value_heads\": 4, "
         "\"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, \"rope_scaling\": null, \"rope_theta\": "
         "10000.0, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", "
         "\"transformers_version\": \"4.35.0\", \"use_cache\": true, \"vocab_size\": 32000}",
         {4, 64, 2048, 1, 1, false, L2_ROPE_PLAIN}},
        {"SmolLM2",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, "
         "\"attention_dropout\": 0.0, \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": "
         "\"silu\", \"hidden_size\": 576, \"initializer_range\": 0.041666666666666664, "
         "\"intermediate_size\": 1536, \"is_llama_config\": true, \"max_position_embeddings\": "
         "8192, \"mlp_bias\": false, \"model_type\": \"llama\", \"num_attention_heads\": 9, "
         "\"num_hidden_layers\": 30, \"num_key_value_heads\": 3, \"pad_token_id\": 2, "
         "\"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, \"rope_interleaved\": false, "
         "\"rope_scaling\": null, \"rope_theta\": 100000, \"tie_word_embeddings\": true, "
         "\"torch_dtype\": \"bfloat16\", \"transformers.js_config\": {\"kv_cache_dtype\": "
         "{\"q4f16\": \"float16\"}}, \"transformers_version\": \"4.42.3\", \"use_cache\": true, "
         "\"vocab_size\": 49152}",
         {3, 64, 8192, 1, 1, true, L2_ROPE_PLAIN}},
        {"Mistral v0.3",
         "{\"architectures\": [\"MistralForCausalLM\"], \"attention_dropout\": 0.0, "
         "\"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": "
         "4096, \"initializer_range\": 0.02, \"intermediate_size\": 14336, "
         "\"max_position_embeddings\": 32768, \"model_type\": \"mistral\", "
         "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, "
         "\"rms_norm_eps\": 1e-05, \"rope_theta\": 1000000.0, \"sliding_window\": null, "
         "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", "
         "\"transformers_version\": \"4.42.0.dev0\", \"use_cache\": true, \"vocab_size\": 32768}",
         {8, 128, 32768, 1, 1, false, L2_ROPE_PLAIN}},
        {"OpenLLaMA 3B",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, "
         "\"hidden_act\": \"silu\", \"hidden_size\": 3200, \"initializer_range\": 0.02, "
         "\"intermediate_size\": 8640, \"max_position_embeddings\": 2048, \"model_type\": "
         "\"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 26, \"pad_token_id\": "
         "0, \"rms_norm_eps\": 1e-06, \"tie_word_embeddings\": false, \"torch_dtype\": "
         "\"float16\", \"transformers_version\": \"4.30.0.dev0\", \"use_cache\": true, "
         "\"vocab_size\": 32000}",
         {32, 100, 2048, 1, 1, false, L2_ROPE_PLAIN}},
        {"a recent version's",
         "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"dtype\": "
         "\"bfloat16\", \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": 2048, "
         "\"intermediate_size\": 8192, \"layer_types\": [\"full_attention\"], "
         "\"max_position_embeddings\": 8192, \"model_type\": \"llama\", \"num_attention_heads\": "
         "32, \"num_hidden_layers\": 1, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05, "
         "\"rope_parameters\": {\"factor\": 32.0, \"high_freq_factor\": 4.0, \"low_freq_factor\": "
         "1.0, \"original_max_position_embeddings\": 8192, \"rope_theta\": 500000.0, "
         "\"rope_type\": "
         "\"llama3\"}, \"transformers_version\": \"5.0.0\", \"use_cache\": true, "
         "\"vocab_size\": 128256}",
         {8, 64, 8192, 1, 1, false, L2_ROPE_LLAMA3}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct l2_hparams hp;
        struct l2_err err;
        scratch_write_str(scratch, "config.json", files[i].text);
        if (l2_hf_config_read(scratch, &hp, &err) != L2_OK)
            fail_msg("%s: %s", files[i].name, err.text);
        assert_int_equal(hp.n_kv_heads, files[i].want.n_kv_heads);
        assert_int_equal(hp.head_dim, files[i].want.head_dim);
        assert_int_equal(hp.context, files[i].want.context);
        assert_int_equal(hp.bos, files[i].want.bos);
        assert_int_equal(hp.n_eos, files[i].want.n_eos);
        assert_int_equal(hp.tied, files[i].want.tied);
        assert_int_equal(hp.rope_scaling, files[i].want.scaling);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_config_accepted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_config_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_config_of_the_field, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_generation_config, scratch_setup, scratch_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
