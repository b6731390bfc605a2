/* Reading adapters as PEFT writes them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/adapter_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/hf_read.h"
#include "model/safetensors.h"
#include "util/jsonfile.h"
#include "util/num.h"

#define MAX_CONFIG ((size_t)1 << 20)

bool l2_adapter_role(enum l2_role role)
{
    return role >= L2_T_Q && role <= L2_T_DOWN && role != L2_T_FFN_NORM;
}

void l2_adapter_name(enum l2_role role, uint32_t layer, char letter, char *out, size_t size)
{
    char name[128];
    l2_tensor_name(role, layer, name, sizeof name);
    char *end = strrchr(name, '.'); /* of ".weight" */
    if (end)
        *end = '\0';
    snprintf(out, size, L2_ADAPTER_PREFIX "%s.lora_%c.weight", name, letter);
}

bool l2_adapter_detect(const char *path)
{
    char config[L2_HF_PATH];
    return l2_hf_path(config, path, L2_ADAPTER_CONFIG, NULL) == L2_OK && access(config, F_OK) == 0;
}

/* ---- the configuration ---- */

/* Keys that change what adapters compute; absent, null, false, "none" and empty mean "not used". */
static bool is_unused(const json_t *v)
{
    const char *text = json_string_value(v);
    return !v || json_is_null(v) || json_is_false(v) || (text && strcmp(text, "none") == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

/* A label head is the only module that may have been trained as a whole. */
static bool is_score(const json_t *modules)
{
    const char *name = json_string_value(json_array_get(modules, 0));
    return json_array_size(modules) == 1 && name && strcmp(name, "score") == 0;
}

static int check_config(const json_t *j, const char *file, struct l2_err *err)
{
    static const char *const keys[] = {
        "bias",           "fan_in_fan_out",  "use_dora",
        "rank_pattern",   "alpha_pattern",   "layers_to_transform",
        "lora_bias",      "megatron_config", "trainable_token_indices",
        "exclude_modules"};
    const char *type = json_string_value(json_object_get(j, "peft_type"));
    const json_t *modules = json_object_get(j, "modules_to_save");
    if (!type || strcmp(type, "LORA") != 0)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "peft_type '%.50s' is not supported: want LORA", type ? type : "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!is_unused(json_object_get(j, keys[i])))
            return l2_err_at(err, L2_UNSUPPORTED, file, -1, "%s is not supported", keys[i]);
    if (!is_unused(modules) && !is_score(modules))
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "modules_to_save is not supported but for the score head");
    return L2_OK;
}

static int read_config(struct l2_adapter *a, struct l2_err *err)
{
    char path[L2_HF_PATH];
    json_t *j = NULL;
    double alpha = 8; /* PEFT's default, as is the rank */
    bool by_root = false;
    a->rank = 8;
    int r = l2_hf_path(path, a->path, L2_ADAPTER_CONFIG, err);
    if (r == L2_OK)
        r = l2_jsonfile_read(path, MAX_CONFIG, &j, err);
    if (r == L2_OK)
        r = check_config(j, path, err);
    if (r == L2_OK)
        r = l2_jsonfile_u32(j, "r", path, &a->rank, err);
    if (r == L2_OK)
        r = l2_jsonfile_real(j, "lora_alpha", path, &alpha, err);
    if (r == L2_OK)
        r = l2_jsonfile_bool(j, "use_rslora", path, &by_root, err);
    if (r == L2_OK && (a->rank == 0 || !isfinite(alpha)))
        r = l2_err_at(err, L2_CORRUPT, path, -1, "rank %u, alpha %g", (unsigned)a->rank, alpha);
    a->scale = alpha / (by_root ? sqrt(a->rank) : a->rank);
    json_decref(j);
    return r;
}

/* ---- the tensors ---- */

static int take(struct l2_adapter *a, struct l2_tensor *t, const struct l2_st_entry *e,
                uint32_t rows, uint32_t cols, struct l2_err *err)
{
    *t = (struct l2_tensor){.rows = rows, .cols = cols, .data = a->map.data + e->begin};
    if (!l2_dtype_parse(e->dtype, &t->dtype))
        return l2_err_at(err, L2_UNSUPPORTED, a->map.name, (int64_t)e->begin,
                         "%.200s: type %.80s is not supported: want F32, F16 or BF16", e->name,
                         e->dtype);
    if (e->n_dims != 2 || e->shape[0] != rows || e->shape[1] != cols)
        return l2_err_at(err, L2_CORRUPT, a->map.name, (int64_t)e->begin,
                         "%.200s: want shape (%u, %u)", e->name, (unsigned)rows, (unsigned)cols);
    return L2_OK;
}

/* The number between "layers." and the next dot, to find the layer without trying all. */
static bool layer_of(const char *name, uint32_t n_layers, uint32_t *layer)
{
    const char *at = strstr(name, ".layers.");
    uint64_t v = 0;
    if (!at)
        return false;
    for (at += sizeof ".layers." - 1; *at >= '0' && *at <= '9' && v < n_layers; at++)
        v = v * 10 + (uint64_t)(*at - '0');
    *layer = (uint32_t)v;
    return v < n_layers;
}

static int take_entry(struct l2_adapter *a, const struct l2_st_entry *e, struct l2_err *err)
{
    char name[192];
    uint32_t layer, rows, cols;
    if (strcmp(e->name, L2_ADAPTER_PREFIX "score.weight") == 0 && e->n_dims == 2 &&
        e->shape[0] > 0 && e->shape[0] < 65536) {
        a->hp.head = L2_HEAD_LABELS;
        a->hp.n_labels = (uint32_t)e->shape[0];
        a->hp.tied = false;
        return take(a, &a->score, e, a->hp.n_labels, a->hp.dim, err);
    }
    for (int i = 0; layer_of(e->name, a->hp.n_layers, &layer) && i < L2_N_ROLES; i++) {
        enum l2_role role = (enum l2_role)i;
        struct l2_adapter_pair *p = &a->pairs[(size_t)layer * L2_N_ROLES + role];
        if (!l2_adapter_role(role))
            continue;
        l2_role_shape(&a->hp, role, &rows, &cols);
        l2_adapter_name(role, layer, 'A', name, sizeof name);
        if (strcmp(e->name, name) == 0)
            return take(a, &p->a, e, a->rank, cols, err);
        l2_adapter_name(role, layer, 'B', name, sizeof name);
        if (strcmp(e->name, name) == 0)
            return take(a, &p->b, e, rows, a->rank, err);
    }
    return l2_err_at(err, L2_UNSUPPORTED, a->map.name, (int64_t)e->begin,
                     "tensor %.200s has no place in adapters of a Llama of %u layers", e->name,
                     (unsigned)a->hp.n_layers);
}

static int check_pairs(const struct l2_adapter *a, struct l2_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)a->hp.n_layers * L2_N_ROLES; i++) {
        const struct l2_adapter_pair *p = &a->pairs[i];
        if (!p->a.data != !p->b.data)
            return l2_err_at(err, L2_CORRUPT, a->map.name, -1, "layer %zu has a half of an adapter",
                             i / L2_N_ROLES);
        n += p->a.data != NULL;
    }
    return n > 0 ? L2_OK : l2_err_at(err, L2_CORRUPT, a->map.name, -1, "has no adapters");
}

