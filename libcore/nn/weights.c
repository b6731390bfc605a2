/* Packs a model's tensors for a backend. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "nn/weights.h"

#include <stdlib.h>
#include <string.h>
#include "kern/aligned.h"
#include "kern/layout.h"
#include "kern/native_pack.h"
#include "model/fingerprint.h"
#include "util/num.h"

struct packing {
    struct l2_weights *w;
    const struct l2_model *m;
    struct l2_pack_opts opts;
    struct l2_pool *pool;
    bool cached; /* matrices come from w->cache */
    struct l2_err *err;
    int result; /* once it is not L2_OK nothing more is packed */
};

static enum l2_role head_role(const struct l2_hparams *hp)
{
    if (hp->head == L2_HEAD_LABELS)
        return L2_T_SCORE;
    return hp->tied ? L2_T_EMBED : L2_T_HEAD;
}

/* ---- matrices of another model that are the same ---- */

static bool same_tensor(const struct l2_tensor *a, const struct l2_tensor *b)
{
    if (!b || a->dtype != b->dtype || a->quant != b->quant || a->rows != b->rows ||
        a->cols != b->cols || a->interleaved != b->interleaved)
        return false;
    return a->data == b->data || memcmp(a->data, b->data, l2_tensor_row_size(a) * a->rows) == 0;
}

/* The matrix that begins with role. */
static const struct l2_weight *matrix_of(const struct l2_weights *w, enum l2_role role,
                                         uint32_t layer)
{
    if (!l2_roles[role].per_layer)
        return role == head_role(&w->model->hp) ? &w->head : NULL;
    if (layer >= w->n_layers)
        return NULL;
    const struct l2_layer_weights *l = &w->layers[layer];
    switch (role) {
    case L2_T_Q:
        return &l->qkv;
    case L2_T_O:
        return &l->o;
    case L2_T_GATE:
        return &l->gate_up;
    default:
        return &l->down;
    }
}

static bool packs_alike(const struct l2_weights *a, const struct l2_weights *b)
{
    return a->backend == b->backend && a->pack.head_dim == b->pack.head_dim &&
           a->pack.type == b->pack.type && a->pack.narrow == b->pack.narrow;
}

/* The lender's matrix, or that of whom the lender borrows from; NULL where none is the same. */
static const struct l2_weight *find_same(const struct packing *p, const enum l2_role *roles,
                                         const struct l2_tensor *const *parts, size_t n_roles,
                                         uint32_t layer)
{
    for (const struct l2_weights *l = p->w->lender; l; l = l->lender) {
        const struct l2_weight *theirs = matrix_of(l, roles[0], layer);
        bool same = theirs && theirs->data && packs_alike(l, p->w);
        for (size_t i = 0; i < n_roles && same; i++)
            same = same_tensor(parts[i], l2_model_tensor(l->model, roles[i], layer));
        if (same)
            return theirs;
    }
    return NULL;
}

/* Whether a lender's matrix will do; then it is out. */
static bool borrow(struct packing *p, struct l2_weight *out, const enum l2_role *roles,
                   const struct l2_tensor *const *parts, size_t n_roles, uint32_t layer)
{
    const struct l2_weight *theirs = find_same(p, roles, parts, n_roles, layer);
    if (!theirs)
        return false;
    *out = *theirs;
    out->borrowed = true;
    p->w->lent += out->bytes;
    return true;
}

/* ---- packing ---- */

static void pack(struct packing *p, struct l2_weight *out, const enum l2_role *roles,
                 size_t n_roles, uint32_t layer)
{
    const struct l2_tensor *parts[3];
    if (p->result != L2_OK)
        return;
    for (size_t i = 0; i < n_roles; i++)
        parts[i] = l2_model_tensor(p->m, roles[i], layer);
    if (borrow(p, out, roles, parts, n_roles, layer))
        return;
    if (!p->cached) {
        p->result = p->w->backend->pack(out, parts, n_roles, &p->opts, p->pool, p->err);
    } else {
        p->result = l2_native_plan(out, parts, n_roles, &p->opts, p->err);
        if (p->result == L2_OK)
            p->result = l2_pack_cache_take(&p->w->cache, out, p->err);
    }
    p->w->bytes += out->bytes;
}

