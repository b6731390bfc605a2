/* The config.json of a Hugging Face directory, as transformers' LlamaConfig defines its keys and
 * their defaults. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/hf_config.h"

#include <string.h>
#include <unistd.h>

#include "model/hf_keys.h"
#include "model/hf_read.h"
#include "util/jsonfile.h"
#include "util/num.h"

#define MAX_CONFIG ((size_t)16 << 20)

static int check_activation(const json_t *j, const char *file, struct l2_err *err)
{
    const json_t *v = json_object_get(j, "hidden_act");
    const char *name = json_string_value(v);
    if (v && (!name || strcmp(name, "silu") != 0))
        return l2_hf_key_unsupported("hidden_act", v, file, err);
    return L2_OK;
}

/* The number `key` of rope_scaling, which must be there. */
static int rope_number(const json_t *v, const char *key, const char *file, double *out,
                       struct l2_err *err)
{
    if (!json_is_number(json_object_get(v, key)))
        return l2_err_at(err, L2_CORRUPT, file, -1, "rope_scaling: %s is not a number", key);
    return l2_jsonfile_real(v, key, file, out, err);
}

static int read_scaling(const json_t *v, const char *type, const char *file, struct l2_hparams *hp,
                        struct l2_err *err)
{
    int r = rope_number(v, "factor", file, &hp->rope_factor, err);
    if (strcmp(type, "linear") == 0) {
        hp->rope_scaling = L2_ROPE_LINEAR;
        return r;
    }
    hp->rope_scaling = L2_ROPE_LLAMA3;
    if (r == L2_OK)
        r = rope_number(v, "low_freq_factor", file, &hp->rope_low_freq, err);
    if (r == L2_OK)
        r = rope_number(v, "high_freq_factor", file, &hp->rope_high_freq, err);
    if (r == L2_OK)
        r = l2_jsonfile_u32(v, "original_max_position_embeddings", file, &hp->rope_original_context,
                            err);
    return r;
}

/* One of the types of scaling that are understood, as static text, or NULL. Older files name it
 * "type". */
static const char *scaling_type(const json_t *v, bool may_be_absent)
{
    static const char *const keys[] = {"rope_type", "type"};
    static const char *const types[] = {"default", "linear", "llama3"};
    const char *found = may_be_absent ? types[0] : NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *type = json_object_get(v, keys[i]);
        const char *name = json_string_value(type), *known = NULL;
        if (!type)
            continue;
        for (size_t k = 0; name && k < sizeof types / sizeof *types; k++)
            if (strcmp(name, types[k]) == 0)
                known = types[k];
        if (!known || (i > 0 && json_object_get(v, keys[0]) && known != found))
            return NULL;
        found = known;
    }
    return found;
}

/* rope_scaling, and rope_parameters where newer versions put it together with rope_theta. */
static int read_rope(const json_t *j, const char *key, const char *file, struct l2_hparams *hp,
                     struct l2_err *err)
{
    const json_t *v = json_object_get(j, key);
    if (!v || json_is_null(v))
        return L2_OK;
    if (!json_is_object(v))
        return l2_hf_key_unsupported(key, v, file, err);
    const char *type = scaling_type(v, strcmp(key, "rope_parameters") == 0);
    if (!type)
        return l2_hf_key_unsupported(key, v, file, err);
    int r = l2_hf_keys_check_rope(v, key, file, err);
    if (r == L2_OK)
        r = l2_jsonfile_real(v, "rope_theta", file, &hp->rope_theta, err);
    if (r == L2_OK && strcmp(type, "default") != 0)
        r = read_scaling(v, type, file, hp, err);
    return r;
}

