/* The parts of l2-rsample: choosing, and showing what the choice looks like. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RSAMPLE_H
#define L2_RSAMPLE_H

#include "common/pipe.h"
#include "rlhf/curve.h"
#include "rlhf/select.h"

struct sampling {
    struct l2_cli *cli;
    struct l2_pipe *pipe;
    const char *by_text;
    struct l2_expr *by; /* owned */
    struct l2_select_opts select;
    struct l2_select_counts counts;
    uint64_t records_in;
    char first_unscored[512]; /* "" */
    struct l2_curve *curve;   /* --curve; owned */
    struct l2_buf text;       /* what is shown; owned */
    uint64_t explained;       /* records */
};

int rsample_curve_add(struct sampling *s, struct l2_record *rec, struct l2_err *err);
/* Where rec has the id: adds its table to s->text. */
int rsample_explain(struct sampling *s, const char *id, struct l2_record *rec, struct l2_err *err);
/* Writes the curve or what was explained to -o or standard output. explain may be NULL. */
int rsample_show(struct sampling *s, const char *explain, struct l2_err *err);

#endif
