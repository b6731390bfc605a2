/* Reading models from GGUF files: metadata keys, tensor names and types of the llama architecture.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/gguf_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/gguf.h"
#include "util/num.h"

/* ggml's numbers for the types that are no blocks. */
enum { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_BF16 = 30 };

/* Keys of the llama architecture that are read below, or that say nothing new. */
static const char *const known_keys[] = {
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.rope.freq_base",
    "llama.rope.dimension_count",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.finetuned",
    "llama.rope.scale_linear",
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.vocab_size",
    NULL,
};

static int check_keys(const struct l2_gguf *g, struct l2_err *err)
{
    struct l2_gguf_str s;
    bool found;
    int r = l2_gguf_get_str(g, "general.architecture", &s, &found, err);
    if (r != L2_OK)
        return r;
    if (!found || !l2_gguf_str_is(s, "llama"))
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1,
                         "architecture %.*s is not supported: want llama",
                         found ? (int)(s.n < 60 ? s.n : 60) : 7, found ? s.s : "unknown");
    for (size_t i = 0; i < g->n_values; i++) {
        struct l2_gguf_str key = g->values[i].key;
        bool known = key.n < 6 || memcmp(key.s, "llama.", 6) != 0;
        for (const char *const *k = known_keys; *k && !known; k++)
            known = l2_gguf_str_is(key, *k);
        if (!known)
            return l2_err_at(err, L2_UNSUPPORTED, g->map->name, g->values[i].offset,
                             "metadata key %.*s is not supported", (int)(key.n < 100 ? key.n : 100),
                             key.s);
    }
    return L2_OK;
}

/* Older files have only scale_linear; the type is linear where none is given, as in llama.cpp. */
static int read_scaling(const struct l2_gguf *g, struct l2_hparams *hp, struct l2_err *err)
{
    struct l2_gguf_str type = {"linear", 6};
    bool found, ignored;
    double factor = 0;
    int r = l2_gguf_get_f64(g, "llama.rope.scale_linear", &factor, &ignored, err);
    if (r == L2_OK)
        r = l2_gguf_get_f64(g, "llama.rope.scaling.factor", &factor, &ignored, err);
    if (r == L2_OK)
        r = l2_gguf_get_str(g, "llama.rope.scaling.type", &type, &found, err);
    if (r != L2_OK || l2_gguf_str_is(type, "none"))
        return r;
    if (!l2_gguf_str_is(type, "linear"))
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1,
                         "llama.rope.scaling.type %.*s is not supported: want none or linear",
                         (int)(type.n < 60 ? type.n : 60), type.s);
    if (factor != 0 && factor != 1) {
        hp->rope_scaling = L2_ROPE_LINEAR;
        hp->rope_factor = factor;
    }
    return L2_OK;
}

static int need_u32(const struct l2_gguf *g, const char *key, uint32_t *out, struct l2_err *err)
{
    bool found;
    int r = l2_gguf_get_u32(g, key, out, &found, err);
    if (r == L2_OK && !found)
        r = l2_err_at(err, L2_CORRUPT, g->map->name, -1, "metadata key %s is missing", key);
    return r;
}

/* A number that must be hp's where it is given. */
static int agree_u32(const struct l2_gguf *g, const char *key, uint32_t want, struct l2_err *err)
{
    uint32_t got = want;
    bool found;
    int r = l2_gguf_get_u32(g, key, &got, &found, err);
    if (r == L2_OK && got != want)
        r = l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1, "%s is %u: want %u", key,
                      (unsigned)got, (unsigned)want);
    return r;
}

