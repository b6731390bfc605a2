/* Checked arithmetic, byte order, half-precision floats, and numbers as text. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/num.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool l2_mul_size(size_t a, size_t b, size_t *out)
{
    if (__builtin_mul_overflow(a, b, out)) {
        *out = 0;
        return false;
    }
    return true;
}

bool l2_add_size(size_t a, size_t b, size_t *out)
{
    if (__builtin_add_overflow(a, b, out)) {
        *out = 0;
        return false;
    }
    return true;
}

uint16_t l2_get_u16le(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t l2_get_u32le(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t l2_get_u64le(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)l2_get_u32le(b) | (uint64_t)l2_get_u32le(b + 4) << 32;
}

float l2_get_f32le(const void *p)
{
    uint32_t u = l2_get_u32le(p);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

double l2_get_f64le(const void *p)
{
    uint64_t u = l2_get_u64le(p);
    double d;
    memcpy(&d, &u, sizeof d);
    return d;
}

void l2_put_u16le(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

void l2_put_u32le(void *p, uint32_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)(v >> 16);
    b[3] = (uint8_t)(v >> 24);
}

void l2_put_u64le(void *p, uint64_t v)
{
    uint8_t *b = p;
    l2_put_u32le(b, (uint32_t)v);
    l2_put_u32le(b + 4, (uint32_t)(v >> 32));
}

void l2_put_f32le(void *p, float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    l2_put_u32le(p, u);
}

void l2_put_f64le(void *p, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    l2_put_u64le(p, u);
}

/* On little-endian machines an array is its own wire form. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

static void copy32(void *dst, const void *src, size_t n)
{
    if (n > 0)
        memcpy(dst, src, 4 * n);
}

void l2_get_u32le_array(uint32_t *dst, const void *src, size_t n)
{
    copy32(dst, src, n);
}

void l2_get_f32le_array(float *dst, const void *src, size_t n)
{
    copy32(dst, src, n);
}

void l2_put_u32le_array(void *dst, const uint32_t *src, size_t n)
{
    copy32(dst, src, n);
}

void l2_put_f32le_array(void *dst, const float *src, size_t n)
{
    copy32(dst, src, n);
}

#else

void l2_get_u32le_array(uint32_t *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = l2_get_u32le((const uint8_t *)src + 4 * i);
}

void l2_get_f32le_array(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = l2_get_f32le((const uint8_t *)src + 4 * i);
}

void l2_put_u32le_array(void *dst, const uint32_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l2_put_u32le((uint8_t *)dst + 4 * i, src[i]);
}

void l2_put_f32le_array(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l2_put_f32le((uint8_t *)dst + 4 * i, src[i]);
}

#endif

static float float_of_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

float l2_f32_from_bf16(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

uint16_t l2_bf16_from_f32(float f)
{
    uint32_t u = bits_of_float(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40); /* NaN stays NaN when its low bits are cut */
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

float l2_f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 0x1f;
    uint32_t mantissa = h & 0x3ff;
    if (exponent == 0x1f)
        return float_of_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) {
        float tiny = (float)mantissa * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t l2_f16_from_f32(float f)
{
    uint32_t u = bits_of_float(f);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00;
    if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
        return sign | 0x7c00;
    if (magnitude < 0x38800000u) {
        /* below 2^-14: adding 0.5 leaves the subnormal's bits, rounded, at the low end */
        float shifted = float_of_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_of_float(shifted) - 0x3f000000u));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | (magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

bool l2_parse_i64(const char *s, int64_t *out)
{
    char *end;
    *out = 0;
    if (!(s[0] == '-' || (s[0] >= '0' && s[0] <= '9')))
        return false;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno != 0 || end == s || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool l2_parse_u64(const char *s, uint64_t *out)
{
    char *end;
    *out = 0;
    if (!(s[0] >= '0' && s[0] <= '9'))
        return false;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool l2_parse_f64(const char *s, double *out)
{
    char *end;
    *out = 0;
    /* strtod also takes leading space, hexadecimal, "inf" and "nan" */
    if (s[0] == '\0' || s[strspn(s, "0123456789+-.eE")] != '\0')
        return false;
    errno = 0;
    double v = strtod(s, &end);
    if (end == s || *end != '\0' || !isfinite(v) || (errno == ERANGE && v != 0 && fabs(v) > 1))
        return false;
    *out = v;
    return true;
}

bool l2_parse_bytes(const char *s, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    char digits[32];
    size_t n = strlen(s);
    unsigned shift = 0;
    *out = 0;
    if (n == 0 || n >= sizeof digits)
        return false;
    const char *suffix = strchr(suffixes, s[n - 1]);
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        n--;
    }
    memcpy(digits, s, n);
    digits[n] = '\0';
    uint64_t v;
    if (!l2_parse_u64(digits, &v) || v > UINT64_MAX >> shift)
        return false;
    *out = v << shift;
    return true;
}

/* Tries more and more digits until they read back. */
static size_t format_shortest(char *out, double v, bool is_float)
{
    char digits[48];
    int least = is_float ? 6 : 15, most = is_float ? 9 : 17;
    if (fabs(v) < (is_float ? (double)FLT_MIN : DBL_MIN))
        least = 1; /* subnormal: fewer digits may do */
    for (int n = least; n <= most; n++) {
        snprintf(digits, sizeof digits, "%.*g", n, v);
        if (is_float ? strtof(digits, NULL) == (float)v : strtod(digits, NULL) == v)
            break;
    }
    size_t len = strlen(digits);
    memcpy(out, digits, len + 1);
    if (!strpbrk(out, ".en")) {
        memcpy(out + len, ".0", 3);
        len += 2;
    }
    return len;
}

size_t l2_format_f64(char *out, double v)
{
    return format_shortest(out, v, false);
}

size_t l2_format_f32(char *out, float v)
{
    return format_shortest(out, (double)v, true);
}
