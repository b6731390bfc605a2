/* How much memory this process may take. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_MEMORY_H
#define L2_MEMORY_H

#include <stdint.h>

/* Bytes that can be used without swapping: what the system says is available, within the limit of
 * the control group. 0 where nothing is known. */
uint64_t l2_memory_available(void);

#endif
