/* Reading models from GGUF files. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GGUF_READ_H
#define L2_GGUF_READ_H

#include "model/model.h"

/* Fills in m (path is set, the rest zero) from its mapped file, m->maps[0]. Llama models of all
 * types in l2_quants, and F32, F16 and BF16, mixed. Metadata that changes the result and is not
 * understood is L2_UNSUPPORTED and named. The caller closes m on failure. */
int l2_gguf_model_read(struct l2_model *m, struct l2_err *err) L2_MUST_CHECK;

#endif
