/* Reading Meta's checkpoints. Each file holds a part of every matrix: rows of those whose outputs
 * are split (column-parallel), columns of those whose inputs are (row-parallel). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/meta_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/hf_read.h"
#include "model/meta_params.h"
#include "model/pickle.h"
#include "model/zip.h"
#include "util/jsonfile.h"
#include "util/num.h"

#define MAX_PARAMS   ((size_t)1 << 20)
#define MAX_PICKLE   ((size_t)4 << 20) /* 80 layers have 200 KB */
#define MAX_SHARDS   64
#define LLAMA3_VOCAB 128256
#define MAX_NAME     128

/* A tensor of one file, checked against its storage. */
struct part {
    char name[MAX_NAME];
    enum l2_dtype dtype;
    const uint8_t *data; /* of the first value */
    size_t n_dims;
    uint64_t shape[2], stride[2]; /* (rows, cols); a vector is one row */
    bool known;                   /* a tensor of the model has that name */
};

struct shard {
    const struct l2_map *map;
    struct part *parts; /* by name; owned */
    size_t n;
};

struct reader {
    struct l2_model *m;
    struct shard shards[MAX_SHARDS];
    size_t n;
    size_t gathered; /* bytes of tensors that were put together in memory */
};

/* ---- files ---- */

/* The archive's "ROOT/data.pkl" and the length of "ROOT/". */
static const struct l2_zip_entry *find_pickle(const struct l2_zip *z, size_t *root)
{
    static const char name[] = "data.pkl";
    size_t n = sizeof name - 1;
    for (size_t i = 0; i < z->n; i++) {
        const struct l2_zip_entry *e = &z->entries[i];
        if (e->name_len > n && e->name[e->name_len - n - 1] == '/' &&
            memcmp(e->name + e->name_len - n, name, n) == 0) {
            *root = e->name_len - n;
            return e;
        }
    }
    return NULL;
}

/* The entry "ROOT/data/KEY" that holds a storage. */
static const struct l2_zip_entry *find_storage(const struct l2_zip *z, const char *root,
                                               size_t n_root, const struct l2_pickle_tensor *t)
{
    char name[512];
    if (n_root + 5 + t->key_len > sizeof name)
        return NULL;
    memcpy(name, root, n_root);
    memcpy(name + n_root, "data/", 5);
    memcpy(name + n_root + 5, t->key, t->key_len);
    return l2_zip_find(z, name, n_root + 5 + t->key_len);
}

/* Whether the tensor lies in its storage of numel values: it has no more values than that (strides
 * of 0 could make a small file a large tensor), and its last one is there. */
static bool lies_inside(const struct part *p, uint64_t offset, uint64_t numel)
{
    size_t at = offset, step, values;
    if (!l2_mul_size(p->shape[0], p->shape[1], &values) || values == 0 || values > numel)
        return false;
    for (size_t i = 0; i < 2; i++)
        if (!l2_mul_size(p->shape[i] - 1, p->stride[i], &step) || !l2_add_size(at, step, &at))
            return false;
    return at < numel;
}