/* Mistral is a Llama whose attention may have a window. */
static int read_architecture(const json_t *j, const char *file, struct l2_hparams *hp,
                             bool *mistral, struct l2_err *err)
{
    const json_t *list = json_object_get(j, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (json_array_size(list) != 1 || !name)
        return l2_err_at(err, L2_FORMAT, file, -1,
                         "architectures does not name one model class: not the configuration of a "
                         "language model");
    hp->head = L2_HEAD_VOCAB;
    *mistral = strcmp(name, "MistralForCausalLM") == 0;
    if (strcmp(name, "LlamaForSequenceClassification") == 0)
        hp->head = L2_HEAD_LABELS;
    else if (strcmp(name, "LlamaForCausalLM") != 0 && !*mistral)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "architecture %.80s is not supported: want LlamaForCausalLM, "
                         "LlamaForSequenceClassification or MistralForCausalLM",
                         name);
    const json_t *type = json_object_get(j, "model_type");
    const char *want = *mistral ? "mistral" : "llama";
    if (type && !(json_is_string(type) && strcmp(json_string_value(type), want) == 0))
        return l2_hf_key_unsupported("model_type", type, file, err);
    return L2_OK;
}

static bool is_absent(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return !v || json_is_null(v);
}

static int read_sizes(const json_t *j, const char *file, struct l2_hparams *hp, struct l2_err *err)
{
    const struct {
        const char *key;
        uint32_t *out;
        bool required;
    } keys[] = {
        {"hidden_size", &hp->dim, true},
        {"intermediate_size", &hp->hidden, true},
        {"num_hidden_layers", &hp->n_layers, true},
        {"num_attention_heads", &hp->n_heads, true},
        {"num_key_value_heads", &hp->n_kv_heads, false},
        {"head_dim", &hp->head_dim, false},
        {"vocab_size", &hp->vocab_size, true},
        {"max_position_embeddings", &hp->context, true},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].required && is_absent(j, keys[i].key))
            return l2_err_at(err, L2_CORRUPT, file, -1, "has no %s", keys[i].key);
        int r = l2_jsonfile_u32(j, keys[i].key, file, keys[i].out, err);
        if (r != L2_OK)
            return r;
    }
    if (is_absent(j, "num_key_value_heads"))
        hp->n_kv_heads = hp->n_heads;
    if (is_absent(j, "head_dim") && hp->n_heads > 0) {
        if (hp->dim % hp->n_heads != 0)
            return l2_err_at(err, L2_CORRUPT, file, -1,
                             "has no head_dim, and hidden_size %u is not a multiple of %u heads",
                             (unsigned)hp->dim, (unsigned)hp->n_heads);
        hp->head_dim = hp->dim / hp->n_heads;
    }
    return L2_OK;
}

/* The number of labels is id2label's length, or num_labels, or transformers' default of two. */
static int read_labels(const json_t *j, const char *file, struct l2_hparams *hp, struct l2_err *err)
{
    const json_t *names = json_object_get(j, "id2label");
    uint32_t n = 2;
    if (hp->head != L2_HEAD_LABELS)
        return L2_OK;
    if (json_is_object(names))
        n = (uint32_t)json_object_size(names);
    hp->n_labels = n;
    int r = l2_jsonfile_u32(j, "num_labels", file, &hp->n_labels, err);
    if (r != L2_OK)
        return r;
    if (json_is_object(names) && hp->n_labels != n)
        return l2_err_at(err, L2_CORRUPT, file, -1, "num_labels is %u, but id2label has %u",
                         (unsigned)hp->n_labels, (unsigned)n);
    return L2_OK;
}

/* An id or a list of ids. Absent: left alone; null: none. */
static int read_eos(const json_t *j, const char *file, struct l2_hparams *hp, struct l2_err *err)
{
    const json_t *v = json_object_get(j, "eos_token_id");
    if (!v)
        return L2_OK;
    size_t n = json_is_array(v) ? json_array_size(v) : json_is_null(v) ? 0 : 1;
    if (n > L2_MAX_EOS)
        return l2_err_at(err, L2_LIMIT, file, -1, "eos_token_id has %zu ids, more than %d", n,
                         L2_MAX_EOS);
    hp->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, i) : v;
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= (json_int_t)L2_NO_TOKEN)
            return l2_err_at(err, L2_CORRUPT, file, -1, "eos_token_id is not a token id");
        hp->eos[hp->n_eos++] = (uint32_t)value;
    }
    return L2_OK;
}

