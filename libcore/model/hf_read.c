/* Reading a Hugging Face directory: config.json, and the tensors of one safetensors file or of the
 * files that an index names. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/hf_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/hf_config.h"
#include "util/jsonfile.h"
#include "model/safetensors.h"
#include "util/num.h"

#define MAX_INDEX ((size_t)100000000)

int l2_hf_path(char out[L2_HF_PATH], const char *dir, const char *name, struct l2_err *err)
{
    int n = snprintf(out, L2_HF_PATH, "%s/%s", dir, name);
    if (n < 0 || n >= L2_HF_PATH)
        return l2_err_set(err, L2_ARGUMENT, "%.200s: name is too long", dir);
    return L2_OK;
}

int l2_hf_find_vocab(char **out, const char *dir, struct l2_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "tokenizer.bin"};
    char path[L2_HF_PATH];
    *out = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int r = l2_hf_path(path, dir, names[i], err);
        if (r != L2_OK)
            return r;
        if (access(path, F_OK) != 0)
            continue;
        *out = strdup(path);
        return *out ? L2_OK : l2_err_memory(err, strlen(path) + 1);
    }
    return L2_OK;
}

/* True when name is pattern with a plain decimal number in the place of its %u. */
static bool matches(const char *name, const char *pattern, uint32_t *number)
{
    const char *mark = strstr(pattern, "%u");
    *number = 0;
    if (!mark)
        return strcmp(name, pattern) == 0;
    size_t before = (size_t)(mark - pattern);
    if (strncmp(name, pattern, before) != 0)
        return false;
    const char *digits = name + before;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > 9 || (n > 1 && digits[0] == '0') || strcmp(digits + n, mark + 2) != 0)
        return false;
    *number = (uint32_t)strtoul(digits, NULL, 10);
    return true;
}

/* Finds what a tensor is by its name. index is SIZE_MAX for tensors that are known to change
 * nothing: tables that are computed, and a vocabulary head that the configuration does not use. */
static int identify(const struct l2_hparams *hp, const char *name, const char *file, size_t *index,
                    struct l2_err *err)
{
    static const char *const harmless[] = {"model.layers.%u.self_attn.rotary_emb.inv_freq",
                                           "model.rotary_emb.inv_freq", "lm_head.weight"};
    uint32_t layer;
    for (int role = 0; role < L2_N_ROLES; role++) {
        if (!matches(name, l2_roles[role].hf, &layer))
            continue;
        *index = l2_tensor_index(hp, (enum l2_role)role, layer);
        if (*index != SIZE_MAX)
            return L2_OK;
    }
    *index = SIZE_MAX;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (matches(name, harmless[i], &layer))
            return L2_OK;
    return l2_err_at(
        err, L2_UNSUPPORTED, file, -1, "tensor %.200s has no place in a %s of %u layers", name,
        hp->head == L2_HEAD_LABELS ? "LlamaForSequenceClassification" : "LlamaForCausalLM",
        (unsigned)hp->n_layers);
}

/* Norms and biases have one dimension on disk, all else two. */
static int check_shape(const struct l2_st_entry *e, uint32_t rows, uint32_t cols, bool is_matrix,
                       const char *file, struct l2_err *err)
{
    char want[64], got[256] = "";
    size_t at = 0;
    if (is_matrix ? e->n_dims == 2 && e->shape[0] == rows && e->shape[1] == cols
                  : e->n_dims == 1 && e->shape[0] == (uint64_t)rows * cols)
        return L2_OK;
    if (is_matrix)
        snprintf(want, sizeof want, "%u, %u", (unsigned)rows, (unsigned)cols);
    else
        snprintf(want, sizeof want, "%u", (unsigned)(rows * cols));
    for (size_t i = 0; i < e->n_dims; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%llu", i > 0 ? ", " : "",
                               (unsigned long long)e->shape[i]);
    return l2_err_at(err, L2_CORRUPT, file, (int64_t)e->begin, "%.200s: want shape (%s), got (%s)",
                     e->name, want, got);
}

static int take_tensor(struct l2_model *m, const struct l2_st_entry *e, const struct l2_map *map,
                       struct l2_err *err)
{
    size_t index;
    enum l2_role role;
    uint32_t layer;
    struct l2_tensor t = {.data = map->data + e->begin};
    int r = identify(&m->hp, e->name, map->name, &index, err);
    if (r != L2_OK || index == SIZE_MAX)
        return r;
    l2_tensor_at(&m->hp, index, &role, &layer);
    l2_role_shape(&m->hp, role, &t.rows, &t.cols);
    if (!l2_dtype_parse(e->dtype, &t.dtype))
        return l2_err_at(err, L2_UNSUPPORTED, map->name, (int64_t)e->begin,
                         "%.200s: type %.80s is not supported: want F32, F16 or BF16", e->name,
                         e->dtype);
    r = check_shape(e, t.rows, t.cols, l2_roles[role].decayed, map->name, err);
    if (r == L2_OK)
        m->tensors[index] = t;
    return r;
}

