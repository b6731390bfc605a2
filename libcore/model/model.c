/* Opening checkpoints of any kind that is read, and looking tensors up. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/gguf_read.h"
#include "model/hf_read.h"
#include "model/llama2c.h"
#include "model/meta_read.h"
#include "util/gguf.h"

/* A checkpoint in one file, told by its first bytes. */
static int read_file(struct l2_model *m, struct l2_err *err)
{
    m->maps = calloc(1, sizeof *m->maps);
    if (!m->maps)
        return l2_err_memory(err, sizeof *m->maps);
    int r = l2_map_open(&m->maps[0], m->path, err);
    if (r != L2_OK)
        return r;
    m->n_maps = 1;
    return l2_gguf_detect(&m->maps[0]) ? l2_gguf_model_read(m, err) : l2_llama2c_read(m, err);
}

/* A directory with a config.json is of Hugging Face, whatever else is in it. */
static int read_directory(struct l2_model *m, struct l2_err *err)
{
    char config[L2_HF_PATH], params[L2_HF_PATH];
    int r = l2_hf_path(config, m->path, "config.json", err);
    if (r == L2_OK)
        r = l2_hf_path(params, m->path, L2_META_PARAMS, err);
    if (r != L2_OK)
        return r;
    if (access(config, F_OK) != 0 && access(params, F_OK) == 0)
        return l2_meta_read(m, err);
    return l2_hf_read(m, err);
}

int l2_model_open(struct l2_model **out, const char *path, struct l2_err *err)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st) != 0)
        return l2_err_sys(err, errno, path, "cannot open model");
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return l2_err_at(err, L2_FORMAT, path, -1, "neither a directory nor a regular file");
    struct l2_model *m = calloc(1, sizeof *m);
    if (!m)
        return l2_err_memory(err, sizeof *m);
    int r = L2_OK;
    m->path = strdup(path);
    if (!m->path)
        r = l2_err_memory(err, strlen(path) + 1);
    else if (S_ISDIR(st.st_mode))
        r = read_directory(m, err);
    else
        r = read_file(m, err);
    if (r != L2_OK)
        l2_model_close(m);
    else
        *out = m;
    return r;
}

void l2_model_close(struct l2_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_maps; i++)
        l2_map_release(&m->maps[i]);
    for (size_t i = 0; i < m->n_buffers; i++)
        free(m->buffers[i]);
    free(m->buffers);
    free(m->maps);
    free(m->tensors);
    free(m->path);
    free(m->vocab_path);
    free(m);
}

void l2_model_drop(const struct l2_model *m)
{
    for (size_t i = 0; i < m->n_maps; i++)
        l2_map_drop(m->maps[i].data, m->maps[i].size);
}

/* A tensor in a buffer of its own would be lost: there is no file behind it. */
void l2_model_drop_tensor(const struct l2_model *m, const struct l2_tensor *t)
{
    for (size_t i = 0; i < m->n_maps; i++) {
        uintptr_t begin = (uintptr_t)m->maps[i].data, at = (uintptr_t)t->data;
        if (at >= begin && at - begin < m->maps[i].size)
            l2_map_drop(t->data, l2_tensor_row_size(t) * t->rows);
    }
}

const struct l2_tensor *l2_model_tensor(const struct l2_model *m, enum l2_role role, uint32_t layer)
{
    size_t i = l2_tensor_index(&m->hp, role, layer);
    return i == SIZE_MAX ? NULL : &m->tensors[i];
}
