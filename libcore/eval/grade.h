/* What the answers to one question are worth. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_GRADE_H
#define L2_GRADE_H

#include "eval/task.h"

/* Whether an answer is right by other means than comparing; text is what is checked. */
typedef int l2_checker(void *arg, const char *text, size_t n, bool *right, struct l2_err *err);

/* The n answers, taken out by filter number f, of a question about doc with references: *taken
 * (owned, free with json_decref) is the list of what was taken out, values[0..t->n_metrics) the
 * metrics. check may be NULL; it decides pass@K, on t->check rendered with the answer as
 * {{choice}}. */
int l2_grade(const struct l2_task *t, size_t f, const json_t *doc, const json_t *references,
             const json_t *answers, l2_checker *check, void *arg, json_t **taken, double *values,
             struct l2_err *err) L2_MUST_CHECK;

#endif
