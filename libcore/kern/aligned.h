/* Memory for weights and activations. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_ALIGNED_H
#define L2_ALIGNED_H

#include "util/err.h"

/* n * size bytes (at least one), aligned to 64, in huge pages where they are large and the system
 * has them; not cleared. NULL with err set when out of memory or when n * size overflows. Owned,
 * free with free(). */
void *l2_aligned_alloc(size_t n, size_t size, struct l2_err *err) L2_MUST_CHECK;

#endif