/* Maps one file and takes its tensors. weight_map (NULL without an index) must agree. */
static int read_file(struct l2_model *m, const char *name, const json_t *weight_map,
                     struct l2_err *err)
{
    char path[L2_HF_PATH];
    struct l2_st_file f = {0};
    struct l2_map *map = &m->maps[m->n_maps];
    int r = l2_hf_path(path, m->path, name, err);
    if (r == L2_OK)
        r = l2_map_open(map, path, err);
    if (r != L2_OK)
        return r;
    m->n_maps++;
    r = l2_st_read(&f, map, err);
    for (size_t i = 0; r == L2_OK && i < f.n; i++) {
        const struct l2_st_entry *e = &f.entries[i];
        const char *listed = json_string_value(json_object_get(weight_map, e->name));
        if (weight_map && (!listed || strcmp(listed, name) != 0))
            r = l2_err_at(err, L2_CORRUPT, path, (int64_t)e->begin,
                          "%.200s is here, but the index puts it into %.200s", e->name,
                          listed ? listed : "no file");
        else
            r = take_tensor(m, e, map, err);
    }
    l2_st_release(&f);
    return r;
}

static int check_complete(const struct l2_model *m, struct l2_err *err)
{
    char name[128];
    enum l2_role role;
    uint32_t layer;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++) {
        if (m->tensors[i].data)
            continue;
        l2_tensor_at(&m->hp, i, &role, &layer);
        l2_tensor_name(role, layer, name, sizeof name);
        return l2_err_at(err, L2_CORRUPT, m->path, -1, "has no tensor %s", name);
    }
    return L2_OK;
}

/* A shard must be a file of the same directory. */
static bool is_plain_name(const char *name)
{
    return name && name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* The set of files that weight_map names, as an object's keys. */
static int list_files(const struct l2_model *m, const json_t *weight_map, const char *index_path,
                      json_t *files, struct l2_err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)weight_map, name, v)
    {
        size_t index;
        const char *file = json_string_value(v);
        int r = identify(&m->hp, name, index_path, &index, err);
        if (r != L2_OK)
            return r;
        if (!is_plain_name(file))
            return l2_err_at(err, L2_CORRUPT, index_path, -1,
                             "%.200s: want the name of a file in the same directory", name);
        if (json_object_set_new(files, file, json_true()) != 0)
            return l2_err_memory(err, strlen(file));
    }
    return L2_OK;
}

static int alloc_maps(struct l2_model *m, size_t n, struct l2_err *err)
{
    m->maps = calloc(n > 0 ? n : 1, sizeof m->maps[0]);
    return m->maps ? L2_OK : l2_err_memory(err, n * sizeof m->maps[0]);
}

static int read_sharded(struct l2_model *m, const char *index_path, struct l2_err *err)
{
    json_t *index = NULL, *files = json_object(), *v;
    const char *name;
    int r = files ? l2_jsonfile_read(index_path, MAX_INDEX, &index, err) : l2_err_memory(err, 64);
    const json_t *weight_map = json_object_get(index, "weight_map");
    if (r == L2_OK && !json_is_object(weight_map))
        r = l2_err_at(err, L2_FORMAT, index_path, -1, "not a safetensors index: has no weight_map");
    if (r == L2_OK)
        r = list_files(m, weight_map, index_path, files, err);
    if (r == L2_OK)
        r = alloc_maps(m, json_object_size(files), err);
    if (r == L2_OK)
        json_object_foreach(files, name, v)
        {
            r = read_file(m, name, weight_map, err);
            if (r != L2_OK)
                break;
        }
    json_decref(files);
    json_decref(index);
    return r;
}

/* Says what is missing, or which weights lie there instead. */
static int no_weights(const char *dir, const char *missing, struct l2_err *err)
{
    static const char *const others[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                         "consolidated.00.pth", "adapter_model.safetensors"};
    char path[L2_HF_PATH];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int r = l2_hf_path(path, dir, others[i], err);
        if (r != L2_OK)
            return r;
        if (access(path, F_OK) == 0)
            return l2_err_at(err, L2_UNSUPPORTED, dir, -1,
                             "weights in %s are not supported: want " L2_HF_FILE, others[i]);
    }
    return l2_err_at(err, L2_FORMAT, dir, -1, "not a model: has no %s", missing);
}

/* As in transformers the single file goes before the index. */
static int read_weights(struct l2_model *m, struct l2_err *err)
{
    char path[L2_HF_PATH];
    int r = l2_hf_path(path, m->path, L2_HF_FILE, err);
    if (r != L2_OK)
        return r;
    if (access(path, F_OK) == 0) {
        r = alloc_maps(m, 1, err);
        return r == L2_OK ? read_file(m, L2_HF_FILE, NULL, err) : r;
    }
    r = l2_hf_path(path, m->path, L2_HF_INDEX, err);
    if (r != L2_OK)
        return r;
    if (access(path, F_OK) == 0)
        return read_sharded(m, path, err);
    return no_weights(m->path, L2_HF_FILE " and no " L2_HF_INDEX, err);
}

int l2_hf_read(struct l2_model *m, struct l2_err *err)
{
    char path[L2_HF_PATH];
    int r = l2_hf_path(path, m->path, "config.json", err);
    if (r == L2_OK && access(path, F_OK) != 0)
        r = no_weights(m->path, "config.json", err);
    if (r == L2_OK)
        r = l2_hf_config_read(m->path, &m->hp, err);
    if (r != L2_OK)
        return r;
    size_t n = l2_tensor_count(&m->hp);
    m->tensors = calloc(n, sizeof m->tensors[0]);
    if (!m->tensors)
        return l2_err_memory(err, n * sizeof m->tensors[0]);
    r = read_weights(m, err);
    if (r == L2_OK)
        r = check_complete(m, err);
    if (r == L2_OK)
        r = l2_hf_find_vocab(&m->vocab_path, m->path, err);
    return r;
}
