/* Quantisation of weights: scales are searched for, values rounded to nearest. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/quant_encode.h"

#include <math.h>
#include <string.h>

#include "util/num.h"

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

static int nearest(float x)
{
    return (int)lrintf(x);
}

/* x / d for a d that may be 0. */
static float inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

void l2_encode_q8_0(uint8_t *out, const float *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 32, out += 34) {
        float largest = 0;
        for (int i = 0; i < 32; i++)
            largest = fmaxf(largest, fabsf(in[i]));
        uint16_t d = l2_f16_from_f32(largest / 127);
        float scale = inverse(l2_f32_from_f16(d));
        l2_put_u16le(out, d);
        for (int i = 0; i < 32; i++)
            out[2 + i] = (uint8_t)(int8_t)clamp(nearest(in[i] * scale), -127, 127);
    }
}

/* The weight of a value's squared error: larger values matter more to the products they are in. */
static float importance(float x, float mean_square)
{
    return sqrtf(mean_square) + fabsf(x);
}

static float mean_square(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum / (float)n;
}

/* Step and offset (both >= 0) so that x ~ step * q - offset with q in 0..15: rounds with a number
 * of trial steps, refits both by weighted least squares, keeps the best. */
static void fit_step_offset(const float x[32], float *step, float *offset)
{
    float low = 0, high = x[0], ms = mean_square(x, 32), best = INFINITY;
    for (int i = 0; i < 32; i++) {
        low = fminf(low, x[i]); /* never above 0: the offset is not negative */
        high = fmaxf(high, x[i]);
    }
    *step = 0;
    *offset = -low;
    if (high <= low)
        return;
    for (int trial = -10; trial <= 10; trial++) {
        float scale = (15 + 0.1f * (float)trial) / (high - low);
        float sw = 0, sq = 0, sqq = 0, sx = 0, sqx = 0;
        for (int i = 0; i < 32; i++) {
            float q = (float)clamp(nearest((x[i] - low) * scale), 0, 15), w = importance(x[i], ms);
            sw += w;
            sq += w * q;
            sqq += w * q * q;
            sx += w * x[i];
            sqx += w * q * x[i];
        }
        float det = sw * sqq - sq * sq;
        if (det <= 0)
            continue;
        float s = (sw * sqx - sq * sx) / det, o = (sq * sqx - sqq * sx) / det;
        if (o < 0) { /* the best offset is not allowed: fit the step alone */
            o = 0;
            s = sqx / sqq;
        }
        if (s <= 0)
            continue;
        float error = 0;
        for (int i = 0; i < 32; i++) {
            float q = (float)clamp(nearest((x[i] + o) / s), 0, 15), e = s * q - o - x[i];
            error += importance(x[i], ms) * e * e;
        }
        if (error < best) {
            best = error;
            *step = s;
            *offset = o;
        }
    }
}

static void pack_scales(uint8_t packed[12], const uint8_t scale[8], const uint8_t min[8])
{
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scale[j] | scale[j + 4] >> 4 << 6);
        packed[j + 4] = (uint8_t)(min[j] | min[j + 4] >> 4 << 6);
        packed[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

void l2_encode_q4_k(uint8_t *out, const float *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 256, out += 144) {
        float step[8], offset[8], most_step = 0, most_offset = 0;
        uint8_t scale[8], min[8];
        for (int j = 0; j < 8; j++) {
            fit_step_offset(in + 32 * j, &step[j], &offset[j]);
            most_step = fmaxf(most_step, step[j]);
            most_offset = fmaxf(most_offset, offset[j]);
        }
        uint16_t d = l2_f16_from_f32(most_step / 63), dmin = l2_f16_from_f32(most_offset / 63);
        float d_of = l2_f32_from_f16(d), dmin_of = l2_f32_from_f16(dmin);
        memset(out, 0, 144);
        for (int j = 0; j < 8; j++) {
            scale[j] = (uint8_t)clamp(nearest(step[j] * inverse(d_of)), 0, 63);
            min[j] = (uint8_t)clamp(nearest(offset[j] * inverse(dmin_of)), 0, 63);
            float s = inverse(d_of * scale[j]), o = dmin_of * min[j];
            for (int i = 0; i < 32; i++) {
                int q = clamp(nearest((in[32 * j + i] + o) * s), 0, 15);
                out[16 + 32 * (j / 2) + i] |= (uint8_t)(j % 2 ? q << 4 : q);
            }
        }
        l2_put_u16le(out, d);
        l2_put_u16le(out + 2, dmin);
        pack_scales(out + 4, scale, min);
    }
}

/* The step so that x ~ step * q with q in -32..31; its sign may be negative, so that the largest
 * value can use -32. */
static float fit_step(const float x[16])
{
    float extreme = 0, ms = mean_square(x, 16), best = -1, step = 0;
    for (int i = 0; i < 16; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    if (extreme == 0)
        return 0;
    for (int trial = -9; trial <= 9; trial++) {
        float scale = -(32 + 0.1f * (float)trial) / extreme, sqx = 0, sqq = 0;
        for (int i = 0; i < 16; i++) {
            float q = (float)clamp(nearest(x[i] * scale), -32, 31), w = importance(x[i], ms);
            sqx += w * q * x[i];
            sqq += w * q * q;
        }
        /* with the best step sqx / sqq the weighted error falls by sqx^2 / sqq */
        if (sqq > 0 && sqx * sqx / sqq > best) {
            best = sqx * sqx / sqq;
            step = sqx / sqq;
        }
    }
    return step;
}

/* Where value i lies in a Q6_K block: its bytes and shifts in the low and high parts. */
struct q6_place {
    unsigned low, low_shift, high, high_shift;
};

static struct q6_place q6_place(unsigned i)
{
    unsigned half = i / 128, quarter = i % 128 / 32, l = i % 32;
    return (struct q6_place){.low = 64 * half + 32 * (quarter % 2) + l,
                             .low_shift = 4 * (quarter / 2),
                             .high = 128 + 32 * half + l,
                             .high_shift = 2 * quarter};
}

int l2_q6_k_value(const uint8_t *block, unsigned i)
{
    struct q6_place p = q6_place(i);
    return (block[p.low] >> p.low_shift & 15) | (block[p.high] >> p.high_shift & 3) << 4;
}

static void q6_put(uint8_t *block, unsigned i, int q)
{
    struct q6_place p = q6_place(i);
    block[p.low] |= (uint8_t)((q & 15) << p.low_shift);
    block[p.high] |= (uint8_t)((q >> 4) << p.high_shift);
}

void l2_encode_q6_k(uint8_t *out, const float *in, size_t n_blocks)
{
    for (; n_blocks > 0; n_blocks--, in += 256, out += 210) {
        float step[16], extreme = 0;
        for (int j = 0; j < 16; j++) {
            step[j] = fit_step(in + 16 * j);
            if (fabsf(step[j]) > fabsf(extreme))
                extreme = step[j];
        }
        uint16_t d = l2_f16_from_f32(-extreme / 128);
        float d_of = l2_f32_from_f16(d);
        memset(out, 0, 210);
        for (unsigned j = 0; j < 16; j++) {
            int scale = clamp(nearest(step[j] * inverse(d_of)), -128, 127);
            float s = inverse(d_of * (float)scale);
            out[192 + j] = (uint8_t)(int8_t)scale;
            for (unsigned i = 16 * j; i < 16 * j + 16; i++)
                q6_put(out, i, clamp(nearest(in[i] * s), -32, 31) + 32);
        }
        l2_put_u16le(out + 208, d);
    }
}
