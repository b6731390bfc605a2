/* Writing a Hugging Face directory: config.json, safetensors in one file or in shards with an
 * index, and the vocabulary. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/hf_read.h"
#include "model/hf_config.h"
#include "model/newdir.h"
#include "model/safetensors.h"
#include "util/num.h"
#include "util/str.h"

#define CHUNK_VALUES ((size_t)1 << 18) /* converted and written at once, in whole rows */

struct writer {
    const struct l2_hparams *hp;
    const struct l2_model_source *source;
    const struct l2_model_write_opts *opts;
    struct l2_newdir dir;
    uint32_t *shard_of; /* for each tensor, counted from 0; owned */
    uint32_t n_shards;
    float *values;  /* CHUNK_VALUES or one row; owned */
    uint8_t *bytes; /* the same, converted; owned */
};

static uint64_t tensor_bytes(const struct writer *w, size_t index)
{
    enum l2_role role;
    uint32_t layer, rows, cols;
    l2_tensor_at(w->hp, index, &role, &layer);
    l2_role_shape(w->hp, role, &rows, &cols);
    return (uint64_t)rows * cols * l2_dtype_size(w->opts->dtype);
}

/* Fills shards one after the other; a tensor is never split. */
static int plan_shards(struct writer *w, struct l2_err *err)
{
    size_t n = l2_tensor_count(w->hp);
    uint64_t used = 0;
    w->shard_of = calloc(n, sizeof w->shard_of[0]);
    if (!w->shard_of)
        return l2_err_memory(err, n * sizeof w->shard_of[0]);
    w->n_shards = 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = tensor_bytes(w, i);
        if (w->opts->shard_bytes > 0 && used > 0 && used + bytes > w->opts->shard_bytes) {
            w->n_shards++;
            used = 0;
        }
        used += bytes;
        w->shard_of[i] = w->n_shards - 1;
    }
    return L2_OK;
}

static void shard_name(const struct writer *w, uint32_t shard, char *out, size_t size)
{
    if (w->n_shards == 1)
        snprintf(out, size, L2_HF_FILE);
    else
        snprintf(out, size, "model-%05u-of-%05u.safetensors", (unsigned)shard + 1,
                 (unsigned)w->n_shards);
}

static int alloc_chunk(struct writer *w, struct l2_err *err)
{
    size_t n = CHUNK_VALUES;
    for (size_t i = 0; i < l2_tensor_count(w->hp); i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(w->hp, i, &role, &layer);
        l2_role_shape(w->hp, role, &rows, &cols);
        n = cols > n ? cols : n;
    }
    w->values = calloc(n, sizeof w->values[0]);
    w->bytes = calloc(n, sizeof w->values[0]);
    return w->values && w->bytes ? L2_OK : l2_err_memory(err, 2 * n * sizeof w->values[0]);
}

/* Converts n values to the wire. False where a finite one has become infinite. */
static bool convert(uint8_t *out, const float *in, size_t n, enum l2_dtype dtype)
{
    bool fits = true;
    if (dtype == L2_F32) {
        l2_put_f32le_array(out, in, n);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = dtype == L2_F16 ? l2_f16_from_f32(in[i]) : l2_bf16_from_f32(in[i]);
        float back = dtype == L2_F16 ? l2_f32_from_f16(h) : l2_f32_from_bf16(h);
        fits = fits && !(isinf(back) && isfinite(in[i]));
        l2_put_u16le(out + 2 * i, h);
    }
    return fits;
}

static int write_tensor(struct writer *w, struct l2_newfile *f, enum l2_role role, uint32_t layer,
                        struct l2_err *err)
{
    char name[128];
    uint32_t rows, cols;
    enum l2_dtype dtype = w->opts->dtype;
    l2_role_shape(w->hp, role, &rows, &cols);
    uint32_t step = cols >= CHUNK_VALUES ? 1 : (uint32_t)(CHUNK_VALUES / cols);
    for (uint32_t row = 0; row < rows;) {
        uint32_t n = rows - row < step ? rows - row : step;
        size_t values = (size_t)n * cols;
        int r = w->source->rows(w->source->arg, role, layer, row, n, w->values, err);
        if (r != L2_OK)
            return r;
        if (!convert(w->bytes, w->values, values, dtype)) {
            l2_tensor_name(role, layer, name, sizeof name);
            return l2_err_at(err, L2_ARGUMENT, name, -1, "holds a value too large for %s",
                             l2_dtype_name(dtype));
        }
        r = l2_newfile_write(f, w->bytes, values * l2_dtype_size(dtype), err);
        if (r != L2_OK)
            return r;
        row += n;
    }
    return L2_OK;
}