/* Biases, which Mistral has none of whatever its configuration says. */
static int read_biases(const json_t *j, const char *file, struct l2_hparams *hp, bool mistral,
                       struct l2_err *err)
{
    int r = l2_jsonfile_bool(j, "attention_bias", file, &hp->attention_bias, err);
    if (r == L2_OK)
        r = l2_jsonfile_bool(j, "mlp_bias", file, &hp->mlp_bias, err);
    if (r == L2_OK && mistral && (hp->attention_bias || hp->mlp_bias))
        r = l2_err_at(err, L2_UNSUPPORTED, file, -1, "%s true is not supported in Mistral",
                      hp->attention_bias ? "attention_bias" : "mlp_bias");
    return r;
}

/* Attention within a window is full attention where the window is not smaller than the context.
 * Mistral has one of 4096 unless it says otherwise. */
static int check_window(const json_t *j, const char *file, const struct l2_hparams *hp,
                        bool mistral, struct l2_err *err)
{
    const json_t *v = json_object_get(j, "sliding_window");
    if (!v && mistral && hp->context > 4096)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "sliding_window is absent, which in Mistral means 4096, and that is not "
                         "supported: want null, or at least the %u positions of the context",
                         (unsigned)hp->context);
    if (!v || json_is_null(v) || json_is_false(json_object_get(j, "use_sliding_window")))
        return L2_OK;
    if (json_is_integer(v) && json_integer_value(v) >= (json_int_t)hp->context)
        return L2_OK;
    return l2_hf_key_unsupported("sliding_window", v, file, err);
}

/* All layers must attend to everything before them. */
static int check_layer_types(const json_t *j, const char *file, struct l2_err *err)
{
    const json_t *list = json_object_get(j, "layer_types"), *v;
    size_t i;
    if (list && !json_is_null(list) && !json_is_array(list))
        return l2_hf_key_unsupported("layer_types", list, file, err);
    json_array_foreach(list, i, v)
    {
        const char *type = json_string_value(v);
        if (!type || strcmp(type, "full_attention") != 0)
            return l2_hf_key_unsupported("layer_types", v, file, err);
    }
    return L2_OK;
}

static int read_config(const json_t *j, const char *file, struct l2_hparams *hp, struct l2_err *err)
{
    double eps = 1e-6;
    bool present = false, mistral = false;
    *hp = (struct l2_hparams){.rope_theta = 10000.0, .bos = 1, .eos = {2}, .n_eos = 1};
    int r = read_architecture(j, file, hp, &mistral, err);
    if (r == L2_OK)
        r = l2_hf_keys_check(j, file, err);
    if (r == L2_OK)
        r = check_activation(j, file, err);
    if (r == L2_OK)
        r = check_layer_types(j, file, err);
    if (r == L2_OK)
        r = read_biases(j, file, hp, mistral, err);
    if (r == L2_OK)
        r = l2_jsonfile_real(j, "rope_theta", file, &hp->rope_theta, err);
    if (r == L2_OK)
        r = read_rope(j, "rope_scaling", file, hp, err);
    if (r == L2_OK)
        r = read_rope(j, "rope_parameters", file, hp, err);
    if (r == L2_OK)
        r = read_sizes(j, file, hp, err);
    if (r == L2_OK && mistral && is_absent(j, "num_key_value_heads"))
        r = l2_err_at(err, L2_CORRUPT, file, -1, "has no num_key_value_heads");
    if (r == L2_OK)
        r = check_window(j, file, hp, mistral, err);
    if (r == L2_OK)
        r = read_labels(j, file, hp, err);
    if (r == L2_OK)
        r = l2_jsonfile_real(j, "rms_norm_eps", file, &eps, err);
    if (r == L2_OK)
        r = l2_jsonfile_bool(j, "tie_word_embeddings", file, &hp->tied, err);
    if (r == L2_OK)
        r = read_eos(j, file, hp, err);
    if (r == L2_OK && json_is_null(json_object_get(j, "bos_token_id")))
        hp->bos = L2_NO_TOKEN;
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "bos_token_id", file, &hp->bos, err);
    if (r == L2_OK)
        r = l2_jsonfile_bool(j, "l2_reward_eos", file, &present, err);
    if (r != L2_OK)
        return r;
    hp->norm_eps = (float)eps;
    if (json_is_boolean(json_object_get(j, "l2_reward_eos")))
        hp->reward_eos = present ? L2_EOS_PRESENT : L2_EOS_ABSENT;
    if (hp->head == L2_HEAD_LABELS)
        hp->tied = false; /* there is no head to tie */
    return L2_OK;
}

