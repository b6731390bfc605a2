/* What l2-model show says about a checkpoint, for people and as JSON. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MODELSHOW_H
#define L2_MODELSHOW_H

#include "kern/kv_block.h"
#include "model/model.h"
#include "text/vocab.h"
#include "util/buf.h"

/* What memory is told for: sequences of that many positions (0: the model's context), their keys
 * and values kept as kv_type. */
struct l2_modelshow_load {
    uint32_t positions, batch;
    enum l2_kv_type kv_type;
};

/* Append to out; vocab may be NULL, and so may template, the name of the model's chat template. The
 * JSON is one line. */
int l2_modelshow_text(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      const char *template, const struct l2_modelshow_load *load,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_modelshow_json(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      const char *template, const struct l2_modelshow_load *load,
                      struct l2_err *err) L2_MUST_CHECK;

#endif
