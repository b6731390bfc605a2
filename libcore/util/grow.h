/* Arrays that grow. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GROW_H
#define L2_GROW_H

#include "util/err.h"

/* array is the address of the pointer to the array's objects of size bytes each, allocated by
 * malloc (or NULL); on failure it stays as it was. */

/* Makes it n objects long. */
int l2_resize(void *array, size_t n, size_t size, struct l2_err *err) L2_MUST_CHECK;
/* Makes room for `more` objects behind the n in use, of *cap; growth is geometric. */
int l2_grow(void *array, size_t n, size_t *cap, size_t more, size_t size,
            struct l2_err *err) L2_MUST_CHECK;

#endif
