/* Hyper-parameters of models to be made, from YAML files. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PRESET_H
#define L2_PRESET_H

#include "model/hparams.h"

/* Reads a YAML mapping of field names to values:
 *   dim hidden n_layers n_heads n_kv_heads head_dim vocab_size context norm_eps rope_theta tied bos
 * eos Unknown and repeated fields, and values that are not numbers, are errors with line:column.
 * Fields that the file leaves out stay 0 for l2_preset_finish. */
int l2_preset_read(const char *path, struct l2_hparams *hp, struct l2_err *err) L2_MUST_CHECK;

/* Fills what is still 0 and follows from the rest: n_kv_heads (n_heads), head_dim (dim / n_heads);
 * then checks everything. name is for messages. */
int l2_preset_finish(struct l2_hparams *hp, const char *name, struct l2_err *err) L2_MUST_CHECK;

#endif
