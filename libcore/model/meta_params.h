/* The params.json of Meta's checkpoints. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_META_PARAMS_H
#define L2_META_PARAMS_H

#include <jansson.h>
#include "model/hparams.h"

/* Reads what a params.json says into *hp: all but hidden, vocab_size, tied and the special tokens,
 * which the tensors say. A key that is not understood is L2_UNSUPPORTED and named. file is for
 * messages. */
int l2_meta_params_read(const json_t *j, const char *file, struct l2_hparams *hp,
                        struct l2_err *err) L2_MUST_CHECK;

#endif