static int take_tensor(struct part *p, const struct l2_zip *z, const struct l2_zip_entry *pickle,
                       size_t root, const struct l2_pickle_tensor *t, struct l2_err *err)
{
    const char *file = z->map->name;
    size_t bytes, size = l2_dtype_size(t->dtype);
    int n = (int)(t->name_len < 100 ? t->name_len : 100);
    if (t->name_len >= sizeof p->name || t->n_dims < 1 || t->n_dims > 2)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "tensor %.*s has %zu dimensions or too long a name", n, t->name,
                         t->n_dims);
    memcpy(p->name, t->name, t->name_len);
    p->name[t->name_len] = '\0';
    p->dtype = t->dtype;
    p->n_dims = t->n_dims;
    p->shape[0] = t->n_dims == 2 ? t->shape[0] : 1;
    p->shape[1] = t->shape[t->n_dims - 1];
    p->stride[0] = t->n_dims == 2 ? t->stride[0] : 0;
    p->stride[1] = t->stride[t->n_dims - 1];
    const struct l2_zip_entry *e = find_storage(z, pickle->name, root, t);
    if (!e)
        return l2_err_at(err, L2_CORRUPT, file, -1,
                         "tensor %.*s: its storage is not in the archive", n, t->name);
    if (!l2_mul_size(t->numel, size, &bytes) || bytes > e->size)
        return l2_err_at(err, L2_CORRUPT, file, -1,
                         "tensor %.*s: its storage of %llu values has %zu bytes", n, t->name,
                         (unsigned long long)t->numel, e->size);
    if (!lies_inside(p, t->offset, t->numel))
        return l2_err_at(err, L2_CORRUPT, file, -1, "tensor %.*s reaches past its storage", n,
                         t->name);
    p->data = e->data + (size_t)t->offset * size;
    return L2_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int sort_parts(struct shard *s, const char *file, struct l2_err *err)
{
    qsort(s->parts, s->n, sizeof *s->parts, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (by_name(&s->parts[i - 1], &s->parts[i]) == 0)
            return l2_err_at(err, L2_CORRUPT, file, -1, "tensor %.100s is there twice",
                             s->parts[i].name);
    return L2_OK;
}

static int read_archive(struct shard *s, const struct l2_zip *z, struct l2_err *err)
{
    struct l2_pickle_tensor *tensors = NULL;
    size_t n = 0, root;
    const struct l2_zip_entry *pickle = find_pickle(z, &root);
    if (!pickle)
        return l2_err_at(err, L2_FORMAT, z->map->name, -1,
                         "a zip archive, but not of torch.save: has no data.pkl");
    if (pickle->size > MAX_PICKLE)
        return l2_err_at(err, L2_LIMIT, z->map->name, -1, "data.pkl has %zu bytes, more than %zu",
                         pickle->size, MAX_PICKLE);
    int r = l2_pickle_read(&tensors, &n, pickle->data, pickle->size, z->map->name, err);
    if (r != L2_OK)
        return r;
    s->parts = calloc(n + 1, sizeof *s->parts);
    if (!s->parts)
        r = l2_err_memory(err, n * sizeof *s->parts);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        if (!(tensors[i].name_len == 10 && memcmp(tensors[i].name, "rope.freqs", 10) == 0))
            r = take_tensor(&s->parts[s->n++], z, pickle, root, &tensors[i], err);
    free(tensors);
    return r == L2_OK ? sort_parts(s, z->map->name, err) : r;
}

static int read_shard(struct reader *rd, const char *path, struct l2_err *err)
{
    struct l2_zip z = {0};
    struct l2_map *map = &rd->m->maps[rd->m->n_maps];
    struct shard *s = &rd->shards[rd->n];
    int r = l2_map_open(map, path, err);
    if (r != L2_OK)
        return r;
    rd->m->n_maps++;
    rd->n++;
    s->map = map;
    r = l2_zip_read(&z, map, err);
    if (r == L2_OK)
        r = read_archive(s, &z, err);
    l2_zip_release(&z);
    return r;
}

static int read_shards(struct reader *rd, struct l2_err *err)
{
    char path[L2_HF_PATH], name[32];
    rd->m->maps = calloc(MAX_SHARDS, sizeof *rd->m->maps);
    if (!rd->m->maps)
        return l2_err_memory(err, MAX_SHARDS * sizeof *rd->m->maps);
    for (;;) {
        snprintf(name, sizeof name, "consolidated.%02zu.pth", rd->n);
        int r = l2_hf_path(path, rd->m->path, name, err);
        if (r != L2_OK)
            return r;
        if (access(path, F_OK) != 0)
            break;
        if (rd->n == MAX_SHARDS)
            return l2_err_at(err, L2_LIMIT, rd->m->path, -1, "more than %d files", MAX_SHARDS);
        r = read_shard(rd, path, err);
        if (r != L2_OK)
            return r;
    }
    if (rd->n == 0)
        return l2_err_at(err, L2_FORMAT, rd->m->path, -1, "not a model: has no %s", name);
    return L2_OK;
}

static int compare_name(const void *name, const void *part)
{
    return strcmp(name, ((const struct part *)part)->name);
}

static struct part *find_part(const struct shard *s, const char *name)
{
    return s->n > 0 ? bsearch(name, s->parts, s->n, sizeof *s->parts, compare_name) : NULL;
}

/* ---- tensors ---- */

/* Copies the part to where its first value belongs; row_bytes is the whole tensor's. */
static void copy_part(uint8_t *out, size_t row_bytes, const struct part *p)
{
    size_t size = l2_dtype_size(p->dtype), cols = (size_t)p->shape[1];
    for (uint64_t row = 0; row < p->shape[0]; row++, out += row_bytes) {
        const uint8_t *in = p->data + row * p->stride[0] * size;
        if (p->stride[1] == 1) {
            memcpy(out, in, cols * size);
            continue;
        }
        for (size_t i = 0; i < cols; i++)
            memcpy(out + i * size, in + i * p->stride[1] * size, size);
    }
}

/* How the shards' parts make the tensor: by rows, by columns, or (a vector) all the same. */
static int check_parts(const struct reader *rd, const struct part *const *parts,
                       const struct l2_tensor *t, bool is_matrix, bool *by_column,
                       struct l2_err *err)
{
    const struct part *p = parts[0];
    *by_column = false;
    for (size_t i = 0; i < rd->n; i++) {
        const struct part *q = parts[i];
        if (q->dtype != p->dtype || q->n_dims != p->n_dims || q->shape[0] != p->shape[0] ||
            q->shape[1] != p->shape[1])
            return l2_err_at(err, L2_CORRUPT, rd->shards[i].map->name, -1,
                             "tensor %s is of another type or shape than in %.150s", p->name,
                             rd->shards[0].map->name);
    }
    if (!is_matrix && p->n_dims == 1 && p->shape[1] == t->cols)
        return L2_OK;
    if (is_matrix && p->n_dims == 2) {
        if (p->shape[0] * rd->n == t->rows && p->shape[1] == t->cols)
            return L2_OK;
        *by_column = true;
        if (p->shape[0] == t->rows && p->shape[1] * rd->n == t->cols)
            return L2_OK;
    }
    return l2_err_at(err, L2_CORRUPT, rd->shards[0].map->name, -1,
                     "tensor %s: %llu x %llu in %zu files does not make %u x %u", p->name,
                     (unsigned long long)p->shape[0], (unsigned long long)p->shape[1], rd->n,
                     (unsigned)t->rows, (unsigned)t->cols);
}

/* Tensors may share a storage (an embedding and a head), but not so that all of them together take
 * many times the files' size. */
static int count_gathered(struct reader *rd, size_t bytes, struct l2_err *err)
{
    size_t files = 0;
    for (size_t i = 0; i < rd->m->n_maps; i++)
        files += rd->m->maps[i].size;
    rd->gathered += bytes;
    if (rd->gathered / 2 > files)
        return l2_err_at(err, L2_CORRUPT, rd->m->path, -1,
                         "its tensors overlap: they would take %zu bytes, of files of %zu",
                         rd->gathered, files);
    return L2_OK;
}

/* Puts the tensor together, of n_parts, in memory that the model owns. */
static int gather(struct reader *rd, const struct part *const *parts, size_t n_parts,
                  struct l2_tensor *t, bool by_column, struct l2_err *err)
{
    size_t row_bytes = l2_tensor_row_size(t), bytes = row_bytes * t->rows;
    size_t step = by_column ? row_bytes / n_parts : row_bytes * (t->rows / n_parts);
    int r = count_gathered(rd, bytes, err);
    if (r != L2_OK)
        return r;
    uint8_t *out = malloc(bytes);
    if (!out)
        return l2_err_memory(err, bytes);
    rd->m->buffers[rd->m->n_buffers++] = out;
    for (size_t i = 0; i < n_parts; i++)
        copy_part(out + i * step, row_bytes, parts[i]);
    t->data = out;
    return L2_OK;
}

static int read_tensor(struct reader *rd, size_t index, struct l2_err *err)
{
    struct l2_tensor *t = &rd->m->tensors[index];
    const struct part *parts[MAX_SHARDS] = {NULL};
    char name[MAX_NAME];
    enum l2_role role;
    uint32_t layer;
    bool by_column;
    l2_tensor_at(&rd->m->hp, index, &role, &layer);
    l2_role_shape(&rd->m->hp, role, &t->rows, &t->cols);
    l2_tensor_name_in(l2_roles[role].meta, layer, name, sizeof name);
    for (size_t i = 0; i < rd->n; i++) {
        parts[i] = find_part(&rd->shards[i], name);
        if (!parts[i])
            return l2_err_at(err, L2_CORRUPT, rd->shards[i].map->name, -1, "has no tensor %s",
                             name);
    }
    bool is_matrix = l2_roles[role].decayed;
    int r = check_parts(rd, parts, t, is_matrix, &by_column, err);
    if (r != L2_OK)
        return r;
    t->dtype = parts[0]->dtype;
    t->interleaved = role == L2_T_Q || role == L2_T_K;
    bool plain = parts[0]->stride[1] == 1 && (!is_matrix || parts[0]->stride[0] == t->cols);
    if (plain && (!is_matrix || rd->n == 1)) {
        t->data = parts[0]->data;
        return L2_OK;
    }
    return gather(rd, parts, is_matrix ? rd->n : 1, t, by_column, err);
}

/* Sizes that only the tensors say. */
static int size_by_tensors(const struct reader *rd, const json_t *params, const char *file,
                           struct l2_err *err)
{
    struct l2_hparams *hp = &rd->m->hp;
    const json_t *vocab = json_object_get(params, "vocab_size");
    const struct part *gate = find_part(&rd->shards[0], "layers.0.feed_forward.w1.weight");
    const struct part *head = find_part(&rd->shards[0], "output.weight");
    const struct part *embed = find_part(&rd->shards[0], "tok_embeddings.weight");
    if (!gate || !embed || gate->shape[0] > UINT32_MAX / rd->n ||
        embed->shape[0] > UINT32_MAX / rd->n)
        return l2_err_at(err, L2_CORRUPT, rd->shards[0].map->name, -1, "has no tensor %s",
                         gate ? "tok_embeddings.weight" : "layers.0.feed_forward.w1.weight");
    hp->hidden = (uint32_t)(gate->shape[0] * rd->n);
    /* the embedding is split by columns (Llama 1 and 2) or by rows (Llama 3) */
    bool by_rows = embed->shape[1] == hp->dim;
    hp->vocab_size = (uint32_t)(embed->shape[0] * (by_rows ? rd->n : 1));
    hp->tied = !head;
    if (json_is_integer(vocab) && json_integer_value(vocab) >= 0 &&
        json_integer_value(vocab) != (json_int_t)hp->vocab_size)
        return l2_err_at(err, L2_CORRUPT, file, -1,
                         "vocab_size is %lld, but the embedding has %u rows",
                         (long long)json_integer_value(vocab), (unsigned)hp->vocab_size);
    bool llama3 = hp->vocab_size == LLAMA3_VOCAB;
    hp->bos = llama3 ? 128000 : 1;
    hp->eos[0] = llama3 ? 128001 : 2;
    hp->n_eos = 1;
    if (llama3) {
        hp->eos[1] = 128009;
        hp->eos[2] = 128008;
        hp->n_eos = 3;
    }
    return l2_hparams_check(hp, file, err);
}

/* Every tensor of every file must have a place. */
static int check_known(const struct reader *rd, struct l2_err *err)
{
    size_t n = l2_tensor_count(&rd->m->hp);
    for (size_t i = 0; i < n; i++) {
        char name[MAX_NAME];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(&rd->m->hp, i, &role, &layer);
        l2_tensor_name_in(l2_roles[role].meta, layer, name, sizeof name);
        for (size_t s = 0; s < rd->n; s++) {
            struct part *p = find_part(&rd->shards[s], name);
            if (p)
                p->known = true;
        }
    }
    for (size_t s = 0; s < rd->n; s++)
        for (size_t i = 0; i < rd->shards[s].n; i++)
            if (!rd->shards[s].parts[i].known)
                return l2_err_at(err, L2_UNSUPPORTED, rd->shards[s].map->name, -1,
                                 "tensor %.100s has no place in a Llama of %u layers",
                                 rd->shards[s].parts[i].name, (unsigned)rd->m->hp.n_layers);
    return L2_OK;
}

static int read_tensors(struct reader *rd, struct l2_err *err)
{
    struct l2_model *m = rd->m;
    size_t n = l2_tensor_count(&m->hp);
    m->tensors = calloc(n, sizeof *m->tensors);
    m->buffers = calloc(n, sizeof *m->buffers);
    if (!m->tensors || !m->buffers)
        return l2_err_memory(err, n * sizeof *m->tensors);
    int r = check_known(rd, err);
    for (size_t i = 0; i < n && r == L2_OK; i++)
        r = read_tensor(rd, i, err);
    return r;
}

int l2_meta_read(struct l2_model *m, struct l2_err *err)
{
    char path[L2_HF_PATH];
    json_t *params = NULL;
    struct reader *rd = calloc(1, sizeof *rd);
    if (!rd)
        return l2_err_memory(err, sizeof *rd);
    rd->m = m;
    int r = l2_hf_path(path, m->path, L2_META_PARAMS, err);
    if (r == L2_OK)
        r = l2_jsonfile_read(path, MAX_PARAMS, &params, err);
    if (r == L2_OK)
        r = l2_meta_params_read(params, path, &m->hp, err);
    if (r == L2_OK)
        r = read_shards(rd, err);
    if (r == L2_OK)
        r = size_by_tensors(rd, params, path, err);
    if (r == L2_OK)
        r = read_tensors(rd, err);
    if (r == L2_OK)
        r = l2_hf_find_vocab(&m->vocab_path, m->path, err);
    for (size_t i = 0; i < rd->n; i++)
        free(rd->shards[i].parts);
    free(rd);
    json_decref(params);
    return r;
}