static float *norm(struct packing *p, enum l2_role role, uint32_t layer)
{
    if (p->result != L2_OK)
        return NULL;
    const struct l2_tensor *t = l2_model_tensor(p->m, role, layer);
    float *out = l2_aligned_alloc(t->cols, sizeof *out, p->err);
    if (!out) {
        p->result = L2_MEMORY;
        return NULL;
    }
    l2_tensor_row(t, p->m->hp.head_dim, 0, out);
    p->w->bytes += t->cols * sizeof *out;
    return out;
}

/* The biases of stacked matrices, one below the other; NULL where the model has none. */
static float *biases(struct packing *p, const enum l2_role *roles, size_t n_roles, uint32_t layer)
{
    size_t rows = 0, at = 0;
    if (p->result != L2_OK || !l2_role_present(&p->m->hp, roles[0]))
        return NULL;
    for (size_t i = 0; i < n_roles; i++)
        rows += l2_model_tensor(p->m, roles[i], layer)->rows;
    float *out = l2_aligned_alloc(rows, sizeof *out, p->err);
    if (!out) {
        p->result = L2_MEMORY;
        return NULL;
    }
    for (size_t i = 0; i < n_roles; i++) {
        const struct l2_tensor *t = l2_model_tensor(p->m, roles[i], layer);
        for (uint32_t row = 0; row < t->rows; row++)
            l2_tensor_row(t, p->m->hp.head_dim, row, &out[at++]);
    }
    p->w->bytes += rows * sizeof *out;
    return out;
}

static void pack_layer(struct packing *p, uint32_t i)
{
    static const enum l2_role qkv[] = {L2_T_Q, L2_T_K, L2_T_V}, gate_up[] = {L2_T_GATE, L2_T_UP},
                              o[] = {L2_T_O}, down[] = {L2_T_DOWN};
    static const enum l2_role qkv_bias[] = {L2_T_Q_BIAS, L2_T_K_BIAS, L2_T_V_BIAS},
                              gate_up_bias[] = {L2_T_GATE_BIAS, L2_T_UP_BIAS},
                              o_bias[] = {L2_T_O_BIAS}, down_bias[] = {L2_T_DOWN_BIAS};
    struct l2_layer_weights *l = &p->w->layers[i];
    l->attn_norm = norm(p, L2_T_ATTN_NORM, i);
    l->ffn_norm = norm(p, L2_T_FFN_NORM, i);
    pack(p, &l->qkv, qkv, 3, i);
    pack(p, &l->o, o, 1, i);
    pack(p, &l->gate_up, gate_up, 2, i);
    pack(p, &l->down, down, 1, i);
    l->qkv_bias = biases(p, qkv_bias, 3, i);
    l->o_bias = biases(p, o_bias, 1, i);
    l->gate_up_bias = biases(p, gate_up_bias, 2, i);
    l->down_bias = biases(p, down_bias, 1, i);
}

/* What the bytes of packed weights depend on. */
static void cache_key(uint8_t key[L2_SHA256_SIZE], const struct l2_model *m, uint32_t n_layers,
                      bool with_head, const struct l2_weights_opts *opts)
{
    const uint16_t order = 1;
    const uint32_t facts[] = {L2_LAYOUT_VERSION, L2_PANEL,     L2_SUM_BLOCK,        n_layers,
                              with_head,         opts->narrow, (uint32_t)opts->type};
    uint8_t model[L2_SHA256_SIZE], bytes[4];
    struct l2_sha256 s;
    l2_model_fingerprint(m, model);
    l2_sha256_init(&s);
    l2_sha256_update(&s, model, sizeof model);
    l2_sha256_update(&s, &order, sizeof order); /* of bytes in this machine */
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        l2_put_u32le(bytes, facts[i]);
        l2_sha256_update(&s, bytes, sizeof bytes);
    }
    l2_sha256_final(&s, key);
}