static int read_sizes(const struct l2_gguf *g, struct l2_hparams *hp, struct l2_err *err)
{
    bool found;
    int r = need_u32(g, "llama.context_length", &hp->context, err);
    if (r == L2_OK)
        r = need_u32(g, "llama.embedding_length", &hp->dim, err);
    if (r == L2_OK)
        r = need_u32(g, "llama.block_count", &hp->n_layers, err);
    if (r == L2_OK)
        r = need_u32(g, "llama.feed_forward_length", &hp->hidden, err);
    if (r == L2_OK)
        r = need_u32(g, "llama.attention.head_count", &hp->n_heads, err);
    hp->n_kv_heads = hp->n_heads;
    if (r == L2_OK)
        r = l2_gguf_get_u32(g, "llama.attention.head_count_kv", &hp->n_kv_heads, &found, err);
    if (r != L2_OK)
        return r;
    if (hp->n_heads == 0 || hp->n_kv_heads == 0)
        return l2_err_at(err, L2_CORRUPT, g->map->name, -1, "a number of heads is 0");
    hp->head_dim = hp->dim / hp->n_heads;
    r = l2_gguf_get_u32(g, "llama.attention.key_length", &hp->head_dim, &found, err);
    if (r == L2_OK)
        r = agree_u32(g, "llama.attention.value_length", hp->head_dim, err);
    if (r == L2_OK)
        r = agree_u32(g, "llama.rope.dimension_count", hp->head_dim, err);
    if (r == L2_OK)
        r = agree_u32(g, "llama.expert_count", 0, err);
    return r;
}

static int read_reals(const struct l2_gguf *g, struct l2_hparams *hp, struct l2_err *err)
{
    double eps = 0;
    bool found;
    int r = l2_gguf_get_f64(g, "llama.attention.layer_norm_rms_epsilon", &eps, &found, err);
    if (r == L2_OK && !found)
        r = l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                      "metadata key llama.attention.layer_norm_rms_epsilon is missing");
    hp->norm_eps = (float)eps;
    hp->rope_theta = 10000;
    if (r == L2_OK)
        r = l2_gguf_get_f64(g, "llama.rope.freq_base", &hp->rope_theta, &found, err);
    if (r == L2_OK)
        r = read_scaling(g, hp, err);
    return r;
}

static int read_specials(const struct l2_gguf *g, struct l2_hparams *hp, struct l2_err *err)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    bool found;
    hp->bos = L2_NO_TOKEN;
    int r = l2_gguf_get_u32(g, "tokenizer.ggml.bos_token_id", &hp->bos, &found, err);
    for (size_t i = 0; i < sizeof ends / sizeof *ends && r == L2_OK; i++) {
        r = l2_gguf_get_u32(g, ends[i], &hp->eos[hp->n_eos], &found, err);
        hp->n_eos += r == L2_OK && found;
    }
    return r;
}

/* ---- tensors ---- */

/* The type; t->cols is known. */
static int tensor_type(const struct l2_gguf *g, const struct l2_gguf_tensor *info,
                       struct l2_tensor *t, struct l2_err *err)
{
    int n = (int)(info->name.n < 100 ? info->name.n : 100);
    switch (info->type) {
    case TYPE_F32:
        t->dtype = L2_F32;
        break;
    case TYPE_F16:
        t->dtype = L2_F16;
        break;
    case TYPE_BF16:
        t->dtype = L2_BF16;
        break;
    default:
        t->dtype = L2_QUANTISED;
        t->quant = l2_quant_by_ggml_type(info->type);
        if (!t->quant)
            return l2_err_at(err, L2_UNSUPPORTED, g->map->name, -1,
                             "tensor %.*s: ggml type %u is not supported", n, info->name.s,
                             (unsigned)info->type);
        if (t->cols % t->quant->block_values != 0)
            return l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                             "tensor %.*s: rows of %u are not whole blocks of %u", n, info->name.s,
                             (unsigned)t->cols, (unsigned)t->quant->block_values);
    }
    return L2_OK;
}

static int read_tensor(struct l2_model *m, const struct l2_gguf *g,
                       const struct l2_gguf_tensor *info, size_t index, struct l2_err *err)
{
    struct l2_tensor *t = &m->tensors[index];
    enum l2_role role;
    uint32_t layer;
    size_t bytes;
    l2_tensor_at(&m->hp, index, &role, &layer);
    l2_role_shape(&m->hp, role, &t->rows, &t->cols);
    uint64_t fast = t->cols, slow = t->rows;
    if (!l2_roles[role].decayed) {
        fast = (uint64_t)t->rows * t->cols;
        slow = 1;
    }
    if (info->shape[0] != fast || info->shape[1] != slow || info->shape[2] != 1 ||
        info->shape[3] != 1)
        return l2_err_at(err, L2_CORRUPT, g->map->name, -1,
                         "tensor %.*s: want %u x %u, got %llu x %llu", (int)info->name.n,
                         info->name.s, (unsigned)slow, (unsigned)fast,
                         (unsigned long long)info->shape[1], (unsigned long long)info->shape[0]);
    int r = tensor_type(g, info, t, err);
    if (r != L2_OK)
        return r;
    if (!l2_mul_size(l2_tensor_row_size(t), t->rows, &bytes) || bytes > g->map->size - info->offset)
        return l2_err_at(err, L2_TRUNCATED, g->map->name, (int64_t)info->offset,
                         "tensor %.*s ends past the file: want %zu bytes, got %llu",
                         (int)info->name.n, info->name.s, bytes,
                         (unsigned long long)(g->map->size - info->offset));
    t->data = g->map->data + info->offset;
    t->interleaved = role == L2_T_Q || role == L2_T_K || role == L2_T_Q_BIAS || role == L2_T_K_BIAS;
    return L2_OK;
}

