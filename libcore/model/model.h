/* A checkpoint on disk, opened for reading: hyper-parameters and views of its tensors. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MODEL_H
#define L2_MODEL_H

#include "model/tensors.h"
#include "util/buf.h"
#include "util/map.h"

struct l2_model {
    struct l2_hparams hp;
    struct l2_tensor *tensors; /* l2_tensor_count(&hp) of them; owned */
    struct l2_map *maps;       /* the files; owned */
    size_t n_maps;
    void **buffers; /* memory of tensors that lie in several files; owned */
    size_t n_buffers;
    char *path;       /* as opened; owned */
    char *vocab_path; /* the vocabulary that lies in the directory, or NULL; owned */
};

/* Opens a Hugging Face directory (config.json and *.safetensors), one of Meta's (params.json and
 * consolidated.NN.pth), a GGUF file or a llama2.c .bin (v0, v1). Every
 * shape, length and offset has been checked against the files when this returns. */
int l2_model_open(struct l2_model **out, const char *path, struct l2_err *err) L2_MUST_CHECK;
void l2_model_close(struct l2_model *m);

/* Its files will not be read again soon, or only few rows of them: they need not stay in memory. */
void l2_model_drop(const struct l2_model *m);
/* The same of one tensor. */
void l2_model_drop_tensor(const struct l2_model *m, const struct l2_tensor *t);

const struct l2_tensor *l2_model_tensor(const struct l2_model *m, enum l2_role role,
                                        uint32_t layer);

/* Writing a Hugging Face directory: tensors come row by row from a callback, so that nothing is
 * held in memory. */
struct l2_model_source {
    /* Fills out[0..n_rows*cols) with rows [row, row + n_rows) of the tensor, Hugging Face order. */
    int (*rows)(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                float *out, struct l2_err *err);
    void *arg;
};

struct l2_model_write_opts {
    enum l2_dtype dtype;  /* of all tensors; a finite value that becomes infinite is L2_ARGUMENT */
    uint64_t shard_bytes; /* of tensors in one file at most; 0: one file */
    const char *vocab_path; /* copied in: a vocabulary file, or a directory that has one; or NULL */
    const struct l2_buf *vocab_bytes;  /* in place of vocab_path: what vocab_name shall hold */
    const char *vocab_name;            /* tokenizer.model or tokenizer.json */
    const struct l2_buf *vocab_config; /* what tokenizer_config.json shall hold; or NULL */
    const char *files_from; /* a directory whose other vocabulary and template files are copied,
                               too; or NULL */
    bool replace; /* an existing model directory is replaced, once the new one is whole on disk */
};

/* Creates dir, which must not exist (or, with replace, must be a model directory without
 * subdirectories). Files are written and synced under a temporary name beside it, then renamed; on
 * failure nothing is left. */
int l2_model_write(const char *dir, const struct l2_hparams *hp,
                   const struct l2_model_source *source, const struct l2_model_write_opts *opts,
                   struct l2_err *err) L2_MUST_CHECK;

#endif
