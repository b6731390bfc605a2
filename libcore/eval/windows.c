/* Long texts in windows. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/windows.h"

/* The first window predicts as many as it has room for; each later one window - context + 1, so
 * that its first one has context tokens before it. */
bool l2_window_next(size_t n, size_t window, size_t context, struct l2_window *w)
{
    size_t first = w->end > 0 ? w->end : 1;
    size_t most = w->end > 0 ? window - context + 1 : window;
    if (first > n)
        return false;
    size_t left = n - first + 1;
    w->first = first;
    w->end = first + (left < most ? left : most);
    w->from = w->end - 1 > window ? w->end - 1 - window : 0;
    return true;
}
