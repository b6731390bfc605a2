/* Writing checkpoints in another format or type; the mean of several. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/gguf_write.h"
#include "text/template.h"
#include "text/tokjson_write.h"
#include "text/vocab_write.h"
#include "util/gguf.h"
#include "util/str.h"

const char *const model_types[] = {"F32", "F16", "BF16", "Q8_0", "Q4_K", "Q6_K", NULL};

/* Weights on their way. */
struct mean {
    struct l2_cli *cli;
    struct l2_model *const *models;
    size_t n;
    const double *weights; /* or NULL */
    float *row;            /* of one model; owned */
    uint64_t done, total;
};

/* The sum of the models' rows, in double. */
static void mean_row(const struct mean *m, enum l2_role role, uint32_t layer, uint32_t row,
                     float *out, uint32_t cols)
{
    const struct l2_hparams *hp = &m->models[0]->hp;
    if (m->n == 1) {
        l2_tensor_row(l2_model_tensor(m->models[0], role, layer), hp->head_dim, row, out);
        return;
    }
    double *sum = (double *)(void *)(m->row + cols + cols % 2);
    memset(sum, 0, cols * sizeof *sum);
    for (size_t k = 0; k < m->n; k++) {
        double w = m->weights ? m->weights[k] : 1.0 / (double)m->n;
        l2_tensor_row(l2_model_tensor(m->models[k], role, layer), hp->head_dim, row, m->row);
        for (uint32_t i = 0; i < cols; i++)
            sum[i] += w * (double)m->row[i];
    }
    for (uint32_t i = 0; i < cols; i++)
        out[i] = (float)sum[i];
}

static int mean_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                     float *out, struct l2_err *err)
{
    struct mean *m = arg;
    uint32_t rows, cols;
    (void)err;
    l2_role_shape(&m->models[0]->hp, role, &rows, &cols);
    for (uint32_t i = 0; i < n_rows; i++)
        mean_row(m, role, layer, row + i, out + (size_t)i * cols, cols);
    for (size_t k = 0; row + n_rows == rows && k < m->n; k++)
        l2_model_drop_tensor(m->models[k], l2_model_tensor(m->models[k], role, layer));
    m->done += (uint64_t)n_rows * cols;
    l2_cli_progress(m->cli, m->done, m->total, "parameters");
    return L2_OK;
}

