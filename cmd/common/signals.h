/* Long runs end at a signal after what is under way. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SIGNALS_H
#define L2_SIGNALS_H

#include <stdbool.h>

/* From now on SIGTERM and SIGINT only make l2_stop_asked true. */
void l2_stop_at_signals(void);
bool l2_stop_asked(void);

#endif
