/* Long runs end at a signal after what is under way. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t asked;

static void on_signal(int signal)
{
    (void)signal;
    asked = 1;
}

void l2_stop_at_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

bool l2_stop_asked(void)
{
    return asked != 0;
}