static int read_tensors(struct l2_adapter *a, struct l2_err *err)
{
    char path[L2_HF_PATH];
    struct l2_st_file f = {0};
    size_t n = (size_t)a->hp.n_layers * L2_N_ROLES;
    a->pairs = calloc(n, sizeof *a->pairs);
    if (!a->pairs)
        return l2_err_memory(err, n * sizeof *a->pairs);
    int r = l2_hf_path(path, a->path, L2_ADAPTER_FILE, err);
    if (r == L2_OK)
        r = l2_map_open(&a->map, path, err);
    if (r == L2_OK)
        r = l2_st_read(&f, &a->map, err);
    for (size_t i = 0; r == L2_OK && i < f.n; i++)
        r = take_entry(a, &f.entries[i], err);
    l2_st_release(&f);
    return r == L2_OK ? check_pairs(a, err) : r;
}

int l2_adapter_open(struct l2_adapter **out, const char *path, const struct l2_hparams *base,
                    struct l2_err *err)
{
    *out = NULL;
    struct l2_adapter *a = calloc(1, sizeof *a);
    if (!a)
        return l2_err_memory(err, sizeof *a);
    a->hp = *base;
    a->path = strdup(path);
    int r = a->path ? read_config(a, err) : l2_err_memory(err, strlen(path) + 1);
    if (r == L2_OK)
        r = read_tensors(a, err);
    if (r == L2_OK)
        *out = a;
    else
        l2_adapter_close(a);
    return r;
}

void l2_adapter_close(struct l2_adapter *a)
{
    if (!a)
        return;
    if (a->map.name)
        l2_map_release(&a->map);
    free(a->pairs);
    free(a->path);
    free(a);
}

void l2_adapter_add(const struct l2_adapter *a, enum l2_role role, uint32_t layer, uint32_t row,
                    float *w, float *scratch)
{
    const struct l2_adapter_pair *p = &a->pairs[(size_t)layer * L2_N_ROLES + role];
    float *b = scratch + p->a.cols;
    if (!p->a.data)
        return;
    l2_tensor_row(&p->b, a->hp.head_dim, row, b);
    for (uint32_t j = 0; j < a->rank; j++) {
        float factor = (float)(a->scale * b[j]);
        l2_tensor_row(&p->a, a->hp.head_dim, j, scratch);
        for (uint32_t i = 0; i < p->a.cols; i++)
            w[i] += factor * scratch[i];
    }
}
