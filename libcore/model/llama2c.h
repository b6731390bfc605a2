/* Reading llama2.c checkpoints (.bin). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_LLAMA2C_H
#define L2_LLAMA2C_H

#include "model/model.h"

/* Fills m->hp and tensors from the mapped file m->maps[0]: version 0 (no magic) or 1. On failure
 * what was filled so far stays for l2_model_close. */
int l2_llama2c_read(struct l2_model *m, struct l2_err *err) L2_MUST_CHECK;

#endif