static int write_cache(const struct l2_weights *w, const char *path,
                       const uint8_t key[L2_SHA256_SIZE], bool with_head, struct l2_err *err)
{
    size_t n = 0;
    const struct l2_weight **all = calloc((size_t)w->n_layers * 4 + 1, sizeof *all);
    if (!all)
        return l2_err_memory(err, ((size_t)w->n_layers * 4 + 1) * sizeof *all);
    for (uint32_t i = 0; i < w->n_layers; i++) {
        const struct l2_layer_weights *l = &w->layers[i];
        all[n++] = &l->qkv;
        all[n++] = &l->o;
        all[n++] = &l->gate_up;
        all[n++] = &l->down;
    }
    if (with_head)
        all[n++] = &w->head;
    int r = l2_pack_cache_write(path, key, all, n, err);
    free(all);
    return r;
}

int l2_weights_init(struct l2_weights *w, const struct l2_model *m,
                    const struct l2_backend *backend, uint32_t n_layers, bool with_norm,
                    bool with_head, const struct l2_weights_opts *opts, struct l2_pool *pool,
                    struct l2_err *err)
{
    struct l2_pack_opts pack_opts = {m->hp.head_dim, opts->type, opts->narrow};
    struct packing p = {w, m, pack_opts, pool, false, err, L2_OK};
    uint8_t key[L2_SHA256_SIZE];
    memset(w, 0, sizeof *w);
    w->backend = backend;
    w->model = m;
    w->pack = pack_opts;
    w->embed = l2_model_tensor(m, L2_T_EMBED, 0);
    w->lender = opts->cache ? NULL : opts->lender;
    for (const struct l2_weights *l = w->lender; l; l = l->lender)
        if (same_tensor(w->embed, l->embed))
            w->embed = l->embed;
    w->layers = calloc(n_layers, sizeof *w->layers);
    if (!w->layers)
        return l2_err_memory(err, n_layers * sizeof *w->layers);
    w->n_layers = n_layers;
    if (opts->cache) {
        if (backend != &l2_backend_native)
            return l2_err_set(err, L2_ARGUMENT,
                              "a cache of packed weights is for the native backend, not %s",
                              backend->name);
        cache_key(key, m, n_layers, with_head, opts);
        p.result = l2_pack_cache_open(&w->cache, opts->cache, key, &p.cached, err);
    }
    for (uint32_t i = 0; i < n_layers; i++)
        pack_layer(&p, i);
    if (with_norm)
        w->norm = norm(&p, L2_T_NORM, 0);
    if (with_head) {
        enum l2_role head = head_role(&m->hp);
        pack(&p, &w->head, &head, 1, 0);
    }
    if (p.result == L2_OK && opts->cache && !p.cached)
        p.result = write_cache(w, opts->cache, key, with_head, err);
    return p.result;
}

size_t l2_weights_scratch(const struct l2_weights *w, size_t m)
{
    size_t most = w->backend->scratch(&w->head, m);
    for (uint32_t i = 0; i < w->n_layers; i++) {
        const struct l2_layer_weights *l = &w->layers[i];
        const struct l2_weight *const all[] = {&l->qkv, &l->o, &l->gate_up, &l->down};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            size_t bytes = w->backend->scratch(all[j], m);
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

void l2_weights_release(struct l2_weights *w)
{
    for (uint32_t i = 0; i < w->n_layers; i++) {
        struct l2_layer_weights *l = &w->layers[i];
        free(l->attn_norm);
        free(l->ffn_norm);
        free(l->qkv_bias);
        free(l->o_bias);
        free(l->gate_up_bias);
        free(l->down_bias);
        w->backend->release(&l->qkv);
        w->backend->release(&l->o);
        w->backend->release(&l->gate_up);
        w->backend->release(&l->down);
    }
    free(w->layers);
    free(w->norm);
    if (w->backend)
        w->backend->release(&w->head);
    l2_pack_cache_release(&w->cache);
    memset(w, 0, sizeof *w);
}
