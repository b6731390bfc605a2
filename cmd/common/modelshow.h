/* What l2-model show says about a checkpoint, for people and as JSON. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MODELSHOW_H
#define L2_MODELSHOW_H

#include "model/model.h"
#include "text/vocab.h"
#include "util/buf.h"

/* Append to out; vocab may be NULL. The JSON is one line. */
int l2_modelshow_text(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      struct l2_err *err) L2_MUST_CHECK;
int l2_modelshow_json(struct l2_buf *out, const struct l2_model *m, const struct l2_vocab *vocab,
                      struct l2_err *err) L2_MUST_CHECK;

#endif