/* What transformers' generate() stops at is in a file of its own where that exists. */
static int read_generation_config(const char *dir, struct l2_hparams *hp, struct l2_err *err)
{
    char path[L2_HF_PATH];
    json_t *j;
    int r = l2_hf_path(path, dir, "generation_config.json", err);
    if (r != L2_OK || access(path, F_OK) != 0)
        return r;
    r = l2_jsonfile_read(path, MAX_CONFIG, &j, err);
    if (r == L2_OK && !json_is_null(json_object_get(j, "eos_token_id")))
        r = read_eos(j, path, hp, err);
    json_decref(j);
    return r;
}

int l2_hf_config_read(const char *dir, struct l2_hparams *hp, struct l2_err *err)
{
    char path[L2_HF_PATH];
    json_t *j = NULL;
    int r = l2_hf_path(path, dir, "config.json", err);
    if (r == L2_OK)
        r = l2_jsonfile_read(path, MAX_CONFIG, &j, err);
    if (r == L2_OK)
        r = read_config(j, path, hp, err);
    if (r == L2_OK)
        r = read_generation_config(dir, hp, err);
    if (r == L2_OK)
        r = l2_hparams_check(hp, path, err);
    json_decref(j);
    return r;
}

/* Writing */

static const char *torch_dtype(enum l2_dtype t)
{
    static const char *const names[] = {
        [L2_F32] = "float32", [L2_F16] = "float16", [L2_BF16] = "bfloat16"};
    return names[t];
}

static int write_rope(struct l2_buf *out, const struct l2_hparams *hp, struct l2_err *err)
{
    char factor[32], low[32], high[32];
    if (hp->rope_scaling == L2_ROPE_PLAIN)
        return l2_buf_append_str(out, "  \"rope_scaling\": null,\n", err);
    if (hp->rope_scaling == L2_ROPE_FACTORS)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "RoPE factors of the model's own have no place in a config.json");
    l2_format_f64(factor, hp->rope_factor);
    if (hp->rope_scaling == L2_ROPE_LINEAR)
        return l2_buf_printf(out, err,
                             "  \"rope_scaling\": {\"rope_type\": \"linear\", \"type\": "
                             "\"linear\", \"factor\": %s},\n",
                             factor);
    l2_format_f64(low, hp->rope_low_freq);
    l2_format_f64(high, hp->rope_high_freq);
    return l2_buf_printf(out, err,
                         "  \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": %s, "
                         "\"low_freq_factor\": %s, \"high_freq_factor\": %s, "
                         "\"original_max_position_embeddings\": %u},\n",
                         factor, low, high, (unsigned)hp->rope_original_context);
}

static int write_tokens(struct l2_buf *out, const struct l2_hparams *hp, struct l2_err *err)
{
    int r = hp->bos == L2_NO_TOKEN
                ? l2_buf_append_str(out, "  \"bos_token_id\": null,\n", err)
                : l2_buf_printf(out, err, "  \"bos_token_id\": %u,\n", (unsigned)hp->bos);
    if (r == L2_OK)
        r = l2_buf_append_str(out, "  \"eos_token_id\": ", err);
    if (r == L2_OK && hp->n_eos == 0)
        r = l2_buf_append_str(out, "null", err);
    for (uint32_t i = 0; r == L2_OK && i < hp->n_eos; i++)
        r = l2_buf_printf(out, err, "%s%u%s", hp->n_eos > 1 && i == 0 ? "[" : "",
                          (unsigned)hp->eos[i],
                          i + 1 < hp->n_eos ? ", "
                          : hp->n_eos > 1   ? "]"
                                            : "");
    return r == L2_OK ? l2_buf_append_str(out, ",\n", err) : r;
}

