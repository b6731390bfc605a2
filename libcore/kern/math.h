/* Our own elementary functions, so that results do not depend on the C library. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_KERN_MATH_H
#define L2_KERN_MATH_H

#include <stddef.h>

float l2_expf(float x);  /* error below 2 ulp; 0 below -87.3, +inf above 88.7 */
double l2_exp(double x); /* error below 2 ulp */
double l2_log(double x); /* x > 0, error below 2 ulp */
void l2_sincos(double x, double *s, double *c); /* |x| < 2^30 */

/* y[i] = l2_expf(x[i] - shift), vectorised, the same bits as one by one. y may be x. */
void l2_expf_row(float *y, const float *x, size_t n, float shift);

#endif
