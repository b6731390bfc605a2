/* A model's identity, cheap to find: whether this is the model of an earlier run. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_FINGERPRINT_H
#define L2_FINGERPRINT_H

#include "model/model.h"
#include "util/sha256.h"

/* SHA-256 over the hyper-parameters and, of each tensor, its type, shape and 12 KiB of its bytes
 * from its beginning, middle and end. Training changes it; where the files lie does not. */
void l2_model_fingerprint(const struct l2_model *m, uint8_t out[L2_SHA256_SIZE]);

#endif
