/* Win rates and their intervals. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/winrate.h"

#include <math.h>

void l2_wins_add(struct l2_wins *w, double better, double tie)
{
    if (fabs(better) <= tie)
        w->ties++;
    else if (better > 0)
        w->wins++;
    else
        w->losses++;
}

void l2_win_rates(const struct l2_wins *w, struct l2_win_rates *out)
{
    double wins = (double)w->wins, ties = (double)w->ties, losses = (double)w->losses;
    double n = wins + ties + losses, decided = wins + losses;
    out->win = n > 0 ? wins / n : NAN;
    out->tie = n > 0 ? ties / n : NAN;
    out->loss = n > 0 ? losses / n : NAN;
    out->rate = n > 0 ? (wins + ties / 2) / n : NAN;
    out->decided = decided > 0 ? wins / decided : NAN;
    out->rate_ci = l2_wilson(wins + ties / 2, n, L2_Z95);
    out->decided_ci = l2_wilson(wins, decided, L2_Z95);
    out->z = decided > 0 ? (wins - losses) / sqrt(decided) : NAN;
}
