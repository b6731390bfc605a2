/* Elementary functions from basic arithmetic alone: IEEE 754 makes their bits equal everywhere. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "kern/math.h"
#include "kern/expf.h"
#include "kern/simd.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Adding and subtracting it rounds a double below 2^51 to the nearest integer, ties to even. */
#define ROUND64 0x1.8p52

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t to_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* 2^n for -1022 <= n <= 1023. */
static double power_of_two(int n)
{
    return from_bits((uint64_t)(n + 1023) << 52);
}

/* The same operations, in the same order, as vec_exp in vec.h. */
float l2_expf(float x)
{
    if (x < L2_EXPF_MIN)
        return 0;
    if (x > L2_EXPF_MAX)
        return INFINITY;
    float t = x * L2_EXPF_LOG2E + L2_EXPF_ROUND;
    uint32_t n, round;
    memcpy(&n, &t, sizeof n);
    t -= L2_EXPF_ROUND;
    memcpy(&round, &(float){L2_EXPF_ROUND}, sizeof round);
    n -= round; /* the rounded exponent, two's complement */
    float r = x - t * L2_EXPF_LN2_HI - t * L2_EXPF_LN2_LO;
    float q = L2_EXPF_C4;
    q = q * r + L2_EXPF_C3;
    q = q * r + L2_EXPF_C2;
    q = q * r + L2_EXPF_C1;
    q = q * r + L2_EXPF_C0;
    float p = q * (r * r) + r + 1.0f;
    /* n can be 128, which no float has as exponent: two factors. */
    uint32_t half = (uint32_t)((int32_t)n >> 1);
    uint32_t a_bits = (half + 127) << 23, b_bits = (n - half + 127) << 23;
    float a, b;
    memcpy(&a, &a_bits, sizeof a);
    memcpy(&b, &b_bits, sizeof b);
    return p * a * b;
}

void l2_expf_row(float *y, const float *x, size_t n, float shift)
{
    l2_simd_best()->expf_row(y, x, n, shift);
}

/* exp(x) = 2^n exp(r), r = x - n ln 2 in two parts, exp(r) by its series: |r| < 0.347, so that the
 * term after r^13 is below 2^-57. */
double l2_exp(double x)
{
    static const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;
    if (x != x)
        return x;
    if (x > 0x1.62e42fefa39efp9)
        return INFINITY;
    if (x < -745.2)
        return 0;
    double n = x * 0x1.71547652b82fep0 + ROUND64 - ROUND64;
    double hi = x - n * ln2_hi; /* exact: n has 11 bits, ln2_hi 32 */
    double lo = n * ln2_lo;
    double r = hi - lo;
    double tail = (hi - r) - lo;
    double q = 1.0 / 6227020800;
    q = q * r + 1.0 / 479001600;
    q = q * r + 1.0 / 39916800;
    q = q * r + 1.0 / 3628800;
    q = q * r + 1.0 / 362880;
    q = q * r + 1.0 / 40320;
    q = q * r + 1.0 / 5040;
    q = q * r + 1.0 / 720;
    q = q * r + 1.0 / 120;
    q = q * r + 1.0 / 24;
    q = q * r + 1.0 / 6;
    q = q * r + 0.5;
    double p = 1 + (r + (q * (r * r) + tail));
    int k = (int)n, half = k / 2;
    return p * power_of_two(half) * power_of_two(k - half);
}

/* log(2^k m) = k ln 2 + log(1 + f), sqrt(1/2) <= m < sqrt(2). With s = f / (2 + f),
 * log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)), R = 2 (s^2/3 + s^4/5 + ...): the leading
 * term is exact, so that rounding enters at the size of f^2 only. */
double l2_log(double x)
{
    static const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;
    if (x != x || x == INFINITY)
        return x;
    if (x < 0)
        return NAN;
    if (x == 0)
        return -INFINITY;
    int k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits = to_bits(x);
    k += (int)(bits >> 52) - 1023;
    double m = from_bits((bits & 0xfffffffffffffu) | (uint64_t)1023 << 52);
    if (m >= 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        k++;
    }
    double f = m - 1, s = f / (2 + f), z = s * s;
    double r = 2.0 / 23;
    r = r * z + 2.0 / 21;
    r = r * z + 2.0 / 19;
    r = r * z + 2.0 / 17;
    r = r * z + 2.0 / 15;
    r = r * z + 2.0 / 13;
    r = r * z + 2.0 / 11;
    r = r * z + 2.0 / 9;
    r = r * z + 2.0 / 7;
    r = r * z + 2.0 / 5;
    r = r * z + 2.0 / 3;
    r *= z;
    double half = 0.5 * f * f;
    return k * ln2_hi + (f - (half - (s * (half + r) + k * ln2_lo)));
}

/* *hi + *lo = a - b exactly (Knuth). */
static void two_diff(double a, double b, double *hi, double *lo)
{
    double d = a - b, bb = a - d;
    *lo = (a - (d + bb)) + (bb - b);
    *hi = d;
}

/* Sine and cosine of r + tail, |r| <= pi/4 or a little more, by their series: the next terms are
 * below 2^-62. */
static void sincos_small(double r, double tail, double *s, double *c)
{
    double z = r * r;
    double p = 1.0 / 355687428096000;
    p = p * z - 1.0 / 1307674368000;
    p = p * z + 1.0 / 6227020800;
    p = p * z - 1.0 / 39916800;
    p = p * z + 1.0 / 362880;
    p = p * z - 1.0 / 5040;
    p = p * z + 1.0 / 120;
    p = p * z - 1.0 / 6;
    *s = r + (p * z * r + tail * (1 - 0.5 * z));
    double q = -1.0 / 6402373705728000;
    q = q * z + 1.0 / 20922789888000;
    q = q * z - 1.0 / 87178291200;
    q = q * z + 1.0 / 479001600;
    q = q * z - 1.0 / 3628800;
    q = q * z + 1.0 / 40320;
    q = q * z - 1.0 / 720;
    q = q * z + 1.0 / 24;
    double half = 0.5 * z, w = 1 - half;
    *c = w + (((1 - w) - half) + (q * (z * z) - tail * r));
}

/* x = n pi/2 + r + tail. pi/2 is cut into parts of 23 bits, so that their products with n, which
 * has 30, are exact; the last part has 53, which leaves an error of 2^-94. */
void l2_sincos(double x, double *s, double *c)
{
    static const double part[] = {0x1.921fb4p0, 0x1.4442dp-24, 0x1.846988p-48,
                                  0x1.8cc51701b839ap-72};
    if (!(x > -0x1p30 && x < 0x1p30)) {
        *s = *c = NAN;
        return;
    }
    double n = x * 0x1.45f306dc9c883p-1 + ROUND64 - ROUND64;
    double r = x - n * part[0], tail = 0;
    for (int i = 1; i < 4; i++) {
        double lo;
        two_diff(r, n * part[i], &r, &lo);
        tail += lo;
    }
    double sum = r + tail;
    tail = (r - sum) + tail;
    double sin_r, cos_r;
    sincos_small(sum, tail, &sin_r, &cos_r);
    switch ((int64_t)n & 3) {
    case 0:
        *s = sin_r, *c = cos_r;
        break;
    case 1:
        *s = cos_r, *c = -sin_r;
        break;
    case 2:
        *s = -sin_r, *c = -cos_r;
        break;
    default:
        *s = -cos_r, *c = sin_r;
    }
}