static int shard_header(const struct writer *w, uint32_t shard, struct l2_buf *out,
                        struct l2_err *err)
{
    struct l2_st_writer header;
    int r = l2_st_write_begin(&header, out, err);
    for (size_t i = 0; r == L2_OK && i < l2_tensor_count(w->hp); i++) {
        char name[128];
        enum l2_role role;
        uint32_t layer, rows, cols;
        if (w->shard_of[i] != shard)
            continue;
        l2_tensor_at(w->hp, i, &role, &layer);
        l2_role_shape(w->hp, role, &rows, &cols);
        l2_tensor_name(role, layer, name, sizeof name);
        r = l2_st_write_add(&header, name, l2_dtype_name(w->opts->dtype),
                            l2_roles[role].decayed ? rows : 0,
                            l2_roles[role].decayed ? cols : rows * cols, tensor_bytes(w, i), err);
    }
    return r == L2_OK ? l2_st_write_end(&header, err) : r;
}

static int write_shard(struct writer *w, uint32_t shard, struct l2_err *err)
{
    char name[64];
    struct l2_newfile f;
    struct l2_buf header = {0};
    shard_name(w, shard, name, sizeof name);
    int r = l2_newdir_file(&f, &w->dir, name, err);
    if (r != L2_OK)
        return r;
    r = shard_header(w, shard, &header, err);
    if (r == L2_OK)
        r = l2_newfile_write(&f, header.data, header.len, err);
    for (size_t i = 0; r == L2_OK && i < l2_tensor_count(w->hp); i++) {
        enum l2_role role;
        uint32_t layer;
        if (w->shard_of[i] != shard)
            continue;
        l2_tensor_at(w->hp, i, &role, &layer);
        r = write_tensor(w, &f, role, layer, err);
    }
    l2_buf_release(&header);
    return l2_newfile_close(&f, r, err);
}

static int write_text(struct writer *w, const char *name, const struct l2_buf *text,
                      struct l2_err *err)
{
    struct l2_newfile f;
    int r = l2_newdir_file(&f, &w->dir, name, err);
    if (r == L2_OK)
        r = l2_newfile_write(&f, text->data, text->len, err);
    return l2_newfile_close(&f, r, err);
}

static int write_config(struct writer *w, struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = l2_hf_config_write(&text, w->hp, w->opts->dtype, err);
    if (r == L2_OK)
        r = write_text(w, "config.json", &text, err);
    l2_buf_release(&text);
    return r;
}

static int write_index(struct writer *w, struct l2_err *err)
{
    struct l2_buf text = {0};
    uint64_t total = 0;
    size_t n = l2_tensor_count(w->hp);
    for (size_t i = 0; i < n; i++)
        total += tensor_bytes(w, i);
    int r =
        l2_buf_printf(&text, err, "{\n \"metadata\": {\"total_size\": %llu},\n \"weight_map\": {",
                      (unsigned long long)total);
    for (size_t i = 0; r == L2_OK && i < n; i++) {
        char name[128], file[64];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(w->hp, i, &role, &layer);
        l2_tensor_name(role, layer, name, sizeof name);
        shard_name(w, w->shard_of[i], file, sizeof file);
        r = l2_buf_printf(&text, err, "%s\n  \"%s\": \"%s\"", i > 0 ? "," : "", name, file);
    }
    if (r == L2_OK)
        r = l2_buf_append_str(&text, "\n }\n}\n", err);
    if (r == L2_OK)
        r = write_text(w, L2_HF_INDEX, &text, err);
    l2_buf_release(&text);
    return r;
}

