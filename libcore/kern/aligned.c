/* Memory for weights and activations, aligned to cache lines. */
/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* madvise */
#include <config.h>

#include "kern/aligned.h"

#include <stdlib.h>
#include <sys/mman.h>
#include "util/num.h"

#define CACHE_LINE 64
#define HUGE_PAGE  ((size_t)2 << 20)

void *l2_aligned_alloc(size_t n, size_t size, struct l2_err *err)
{
    size_t bytes, rounded;
    void *p = NULL;
    if (!l2_mul_size(n, size, &bytes)) {
        l2_err_set(err, L2_LIMIT, "%zu values of %zu bytes do not fit into memory", n, size);
        return NULL;
    }
    size_t align = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : CACHE_LINE;
    if (!l2_add_size(bytes ? bytes : 1, align - 1, &rounded) ||
        posix_memalign(&p, align, rounded / align * align) != 0) {
        l2_err_memory(err, bytes);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        (void)madvise(p, rounded / align * align, MADV_HUGEPAGE); /* only speed depends on it */
#endif
    return p;
}
