/* Reading llama2.c checkpoints: a header of seven integers, then f32 tensors, all layers of a role
 * together. Rows of Q and K are interleaved for RoPE. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/llama2c.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define MAGIC       0x616b3432u /* "ak42" */
#define V0_HEADER   28
#define V1_HEADER   256
#define V1_FIELDS   (8 + V0_HEADER)
#define V1_SHARED   V1_FIELDS
#define V1_USED     (V1_FIELDS + 1)
#define END_OF_LIST L2_N_ROLES

static const enum l2_role v0_order[] = {L2_T_EMBED, L2_T_ATTN_NORM, L2_T_Q,        L2_T_K,
                                        L2_T_V,     L2_T_O,         L2_T_FFN_NORM, L2_T_GATE,
                                        L2_T_DOWN,  L2_T_UP,        L2_T_NORM,     END_OF_LIST};
static const enum l2_role v1_order[] = {L2_T_ATTN_NORM, L2_T_FFN_NORM, L2_T_NORM, L2_T_EMBED,
                                        L2_T_Q,         L2_T_K,        L2_T_V,    L2_T_O,
                                        L2_T_GATE,      L2_T_DOWN,     L2_T_UP,   END_OF_LIST};

/* Seven signed integers. False where one cannot be what it should be. */
static bool read_fields(const uint8_t *p, struct l2_hparams *hp, int32_t *vocab)
{
    int32_t v[7];
    for (int i = 0; i < 7; i++) {
        v[i] = (int32_t)l2_get_u32le(p + 4 * i);
        if (i != 5 && v[i] <= 0)
            return false;
    }
    if (v[5] == 0 || v[5] == INT32_MIN)
        return false;
    *hp = (struct l2_hparams){
        .head = L2_HEAD_VOCAB,
        .dim = (uint32_t)v[0],
        .hidden = (uint32_t)v[1],
        .n_layers = (uint32_t)v[2],
        .n_heads = (uint32_t)v[3],
        .n_kv_heads = (uint32_t)v[4],
        .vocab_size = (uint32_t)(v[5] < 0 ? -v[5] : v[5]),
        .context = (uint32_t)v[6],
        /* what the format leaves out is fixed in llama2.c */
        .norm_eps = 1e-5f,
        .rope_theta = 10000.0,
        .bos = 1,
        .eos = {2},
        .n_eos = 1,
    };
    *vocab = v[5];
    hp->head_dim = hp->dim / hp->n_heads;
    return hp->dim % hp->n_heads == 0;
}

static int no_checkpoint(const struct l2_map *map, struct l2_err *err)
{
    if (map->size >= 4 && memcmp(map->data, "PK\3\4", 4) == 0)
        return l2_err_at(err, L2_UNSUPPORTED, map->name, 0,
                         "a zip archive (PyTorch .pth) is not supported as a model: want a Hugging "
                         "Face directory, a GGUF file or a llama2.c checkpoint");
    return l2_err_at(err, L2_FORMAT, map->name, 0,
                     "neither a Hugging Face directory nor a GGUF file nor a llama2.c checkpoint");
}

/* Version 0 has no magic: its fields must make sense on their own. The sign of the vocabulary's
 * size says whether the head is the embedding. */
static int read_v0(const struct l2_map *map, struct l2_hparams *hp, struct l2_err *err)
{
    int32_t vocab;
    if (map->size < V0_HEADER)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "ends inside the llama2.c header: want %d bytes", V0_HEADER);
    if (!read_fields(map->data, hp, &vocab) || l2_hparams_check(hp, map->name, err) != L2_OK)
        return no_checkpoint(map, err);
    hp->tied = vocab > 0;
    return L2_OK;
}

