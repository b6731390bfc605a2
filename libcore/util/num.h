/* Checked arithmetic on sizes, and the only way in which bytes become integers and back. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_NUM_H
#define L2_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a op b; returns false (and sets *out to 0) when the result does not fit. */
bool l2_mul_size(size_t a, size_t b, size_t *out) __attribute__((warn_unused_result));
bool l2_add_size(size_t a, size_t b, size_t *out) __attribute__((warn_unused_result));

/* Little-endian integers and floats at any alignment. */
uint16_t l2_get_u16le(const void *p);
uint32_t l2_get_u32le(const void *p);
uint64_t l2_get_u64le(const void *p);
float l2_get_f32le(const void *p);
double l2_get_f64le(const void *p);
void l2_put_u16le(void *p, uint16_t v);
void l2_put_u32le(void *p, uint32_t v);
void l2_put_u64le(void *p, uint64_t v);
void l2_put_f32le(void *p, float v);
void l2_put_f64le(void *p, double v);

/* Arrays of n little-endian 32-bit values at any alignment; dst and src must not overlap. */
void l2_get_u32le_array(uint32_t *dst, const void *src, size_t n);
void l2_get_f32le_array(float *dst, const void *src, size_t n);
void l2_put_u32le_array(void *dst, const uint32_t *src, size_t n);
void l2_put_f32le_array(void *dst, const float *src, size_t n);

/* Half-precision and bfloat16 values to and from float; to bf16/f16 rounds to nearest even. */
float l2_f32_from_f16(uint16_t h);
float l2_f32_from_bf16(uint16_t h);
uint16_t l2_f16_from_f32(float f);
uint16_t l2_bf16_from_f32(float f);

/* Parses the whole of the NUL-terminated s. False on anything else in s, overflow, NaN or empty. */
bool l2_parse_i64(const char *s, int64_t *out) __attribute__((warn_unused_result));
bool l2_parse_u64(const char *s, uint64_t *out) __attribute__((warn_unused_result));
bool l2_parse_f64(const char *s, double *out) __attribute__((warn_unused_result));
/* A byte count with an optional suffix K, M, G or T (powers of 1024). */
bool l2_parse_bytes(const char *s, uint64_t *out) __attribute__((warn_unused_result));

/* The shortest decimal digits that read back as the same value; finite values only. Always has a
 * '.' or an exponent, so that it reads back as a real number. out has at least 32 bytes; returns
 * the length. */
size_t l2_format_f64(char *out, double v);
size_t l2_format_f32(char *out, float v);

#endif
