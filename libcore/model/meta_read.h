/* Reading Meta's checkpoints: params.json and consolidated.NN.pth. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_META_READ_H
#define L2_META_READ_H

#include "model/model.h"

#define L2_META_PARAMS "params.json"

/* Fills m->hp, tensors, maps and vocab_path from the directory m->path. Tensors of one file are
 * views; those that are spread over several files are put together in memory (m->buffers). Keys of
 * params.json and tensors that are not known are L2_UNSUPPORTED and named. What the format leaves
 * out is what Meta's models have: BOS and EOS of Llama 3 where the vocabulary has its 128256 rows,
 * else 1 and 2; a context of 4096, 8192 or (with scaled RoPE) 131072 positions. On failure what was
 * filled so far stays for l2_model_close. */
int l2_meta_read(struct l2_model *m, struct l2_err *err) L2_MUST_CHECK;

#endif