static int read_v1(const struct l2_map *map, struct l2_hparams *hp, struct l2_err *err)
{
    int32_t vocab;
    uint32_t version = map->size >= 8 ? l2_get_u32le(map->data + 4) : 0;
    if (map->size >= 8 && version == 2)
        return l2_err_at(err, L2_UNSUPPORTED, map->name, 4,
                         "llama2.c version 2 (quantised to 8 bits) is not supported: want version "
                         "0 or 1");
    if (map->size >= 8 && version != 1)
        return l2_err_at(err, L2_UNSUPPORTED, map->name, 4,
                         "llama2.c version %u is not supported: want version 0 or 1",
                         (unsigned)version);
    if (map->size < V1_HEADER)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "ends inside the llama2.c header: want %d bytes", V1_HEADER);
    if (!read_fields(map->data + 8, hp, &vocab) || vocab < 0)
        return l2_err_at(err, L2_CORRUPT, map->name, 8, "the header's sizes make no sense");
    if (map->data[V1_SHARED] > 1)
        return l2_err_at(err, L2_CORRUPT, map->name, V1_SHARED,
                         "the shared classifier flag is %u, want 0 or 1",
                         (unsigned)map->data[V1_SHARED]);
    for (size_t i = V1_USED; i < V1_HEADER; i++)
        if (map->data[i] != 0)
            return l2_err_at(err, L2_CORRUPT, map->name, (int64_t)i,
                             "the header's padding is not zero");
    hp->tied = map->data[V1_SHARED] == 1;
    return l2_hparams_check(hp, map->name, err);
}

/* Points the role's tensors, all layers of it, at their places from *at on; sizes do not overflow
 * because l2_hparams_check bounds them. With data NULL only *at moves. */
static void place(struct l2_model *m, enum l2_role role, const uint8_t *data, uint64_t *at)
{
    uint32_t rows, cols;
    if (!l2_role_present(&m->hp, role))
        return;
    l2_role_shape(&m->hp, role, &rows, &cols);
    uint32_t n = l2_roles[role].per_layer ? m->hp.n_layers : 1;
    for (uint32_t layer = 0; layer < n; layer++) {
        if (data)
            m->tensors[l2_tensor_index(&m->hp, role, layer)] = (struct l2_tensor){
                .dtype = L2_F32,
                .rows = rows,
                .cols = cols,
                .data = data + *at,
                .interleaved = role == L2_T_Q || role == L2_T_K,
            };
        *at += (uint64_t)rows * cols * 4;
    }
}

/* Version 0 keeps tables of cosines and sines between the last norm and the head. */
static uint64_t place_all(struct l2_model *m, bool v0, const uint8_t *data)
{
    uint64_t at = v0 ? V0_HEADER : V1_HEADER;
    for (const enum l2_role *role = v0 ? v0_order : v1_order; *role != END_OF_LIST; role++)
        place(m, *role, data, &at);
    if (v0)
        at += (uint64_t)m->hp.context * m->hp.head_dim * 4;
    place(m, L2_T_HEAD, data, &at);
    return at;
}

int l2_llama2c_read(struct l2_model *m, struct l2_err *err)
{
    const struct l2_map *map = &m->maps[0];
    bool v0 = map->size < 4 || l2_get_u32le(map->data) != MAGIC;
    int r = v0 ? read_v0(map, &m->hp, err) : read_v1(map, &m->hp, err);
    if (r != L2_OK)
        return r;
    uint64_t want = place_all(m, v0, NULL);
    if (want > map->size)
        return l2_err_at(err, L2_TRUNCATED, map->name, (int64_t)map->size,
                         "ends inside its tensors: want %llu bytes, got %zu",
                         (unsigned long long)want, map->size);
    if (want < map->size)
        return l2_err_at(err, L2_CORRUPT, map->name, (int64_t)want,
                         "%llu bytes after the last tensor belong to none",
                         (unsigned long long)(map->size - want));
    size_t n = l2_tensor_count(&m->hp);
    m->tensors = calloc(n, sizeof m->tensors[0]);
    if (!m->tensors)
        return l2_err_memory(err, n * sizeof m->tensors[0]);
    place_all(m, v0, map->data);
    return L2_OK;
}