static int copy_bytes(int fd, const char *from, struct l2_newfile *to, struct l2_err *err)
{
    char block[65536];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return l2_err_sys(err, errno, from, "cannot read");
        if (n == 0)
            return L2_OK;
        int r = l2_newfile_write(to, block, (size_t)n, err);
        if (r != L2_OK)
            return r;
    }
}

static int copy_file(struct writer *w, const char *path, const char *name, struct l2_err *err)
{
    struct l2_newfile f;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return l2_err_sys(err, errno, path, "cannot open");
    int r = l2_newdir_file(&f, &w->dir, name, err);
    if (r == L2_OK)
        r = copy_bytes(fd, path, &f, err);
    close(fd);
    return l2_newfile_close(&f, r, err);
}

/* Copies a vocabulary under the name that its kind has in a directory. */
static int copy_vocab(struct writer *w, const char *path, struct l2_err *err)
{
    return copy_file(w, path,
                     l2_ends_in(path, ".bin")    ? "tokenizer.bin"
                     : l2_ends_in(path, ".json") ? "tokenizer.json"
                                                 : "tokenizer.model",
                     err);
}

/* The files of opts->files_from that are there, but for the vocabulary that is copied anyway. */
static int copy_files(struct writer *w, struct l2_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model",
                                        "tokenizer_config.json", "special_tokens_map.json",
                                        "chat_template.jinja"};
    char path[L2_HF_PATH];
    int r = L2_OK;
    for (size_t i = 0; w->opts->files_from && i < sizeof names / sizeof *names && r == L2_OK; i++) {
        if ((w->opts->vocab_path && l2_ends_in(w->opts->vocab_path, names[i])) ||
            (w->opts->vocab_bytes && strcmp(names[i], w->opts->vocab_name) == 0) ||
            (w->opts->vocab_config && strcmp(names[i], "tokenizer_config.json") == 0))
            continue;
        r = l2_hf_path(path, w->opts->files_from, names[i], err);
        if (r == L2_OK && access(path, F_OK) == 0)
            r = copy_file(w, path, names[i], err);
    }
    return r;
}

static int write_vocab(struct writer *w, struct l2_err *err)
{
    struct stat st;
    char *found = NULL;
    const char *path = w->opts->vocab_path;
    int r = L2_OK;
    if (w->opts->vocab_config)
        r = write_text(w, "tokenizer_config.json", w->opts->vocab_config, err);
    if (r == L2_OK && w->opts->vocab_bytes)
        return write_text(w, w->opts->vocab_name, w->opts->vocab_bytes, err);
    if (r != L2_OK || !path)
        return r;
    if (stat(path, &st) != 0)
        return l2_err_sys(err, errno, path, "cannot open");
    if (!S_ISDIR(st.st_mode))
        return copy_vocab(w, path, err);
    r = l2_hf_find_vocab(&found, path, err);
    if (r == L2_OK && !found)
        r = l2_err_at(err, L2_FORMAT, path, -1,
                      "has no tokenizer.json, tokenizer.model or tokenizer.bin");
    if (r == L2_OK)
        r = copy_vocab(w, found, err);
    free(found);
    return r;
}

int l2_model_write(const char *dir, const struct l2_hparams *hp,
                   const struct l2_model_source *source, const struct l2_model_write_opts *opts,
                   struct l2_err *err)
{
    struct writer w = {.hp = hp, .source = source, .opts = opts};
    int r = l2_hparams_check(hp, dir, err);
    if (r == L2_OK)
        r = l2_newdir_begin(&w.dir, dir, opts->replace, "config.json", err);
    if (r == L2_OK)
        r = plan_shards(&w, err);
    if (r == L2_OK)
        r = alloc_chunk(&w, err);
    for (uint32_t i = 0; r == L2_OK && i < w.n_shards; i++)
        r = write_shard(&w, i, err);
    if (r == L2_OK && w.n_shards > 1)
        r = write_index(&w, err);
    if (r == L2_OK)
        r = write_vocab(&w, err);
    if (r == L2_OK)
        r = copy_files(&w, err);
    if (r == L2_OK)
        r = write_config(&w, err);
    if (r == L2_OK)
        r = l2_newdir_commit(&w.dir, err);
    free(w.values);
    free(w.bytes);
    free(w.shard_of);
    l2_newdir_release(&w.dir);
    return r;
}
