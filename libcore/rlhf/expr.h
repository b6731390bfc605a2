/* Expressions over the scores of a completion: what to choose by, where one score does not say it.
 */
/* SPDX-License-Identifier: MIT */
#ifndef L2_EXPR_H
#define L2_EXPR_H

#include "stream/record.h"

struct l2_expr;

/* Parses
 *   A ? B : C   A || B   A && B   A < B  <=  >  >=  ==  !=   A + B   A - B   A * B   A / B   -A !A
 * numbers, (A), names of scores, bare (letters, digits, _ and .) or in double quotes ("" stands for
 * one), and the functions min and max (of one or more), abs, exp, log, logit, sigmoid, and
 * llama2(SAFETY, HELPFULNESS), see l2_combined_reward. Truth values are 1 and 0; anything but 0 is
 * true. A bare name that the completion has no score of may be length (its tokens), logprob (the
 * sum of its log-probabilities) or tagged (1 or 0).
 * L2_ARGUMENT says what was expected at which byte. Owned, free with l2_expr_free. */
int l2_expr_parse(struct l2_expr **out, const char *text, struct l2_err *err) L2_MUST_CHECK;
/* llama2("safety", "helpfulness"). */
int l2_expr_llama2(struct l2_expr **out, const char *safety, const char *helpfulness,
                   struct l2_err *err) L2_MUST_CHECK;
void l2_expr_free(struct l2_expr *e);

/* The value for c, whose prompt is tagged or not; a branch that is not taken is not evaluated.
 * False where c lacks a score that is needed: *missing is its name. The value may be infinite or
 * not a number: logit(2), 1/0. */
bool l2_expr_value(const struct l2_expr *e, const struct l2_completion *c, bool tagged,
                   double *value, const char **missing);

/* The paper's threshold on the probability of being safe, 0.15, on the raw scale: logit(0.15). */
#define L2_SAFETY_THRESHOLD (-1.7346010553881064)

/* Llama 2, section 3.2.3, on raw scores (before any sigmoid): the safety score where the prompt is
 * tagged or safety < logit(0.15), else the helpfulness score. */
double l2_combined_reward(double safety, double helpfulness, bool tagged);

#endif
