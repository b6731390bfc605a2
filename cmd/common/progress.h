/* The progress line's state. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PROGRESS_H
#define L2_PROGRESS_H

#include "common/cli.h"

/* Takes the progress line off the screen before something else is printed there. */
void l2_progress_clear(struct l2_cli *cli);

/* Seconds on the monotonic clock. */
double l2_seconds(void);

#endif
