/* The arithmetic of PPO. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/ppo_terms.h"

#include <math.h>

#define EPSILON 1e-8 /* of variances */

struct moments {
    double mean, scale;
};

static struct moments moments_of(double sum, double squares, size_t n)
{
    return (struct moments){sum / (double)n, 1 / sqrt(squares / (double)n + EPSILON)};
}

void l2_whiten(double *v, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - sum / (double)n) * (v[i] - sum / (double)n);
    struct moments m = moments_of(sum, squares, n);
    for (size_t i = 0; i < n; i++)
        v[i] = (v[i] - m.mean) * m.scale;
}

void l2_whiten_f32(float *v, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - sum / (double)n) * (v[i] - sum / (double)n);
    struct moments m = moments_of(sum, squares, n);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)((v[i] - m.mean) * m.scale);
}

double l2_kl_estimate(enum l2_kl_kind kind, double logprob, double ref_logprob)
{
    double d = logprob - ref_logprob;
    switch (kind) {
    case L2_KL_K2:
        return d * d / 2;
    case L2_KL_K3:
        return expm1(-d) + d;
    case L2_KL_K1:
        break;
    }
    return d;
}

void l2_ppo_rewards(enum l2_kl_kind kind, double beta, double score, const float *logprob,
                    const float *ref_logprob, size_t n, float *reward)
{
    for (size_t i = 0; i < n; i++) {
        double kl = l2_kl_estimate(kind, logprob[i], ref_logprob[i]);
        reward[i] = (float)(-beta * kl + (i + 1 == n ? score : 0));
    }
}

void l2_gae(double gamma, double lambda, const float *reward, const float *value, size_t n,
            float *advantage, float *returns)
{
    double next = 0, sum = 0;
    for (size_t i = n; i-- > 0;) {
        sum = reward[i] + gamma * next - value[i] + gamma * lambda * sum;
        next = value[i];
        advantage[i] = (float)sum;
        returns[i] = (float)(sum + value[i]);
    }
}

static double within(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

struct l2_ppo_term l2_ppo_policy_term(double logprob, double old, double advantage, double clip)
{
    double ratio = exp(logprob - old), bounded = within(ratio, 1 - clip, 1 + clip);
    double free = -advantage * ratio, held = -advantage * bounded;
    struct l2_ppo_term t = {.loss = free, .derivative = free, .clipped = fabs(ratio - 1) > clip};
    if (held > free) { /* the bound is constant */
        t.loss = held;
        t.derivative = 0;
    }
    return t;
}

struct l2_ppo_term l2_ppo_value_term(double value, double old, double returns, double range)
{
    double bounded = range > 0 ? within(value, old - range, old + range) : value;
    double free = (value - returns) * (value - returns);
    double held = (bounded - returns) * (bounded - returns);
    struct l2_ppo_term t = {.loss = free / 2, .derivative = value - returns};
    t.clipped = held > free;
    if (t.clipped) {
        t.loss = held / 2;
        t.derivative = 0;
    }
    return t;
}

double l2_kl_adapt(double beta, double kl, double target, double horizon, size_t n)
{
    return beta * (1 + within(kl / target - 1, -0.2, 0.2) * (double)n / horizon);
}
