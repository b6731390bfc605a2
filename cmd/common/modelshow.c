/* What l2-model show says about a checkpoint: one list of facts, printed in two ways. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/modelshow.h"

#include <stdio.h>
#include <string.h>

#include "nn/kv.h"
#include "stream/json.h"
#include "util/num.h"

/* Where facts go: lines of text, or members of a JSON object. */
struct report {
    struct l2_buf *out;
    bool json;
    bool began;
    int r; /* the first failure; later facts are dropped */
    struct l2_err *err;
};

static void put_key(struct report *p, const char *key)
{
    if (p->r != L2_OK)
        return;
    if (p->json)
        p->r = l2_buf_printf(p->out, p->err, "%s\"%s\":", p->began ? "," : "{", key);
    else
        p->r = l2_buf_printf(p->out, p->err, "%-20s", key);
    p->began = true;
}

static void put_raw(struct report *p, const char *text)
{
    if (p->r == L2_OK)
        p->r = l2_buf_append_str(p->out, text, p->err);
}

static void put_count(struct report *p, const char *key, uint64_t v)
{
    char text[32];
    put_key(p, key);
    snprintf(text, sizeof text, p->json ? "%llu" : "%llu\n", (unsigned long long)v);
    put_raw(p, text);
}

static void put_real(struct report *p, const char *key, double v, bool is_float)
{
    char text[34];
    put_key(p, key);
    if (is_float)
        l2_format_f32(text, (float)v);
    else
        l2_format_f64(text, v);
    put_raw(p, text);
    put_raw(p, p->json ? "" : "\n");
}

static void put_text(struct report *p, const char *key, const char *s)
{
    put_key(p, key);
    if (p->r == L2_OK && p->json)
        p->r = l2_json_put_str(p->out, s, strlen(s), p->err);
    else
        put_raw(p, s);
    put_raw(p, p->json ? "" : "\n");
}

static void put_word(struct report *p, const char *key, const char *word, bool quoted)
{
    if (quoted) {
        put_text(p, key, word);
        return;
    }
    put_key(p, key);
    put_raw(p, word);
    put_raw(p, p->json ? "" : "\n");
}

static void put_eos(struct report *p, const struct l2_hparams *hp)
{
    char text[32];
    put_key(p, "eos");
    put_raw(p, p->json ? "[" : "");
    for (uint32_t i = 0; i < hp->n_eos; i++) {
        snprintf(text, sizeof text, "%s%u",
                 i == 0    ? ""
                 : p->json ? ","
                           : " ",
                 (unsigned)hp->eos[i]);
        put_raw(p, text);
    }
    put_raw(p, p->json ? "]" : hp->n_eos > 0 ? "\n" : "none\n");
}

static void put_scaling(struct report *p, const struct l2_hparams *hp)
{
    static const char *const names[] = {[L2_ROPE_PLAIN] = "none",
                                        [L2_ROPE_LINEAR] = "linear",
                                        [L2_ROPE_LLAMA3] = "llama3",
                                        [L2_ROPE_FACTORS] = "factors"};
    if (hp->rope_scaling == L2_ROPE_PLAIN)
        return;
    put_word(p, "rope_scaling", names[hp->rope_scaling], true);
    if (hp->rope_scaling != L2_ROPE_FACTORS)
        put_real(p, "rope_factor", hp->rope_factor, false);
    if (hp->rope_scaling == L2_ROPE_LLAMA3) {
        put_real(p, "rope_low_freq", hp->rope_low_freq, false);
        put_real(p, "rope_high_freq", hp->rope_high_freq, false);
        put_count(p, "rope_original_context", hp->rope_original_context);
    }
}

static void put_hparams(struct report *p, const struct l2_hparams *hp)
{
    static const char *const conventions[] = {
        [L2_EOS_UNKNOWN] = "unknown", [L2_EOS_PRESENT] = "present", [L2_EOS_ABSENT] = "absent"};
    put_count(p, "dim", hp->dim);
    put_count(p, "hidden", hp->hidden);
    put_count(p, "n_layers", hp->n_layers);
    put_count(p, "n_heads", hp->n_heads);
    put_count(p, "n_kv_heads", hp->n_kv_heads);
    put_count(p, "head_dim", hp->head_dim);
    put_count(p, "vocab_size", hp->vocab_size);
    put_count(p, "context", hp->context);
    put_real(p, "norm_eps", (double)hp->norm_eps, true);
    put_real(p, "rope_theta", hp->rope_theta, false);
    put_scaling(p, hp);
    if (hp->attention_bias)
        put_word(p, "attention_bias", "true", false);
    if (hp->mlp_bias)
        put_word(p, "mlp_bias", "true", false);
    if (hp->head == L2_HEAD_VOCAB)
        put_word(p, "tied", hp->tied ? "true" : "false", false);
    if (hp->bos == L2_NO_TOKEN)
        put_word(p, "bos", p->json ? "null" : "none", false);
    else
        put_count(p, "bos", hp->bos);
    put_eos(p, hp);
    if (hp->head == L2_HEAD_LABELS) {
        put_count(p, "n_labels", hp->n_labels);
        put_word(p, "reward_eos", conventions[hp->reward_eos], true);
    }
}