static int alloc_row(struct mean *m, struct l2_err *err)
{
    size_t widest = 2;
    for (size_t i = 0; i < l2_tensor_count(&m->models[0]->hp); i++)
        if (m->models[0]->tensors[i].cols > widest)
            widest = m->models[0]->tensors[i].cols;
    m->row = calloc(3 * (widest + 1), sizeof *m->row); /* a row of floats, and one of doubles */
    return m->row ? L2_OK : l2_err_memory(err, 3 * (widest + 1) * sizeof *m->row);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- GGUF ---- */

/* Metadata about the vocabulary that a GGUF file has goes over as it is, but for the ids of special
 * tokens, which are the model's. */
static int copy_metadata(struct l2_gguf_values *out, const struct l2_map *map, struct l2_err *err)
{
    static const char prefix[] = "tokenizer.";
    static const char *const own[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                                      "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    struct l2_gguf g;
    int r = l2_gguf_read(&g, map, err);
    if (r != L2_OK)
        return r;
    for (size_t i = 0; i < g.n_values && r == L2_OK; i++) {
        const struct l2_gguf_value *v = &g.values[i];
        bool wanted =
            v->key.n > sizeof prefix - 1 && memcmp(v->key.s, prefix, sizeof prefix - 1) == 0;
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            wanted = wanted && !l2_gguf_str_is(v->key, own[k]);
        if (wanted)
            r = l2_gguf_put_copy(out, v, err);
    }
    l2_gguf_release(&g);
    return r;
}

static int gguf_metadata(struct l2_gguf_values *values, const struct model_out *out,
                         const struct l2_model *m, struct l2_err *err)
{
    const char *path = out->vocab ? out->vocab : m->vocab_path;
    struct l2_vocab *vocab = NULL;
    struct l2_buf chat = {0};
    bool found = false;
    int r = L2_OK;
    if (!out->vocab && m->n_maps == 1 && l2_gguf_detect(&m->maps[0]))
        return copy_metadata(values, &m->maps[0], err);
    if (!path)
        return l2_gguf_put_str(values, "tokenizer.ggml.model", "no_vocab", 8, err);
    r = l2_vocab_open(&vocab, path, err);
    if (r == L2_OK)
        r = l2_vocab_to_gguf(values, vocab, m->hp.vocab_size, err);
    if (r == L2_OK && is_directory(m->path))
        r = l2_template_text(&chat, &found, m->path, err);
    if (r == L2_OK && found)
        r = l2_gguf_put_str(values, "tokenizer.chat_template", (const char *)chat.data, chat.len,
                            err);
    l2_buf_release(&chat);
    l2_vocab_free(vocab);
    return r;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int write_gguf(struct l2_cli *cli, const struct model_out *out, const struct l2_model *m,
                      const struct l2_model_source *source, struct l2_gguf_opts *o,
                      struct l2_err *err)
{
    struct l2_gguf_values values = {0};
    struct l2_pool *pool = NULL;
    int r = l2_pool_new(&pool, (int)cli->threads, err);
    if (r == L2_OK)
        r = gguf_metadata(&values, out, m, err);
    o->pool = pool;
    o->name = base_name(m->path);
    o->values = &values;
    o->replace = out->force;
    if (r == L2_OK)
        r = l2_gguf_model_write(out->path, &m->hp, source, o, err);
    l2_buf_release(&values.bytes);
    l2_pool_free(pool);
    return r;
}

/* ---- directories ---- */

/* What a vocabulary inside a GGUF file becomes in a directory. */
struct vocab_files {
    bool any;
    const char *name; /* of the vocabulary */
    struct l2_buf vocab, config;
};

static int convert_vocab(struct vocab_files *f, const char *path, struct l2_err *err)
{
    struct l2_vocab *vocab = NULL;
    struct l2_buf chat = {0};
    bool found = false;
    int r = l2_vocab_open(&vocab, path, err);
    if (r == L2_OK)
        r = l2_template_text(&chat, &found, path, err);
    if (r == L2_OK && l2_vocab_byte_level(vocab)) {
        f->name = "tokenizer.json";
        r = l2_vocab_to_tokjson(&f->vocab, vocab, err);
    } else if (r == L2_OK) {
        f->name = "tokenizer.model";
        r = l2_vocab_to_spm(&f->vocab, vocab, err);
    }
    if (r == L2_OK)
        r = l2_vocab_to_tokconfig(&f->config, vocab, found ? (const char *)chat.data : NULL,
                                  chat.len, err);
    l2_buf_release(&chat);
    l2_vocab_free(vocab);
    return r;
}

/* Where path is a GGUF file, and it has a vocabulary. */
static int read_vocab(struct vocab_files *f, const char *path, struct l2_err *err)
{
    struct l2_map map;
    if (!path || is_directory(path))
        return L2_OK;
    int r = l2_map_open(&map, path, err);
    if (r != L2_OK)
        return r;
    f->any = l2_gguf_detect(&map);
    l2_map_release(&map);
    return f->any ? convert_vocab(f, path, err) : L2_OK;
}

static int write_directory(const struct model_out *out, const struct l2_model *m,
                           const struct l2_model_source *source, enum l2_dtype dtype,
                           struct l2_err *err)
{
    struct vocab_files f = {0};
    struct l2_model_write_opts o = {.dtype = dtype,
                                    .shard_bytes = out->shard_size,
                                    .vocab_path = out->vocab ? out->vocab : m->vocab_path,
                                    .replace = out->force};
    if (!out->vocab && is_directory(m->path))
        o.files_from = m->path;
    int r = read_vocab(&f, o.vocab_path, err);
    if (f.any) {
        o.vocab_bytes = &f.vocab;
        o.vocab_name = f.name;
        o.vocab_config = &f.config;
    }
    if (r == L2_OK)
        r = l2_model_write(out->path, &m->hp, source, &o, err);
    l2_buf_release(&f.vocab);
    l2_buf_release(&f.config);
    return r;
}

/* ---- both ---- */

/* The type of most matrices, where l2 can write it; a quantised one in a file only. */
static enum l2_dtype own_type(const struct l2_model *m, bool gguf, const struct l2_quant **quant)
{
    const struct l2_tensor *t = l2_model_tensor(m, L2_T_UP, 0);
    *quant = NULL;
    if (t->dtype != L2_QUANTISED)
        return t->dtype;
    if (!gguf || !t->quant->encode)
        return L2_F32;
    *quant = t->quant;
    return L2_QUANTISED;
}

int model_write_rows(struct l2_cli *cli, const struct model_out *out, const struct l2_model *m,
                     const struct l2_hparams *hp, const struct l2_model_source *source,
                     struct l2_err *err)
{
    struct l2_model view = *m; /* but of other hyper-parameters */
    bool gguf = l2_ends_in(out->path, ".gguf");
    struct l2_gguf_opts o = {.dtype = L2_F32};
    view.hp = *hp;
    if (out->type < 0) {
        o.dtype = own_type(m, gguf, &o.quant);
    } else if (out->type > (int)L2_BF16) {
        o.quant = l2_quant_by_name(model_types[out->type]);
        o.dtype = L2_QUANTISED;
    } else {
        o.dtype = (enum l2_dtype)out->type;
    }
    if (!gguf && o.dtype == L2_QUANTISED)
        return l2_err_set(err, L2_ARGUMENT, "%s is for files: want -o FILE.gguf", o.quant->name);
    int r = gguf ? write_gguf(cli, out, &view, source, &o, err)
                 : write_directory(out, &view, source, o.dtype, err);
    if (r == L2_OK) {
        json_object_set_new(cli->report, "output", json_string(out->path));
        json_object_set_new(cli->report, "dtype",
                            json_string(o.quant ? o.quant->name : l2_dtype_name(o.dtype)));
        json_object_set_new(cli->report, "parameters",
                            json_integer((json_int_t)l2_hparams_parameters(hp)));
    }
    return r;
}

int model_write_mean(struct l2_cli *cli, const struct model_out *out,
                     struct l2_model *const *models, size_t n, const double *weights,
                     struct l2_err *err)
{
    struct mean mean = {.cli = cli, .models = models, .n = n, .weights = weights};
    const struct l2_model_source source = {.rows = mean_rows, .arg = &mean};
    mean.total = l2_hparams_parameters(&models[0]->hp);
    int r = alloc_row(&mean, err);
    if (r == L2_OK)
        r = model_write_rows(cli, out, models[0], &models[0]->hp, &source, err);
    free(mean.row);
    return r;
}
