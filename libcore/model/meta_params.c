/* The params.json of Meta's checkpoints. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/meta_params.h"

#include <string.h>

#include "util/jsonfile.h"

static int check_keys(const json_t *j, const char *file, struct l2_err *err)
{
    static const char *const known[] = {
        "dim",         "n_layers",       "n_heads",           "n_kv_heads",          "vocab_size",
        "norm_eps",    "rope_theta",     "use_scaled_rope",   "rope_scaling_factor", "multiple_of",
        "max_seq_len", "max_batch_size", "ffn_dim_multiplier"};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)j, key, v)
    {
        bool found = json_is_null(v);
        for (size_t i = 0; i < sizeof known / sizeof *known && !found; i++)
            found = strcmp(key, known[i]) == 0;
        if (!found)
            return l2_err_at(err, L2_UNSUPPORTED, file, -1, "key %.100s is not supported", key);
    }
    return L2_OK;
}

/* Llama 3.1's scaling; later models say another factor. */
static int read_rope(const json_t *j, const char *file, struct l2_hparams *hp, struct l2_err *err)
{
    bool scaled = false;
    int r = l2_jsonfile_real(j, "rope_theta", file, &hp->rope_theta, err);
    if (r == L2_OK)
        r = l2_jsonfile_bool(j, "use_scaled_rope", file, &scaled, err);
    if (r != L2_OK || !scaled)
        return r;
    hp->rope_scaling = L2_ROPE_LLAMA3;
    hp->rope_factor = 8;
    hp->rope_low_freq = 1;
    hp->rope_high_freq = 4;
    hp->rope_original_context = 8192;
    return l2_jsonfile_real(j, "rope_scaling_factor", file, &hp->rope_factor, err);
}

int l2_meta_params_read(const json_t *j, const char *file, struct l2_hparams *hp,
                        struct l2_err *err)
{
    static const char *const required[] = {"dim", "n_layers", "n_heads", "norm_eps"};
    double eps = 0;
    *hp = (struct l2_hparams){.head = L2_HEAD_VOCAB, .rope_theta = 10000};
    int r = check_keys(j, file, err);
    for (size_t i = 0; i < sizeof required / sizeof *required && r == L2_OK; i++)
        if (!json_object_get(j, required[i]))
            r = l2_err_at(err, L2_CORRUPT, file, -1, "has no %s", required[i]);
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "dim", file, &hp->dim, err);
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "n_layers", file, &hp->n_layers, err);
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "n_heads", file, &hp->n_heads, err);
    hp->n_kv_heads = hp->n_heads;
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "n_kv_heads", file, &hp->n_kv_heads, err);
    if (r == L2_OK)
        r = l2_jsonfile_real(j, "norm_eps", file, &eps, err);
    if (r == L2_OK)
        r = read_rope(j, file, hp, err);
    hp->norm_eps = (float)eps;
    hp->context = hp->rope_scaling == L2_ROPE_LLAMA3 ? 131072
                  : hp->rope_theta > 10000           ? 8192
                                                     : 4096;
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "max_seq_len", file, &hp->context, err);
    if (r == L2_OK && (hp->n_heads == 0 || hp->dim % hp->n_heads != 0))
        r = l2_err_at(err, L2_CORRUPT, file, -1, "dim %u is not a multiple of %u heads",
                      (unsigned)hp->dim, (unsigned)hp->n_heads);
    if (r == L2_OK)
        hp->head_dim = hp->dim / hp->n_heads;
    return r;
}
