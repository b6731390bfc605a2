/* Comparisons of two models: wins, ties and losses, from verdicts, ratings or scores. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_WINRATE_H
#define L2_WINRATE_H

#include "eval/stats.h"

struct l2_wins {
    uint64_t wins, ties, losses;
};

/* Counts a comparison by how much better the first is; within `tie` of 0 it is a tie. */
void l2_wins_add(struct l2_wins *w, double better, double tie);

struct l2_win_rates {
    double win, tie, loss;         /* shares of all comparisons */
    double rate;                   /* a tie as half a win */
    double decided;                /* wins of wins and losses; NAN without either */
    struct l2_interval rate_ci;    /* Wilson's, 95% */
    struct l2_interval decided_ci; /* the same */
    double z;                      /* of as many wins as losses; beyond 2: not by chance */
};
void l2_win_rates(const struct l2_wins *w, struct l2_win_rates *out);

#endif
