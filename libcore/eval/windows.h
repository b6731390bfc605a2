/* Long texts in windows: which tokens are predicted from which. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_WINDOWS_H
#define L2_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

/* Positions count a text of n tokens behind one prefix token, which is position 0: tokens are
 * positions 1 to n. */
struct l2_window {
    size_t from;  /* the first position that is given */
    size_t first; /* the first that is predicted */
    size_t end;   /* behind the last one */
};

/* The window behind *w (all zero: the first): it predicts what comes next, each token from at most
 * window and, but for the first ones, at least context tokens before it; 1 <= context <= window.
 * The last window predicts what is left from all that there is room for. With context 1 windows
 * are disjoint, as in lm-evaluation-harness's loglikelihood_rolling. False: nothing is left. */
bool l2_window_next(size_t n, size_t window, size_t context, struct l2_window *w);

#endif