static int write_label_map(struct l2_buf *out, bool by_name, uint32_t n, struct l2_err *err)
{
    int r = l2_buf_append_str(out, by_name ? "  \"label2id\": {" : "  \"id2label\": {", err);
    for (uint32_t i = 0; r == L2_OK && i < n; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (by_name)
            r = l2_buf_printf(out, err, "%s\"LABEL_%u\": %u", comma, (unsigned)i, (unsigned)i);
        else
            r = l2_buf_printf(out, err, "%s\"%u\": \"LABEL_%u\"", comma, (unsigned)i, (unsigned)i);
    }
    return r == L2_OK ? l2_buf_append_str(out, "},\n", err) : r;
}

static int write_labels(struct l2_buf *out, const struct l2_hparams *hp, struct l2_err *err)
{
    if (hp->head != L2_HEAD_LABELS)
        return L2_OK;
    int r = l2_buf_printf(out, err, "  \"num_labels\": %u,\n", (unsigned)hp->n_labels);
    if (r == L2_OK)
        r = write_label_map(out, false, hp->n_labels, err);
    if (r == L2_OK)
        r = write_label_map(out, true, hp->n_labels, err);
    return r;
}

int l2_hf_config_write(struct l2_buf *out, const struct l2_hparams *hp, enum l2_dtype dtype,
                       struct l2_err *err)
{
    char eps[32], theta[32];
    l2_format_f32(eps, hp->norm_eps);
    l2_format_f64(theta, hp->rope_theta);
    int r = l2_buf_printf(
        out, err,
        "{\n"
        "  \"architectures\": [\"%s\"],\n"
        "  \"model_type\": \"llama\",\n"
        "  \"hidden_act\": \"silu\",\n"
        "  \"hidden_size\": %u,\n"
        "  \"intermediate_size\": %u,\n"
        "  \"num_hidden_layers\": %u,\n"
        "  \"num_attention_heads\": %u,\n"
        "  \"num_key_value_heads\": %u,\n"
        "  \"head_dim\": %u,\n"
        "  \"vocab_size\": %u,\n"
        "  \"max_position_embeddings\": %u,\n"
        "  \"rms_norm_eps\": %s,\n"
        "  \"rope_theta\": %s,\n"
        "  \"attention_bias\": %s,\n"
        "  \"mlp_bias\": %s,\n"
        "  \"tie_word_embeddings\": %s,\n",
        hp->head == L2_HEAD_LABELS ? "LlamaForSequenceClassification" : "LlamaForCausalLM",
        (unsigned)hp->dim, (unsigned)hp->hidden, (unsigned)hp->n_layers, (unsigned)hp->n_heads,
        (unsigned)hp->n_kv_heads, (unsigned)hp->head_dim, (unsigned)hp->vocab_size,
        (unsigned)hp->context, eps, theta, hp->attention_bias ? "true" : "false",
        hp->mlp_bias ? "true" : "false", hp->tied ? "true" : "false");
    if (r == L2_OK)
        r = write_rope(out, hp, err);
    if (r == L2_OK)
        r = write_tokens(out, hp, err);
    if (r == L2_OK)
        r = write_labels(out, hp, err);
    if (r == L2_OK && hp->reward_eos != L2_EOS_UNKNOWN)
        r = l2_buf_printf(out, err, "  \"l2_reward_eos\": %s,\n",
                          hp->reward_eos == L2_EOS_PRESENT ? "true" : "false");
    if (r == L2_OK)
        r = l2_buf_printf(out, err, "  \"torch_dtype\": \"%s\"\n}\n", torch_dtype(dtype));
    return r;
}
