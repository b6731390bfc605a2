/* Reading a Hugging Face directory into a model, and names inside one. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_HF_READ_H
#define L2_HF_READ_H

#include "model/model.h"

#define L2_HF_PATH  4096 /* bytes of a path, NUL included */
#define L2_HF_FILE  "model.safetensors"
#define L2_HF_INDEX "model.safetensors.index.json"

/* "dir/name" into out. L2_ARGUMENT where it is too long. */
int l2_hf_path(char out[L2_HF_PATH], const char *dir, const char *name,
               struct l2_err *err) L2_MUST_CHECK;

/* The vocabulary file in a directory (tokenizer.json, else tokenizer.model, else tokenizer.bin) as
 * an owned string, or NULL. */
int l2_hf_find_vocab(char **out, const char *dir, struct l2_err *err) L2_MUST_CHECK;

/* Fills m->hp, tensors, maps and vocab_path from the directory m->path. On failure what was filled
 * so far stays for l2_model_close. */
int l2_hf_read(struct l2_model *m, struct l2_err *err) L2_MUST_CHECK;

#endif