/* True when Llama 3.1's formula gives the factors that were read. */
static bool is_llama3(const struct l2_hparams *hp)
{
    for (uint32_t i = 0; i < hp->head_dim / 2; i++) {
        struct l2_hparams formula = *hp;
        formula.rope_scaling = L2_ROPE_LLAMA3;
        double want = l2_rope_divisor(&formula, i, pow(hp->rope_theta, -2.0 * i / hp->head_dim));
        if (!(fabs((double)hp->rope_factors[i] - want) <= 1e-4 * want))
            return false;
    }
    return true;
}

/* rope_freqs: what RoPE's frequencies are divided by. Where that is what Llama 3.1 has, its formula
 * takes the place of the factors, which other formats can say, too. */
static int read_rope_freqs(struct l2_hparams *hp, const struct l2_gguf *g, struct l2_err *err)
{
    const struct l2_gguf_tensor *info = l2_gguf_find_tensor(g, "rope_freqs.weight");
    bool ones = true;
    uint32_t n = hp->head_dim / 2;
    if (!info)
        return L2_OK;
    if (info->type != TYPE_F32 || info->shape[0] != n || info->shape[1] != 1 ||
        n > L2_MAX_ROPE_FACTORS)
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, (int64_t)info->offset,
                         "rope_freqs.weight: want %u values of type F32, and at most %d",
                         (unsigned)n, L2_MAX_ROPE_FACTORS);
    if (info->offset > g->map->size || (g->map->size - info->offset) / 4 < n)
        return l2_err_at(err, L2_TRUNCATED, g->map->name, (int64_t)g->map->size,
                         "ends inside rope_freqs.weight");
    l2_get_f32le_array(hp->rope_factors, g->map->data + info->offset, n);
    for (uint32_t i = 0; i < n; i++) {
        ones = ones && hp->rope_factors[i] == 1.0f;
        if ((double)hp->rope_factors[i] > hp->rope_factor)
            hp->rope_factor = (double)hp->rope_factors[i];
    }
    if (ones)
        return L2_OK;
    if (hp->rope_scaling != L2_ROPE_PLAIN)
        return l2_err_at(err, L2_UNSUPPORTED, g->map->name, (int64_t)info->offset,
                         "rope_freqs.weight together with linear scaling is not supported");
    hp->rope_low_freq = 1;
    hp->rope_high_freq = 4;
    hp->rope_original_context = 8192;
    hp->rope_scaling = is_llama3(hp) ? L2_ROPE_LLAMA3 : L2_ROPE_FACTORS;
    return L2_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct l2_gguf_tensor *const *x = a, *const *y = b;
    return l2_gguf_str_compare((*x)->name, (*y)->name);
}

static int find_name(const void *name, const void *info)
{
    const struct l2_gguf_tensor *const *y = info;
    return l2_gguf_str_compare(*(const struct l2_gguf_str *)name, (*y)->name);
}

