/* The filters of templates. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_SUBST_FILTER_H
#define L2_SUBST_FILTER_H

#include "eval/subst.h"

enum { L2_SUBST_ARGUMENTS = 3 };

struct l2_subst_call {
    const char *name; /* name_n bytes */
    size_t name_n;
    json_t *arg[L2_SUBST_ARGUMENTS]; /* n of them; NULL: a field that is not there */
    size_t n;
};

/* Replaces *v (owned; NULL: a field that is not there) by what the filter makes of it. */
int l2_subst_filter(const struct l2_subst_call *call, json_t **v, struct l2_err *err) L2_MUST_CHECK;

/* Appends v's text. */
int l2_subst_put(const json_t *v, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;

#endif