static void put_vocab(struct report *p, const struct l2_vocab *vocab)
{
    char hex[65];
    if (!vocab) {
        put_word(p, "vocabulary", p->json ? "null" : "none", false);
        return;
    }
    l2_sha256_hex(l2_vocab_hash(vocab), hex);
    if (p->json) {
        put_key(p, "vocabulary");
        if (p->r == L2_OK)
            p->r = l2_buf_printf(p->out, p->err, "{\"size\":%u,\"hash\":\"%s\"}",
                                 (unsigned)l2_vocab_size(vocab), hex);
        return;
    }
    put_key(p, "vocabulary");
    if (p->r == L2_OK)
        p->r = l2_buf_printf(p->out, p->err, "%u ids, sha256 %s\n", (unsigned)l2_vocab_size(vocab),
                             hex);
}

/* Bytes of all tensors as they are stored. */
static uint64_t tensor_bytes(const struct l2_model *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++)
        sum += (uint64_t)l2_tensor_row_size(&m->tensors[i]) * m->tensors[i].rows;
    return sum;
}

/* Keys and values of the sequences that the memory is told for, in whole blocks. */
static uint64_t kv_bytes(const struct l2_hparams *hp, const struct l2_modelshow_load *load)
{
    uint32_t positions = load->positions > 0 ? load->positions : hp->context;
    return (uint64_t)l2_kv_blocks_for(positions) * l2_kv_block_bytes(hp, load->kv_type) *
           load->batch;
}

static void put_facts(struct report *p, const struct l2_model *m, const struct l2_vocab *vocab,
                      const char *template, const struct l2_modelshow_load *load)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->n_maps; i++)
        bytes += m->maps[i].size;
    put_text(p, "model", m->path);
    put_text(p, "architecture",
             m->hp.head == L2_HEAD_LABELS ? "LlamaForSequenceClassification" : "LlamaForCausalLM");
    put_hparams(p, &m->hp);
    put_vocab(p, vocab);
    if (template || !p->json)
        put_text(p, "template", template ? template : "none");
    else
        put_word(p, "template", "null", false);
    put_count(p, "parameters", l2_hparams_parameters(&m->hp));
    put_count(p, "flops_per_token", 2 * l2_hparams_matrix_parameters(&m->hp));
    put_count(p, "kv_bytes_per_token", l2_kv_block_bytes(&m->hp, load->kv_type) / L2_KV_BLOCK);
    put_count(p, "kv_bytes", kv_bytes(&m->hp, load));
    put_count(p, "memory_bytes", tensor_bytes(m) + kv_bytes(&m->hp, load));
    put_count(p, "files", m->n_maps);
    put_count(p, "bytes", bytes);
}

static void put_tensors(struct report *p, const struct l2_model *m)
{
    size_t n = l2_tensor_count(&m->hp);
    for (size_t i = 0; i < n && p->r == L2_OK; i++) {
        const struct l2_tensor *t = &m->tensors[i];
        char name[128], shape[32];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&m->hp, i, &role, &layer);
        l2_tensor_name(role, layer, name, sizeof name);
        if (l2_roles[role].decayed)
            snprintf(shape, sizeof shape, "%u%s%u", (unsigned)t->rows, p->json ? "," : " x ",
                     (unsigned)t->cols);
        else
            snprintf(shape, sizeof shape, "%u", (unsigned)(t->rows * t->cols));
        p->r = p->json ? l2_buf_printf(p->out, p->err,
                                       "%s{\"name\":\"%s\",\"dtype\":\"%s\",\"shape\":[%s]}",
                                       i > 0 ? "," : "", name, l2_tensor_type_name(t), shape)
                       : l2_buf_printf(p->out, p->err, "%-52s %-5s %s\n", name,
                                       l2_tensor_type_name(t), shape);
    }
}

int l2_modelshow_text(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      const char *template, const struct l2_modelshow_load *load,
                      struct l2_err *err)
{
    struct report p = {.out = out, .err = err};
    put_facts(&p, m, vocab, template, load);
    put_raw(&p, "\n");
    put_tensors(&p, m);
    return p.r;
}

int l2_modelshow_json(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      const char *template, const struct l2_modelshow_load *load,
                      struct l2_err *err)
{
    struct report p = {.out = out, .json = true, .err = err};
    put_facts(&p, m, vocab, template, load);
    put_key(&p, "tensors");
    put_raw(&p, "[");
    put_tensors(&p, m);
    put_raw(&p, "]}\n");
    return p.r;
}