/* Reads the tensors of the table from infos, which are sorted by name, and notes which they are. */
static int read_table(struct l2_model *m, const struct l2_gguf *g,
                      const struct l2_gguf_tensor **infos, bool *taken, struct l2_err *err)
{
    size_t n = l2_tensor_count(&m->hp);
    for (size_t i = 0; i < n; i++) {
        enum l2_role role;
        uint32_t layer;
        char text[80];
        l2_tensor_at(&m->hp, i, &role, &layer);
        l2_tensor_name_in(l2_roles[role].gguf, layer, text, sizeof text);
        const struct l2_gguf_str name = {text, strlen(text)};
        const struct l2_gguf_tensor **info =
            bsearch(&name, infos, g->n_tensors, sizeof *infos, find_name);
        if (!info)
            return l2_err_at(err, L2_CORRUPT, g->map->name, -1, "tensor %s is missing", text);
        taken[info - infos] = true;
        int r = read_tensor(m, g, *info, i, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* Every tensor of the file is one of the table's, or has been read with the sizes. */
static int check_taken(const struct l2_gguf *g, const struct l2_gguf_tensor *const *infos,
                       const bool *taken, struct l2_err *err)
{
    for (size_t i = 0; i < g->n_tensors; i++)
        if (!taken[i] && !l2_gguf_str_is(infos[i]->name, "rope_freqs.weight"))
            return l2_err_at(
                err, L2_UNSUPPORTED, g->map->name, -1, "tensor %.*s is not one of a Llama model",
                (int)(infos[i]->name.n < 100 ? infos[i]->name.n : 100), infos[i]->name.s);
    return L2_OK;
}

static int read_tensors(struct l2_model *m, const struct l2_gguf *g, struct l2_err *err)
{
    size_t n = l2_tensor_count(&m->hp);
    const struct l2_gguf_tensor **infos = calloc(g->n_tensors, sizeof *infos);
    bool *taken = calloc(g->n_tensors, sizeof *taken);
    int r = L2_OK;
    m->tensors = calloc(n, sizeof *m->tensors);
    if (!infos || !taken || !m->tensors) {
        r = l2_err_memory(err, n * sizeof *m->tensors);
        goto out;
    }
    for (size_t i = 0; i < g->n_tensors; i++)
        infos[i] = &g->tensors[i];
    qsort(infos, g->n_tensors, sizeof *infos, by_name);
    r = read_table(m, g, infos, taken, err);
    if (r == L2_OK)
        r = check_taken(g, infos, taken, err);
out:
    free(infos);
    free(taken);
    return r;
}

static int read_model(struct l2_model *m, const struct l2_gguf *g, struct l2_err *err)
{
    struct l2_hparams *hp = &m->hp;
    const struct l2_gguf_tensor *embedding = l2_gguf_find_tensor(g, "token_embd.weight");
    struct l2_gguf_str vocab = {"", 0};
    bool found;
    int r = check_keys(g, err);
    if (r == L2_OK)
        r = read_sizes(g, hp, err);
    if (r == L2_OK)
        r = read_reals(g, hp, err);
    if (r == L2_OK)
        r = read_specials(g, hp, err);
    if (r != L2_OK)
        return r;
    if (!embedding)
        return l2_err_at(err, L2_CORRUPT, g->map->name, -1, "tensor token_embd.weight is missing");
    if (embedding->shape[1] > UINT32_MAX)
        return l2_err_at(err, L2_LIMIT, g->map->name, -1,
                         "tensor token_embd.weight has %llu rows: too many",
                         (unsigned long long)embedding->shape[1]);
    hp->head = L2_HEAD_VOCAB;
    hp->vocab_size = (uint32_t)embedding->shape[1];
    hp->tied = !l2_gguf_find_tensor(g, "output.weight");
    hp->attention_bias = l2_gguf_find_tensor(g, "blk.0.attn_q.bias");
    hp->mlp_bias = l2_gguf_find_tensor(g, "blk.0.ffn_down.bias");
    r = read_rope_freqs(hp, g, err);
    if (r == L2_OK)
        r = l2_hparams_check(hp, g->map->name, err);
    if (r == L2_OK)
        r = read_tensors(m, g, err);
    if (r == L2_OK)
        r = l2_gguf_get_str(g, "tokenizer.ggml.model", &vocab, &found, err);
    if (r == L2_OK && (l2_gguf_str_is(vocab, "llama") || l2_gguf_str_is(vocab, "gpt2"))) {
        m->vocab_path = strdup(m->path);
        if (!m->vocab_path)
            r = l2_err_memory(err, strlen(m->path) + 1);
    }
    return r;
}

int l2_gguf_model_read(struct l2_model *m, struct l2_err *err)
{
    struct l2_gguf g;
    int r = l2_gguf_read(&g, &m->maps[0], err);
    if (r != L2_OK)
        return r;
    r = read_model(m, &g, err);
    l2_gguf_release(&g);
    return r;
}
