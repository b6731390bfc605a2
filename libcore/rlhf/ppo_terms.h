/* The arithmetic of PPO (Schulman et al., 2017; Llama 2, section 3.2.3): rewards, advantages and
 * the clipped losses with their derivatives. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_PPO_TERMS_H
#define L2_PPO_TERMS_H

#include <stddef.h>

/* v becomes (v - mean) / sqrt(variance + 1e-8), the variance being the population's: of values that
 * are all equal nothing but zeros. */
void l2_whiten(double *v, size_t n);
void l2_whiten_f32(float *v, size_t n);

/* Estimators of KL(policy || reference) from one token, d = log policy - log reference (Schulman,
 * "Approximating KL divergence"): d; d^2 / 2; exp(-d) - 1 + d. */
enum l2_kl_kind { L2_KL_K1, L2_KL_K2, L2_KL_K3 };
double l2_kl_estimate(enum l2_kl_kind kind, double logprob, double ref_logprob);

/* The reward of each of n tokens: -beta * kl, and the last has score on top. */
void l2_ppo_rewards(enum l2_kl_kind kind, double beta, double score, const float *logprob,
                    const float *ref_logprob, size_t n, float *reward);

/* Generalised advantage estimation (Schulman et al., 2016): values are of the state before each
 * token, and 0 behind the last; returns = advantages + values. */
void l2_gae(double gamma, double lambda, const float *reward, const float *value, size_t n,
            float *advantage, float *returns);

/* A loss at one token, and its derivative by what the model computed. */
struct l2_ppo_term {
    double loss, derivative;
    int clipped; /* policy: |ratio - 1| > clip; value: it left its range */
};

/* max(-A r, -A clip(r, 1 - clip, 1 + clip)) with r = exp(logprob - old): by logprob. */
struct l2_ppo_term l2_ppo_policy_term(double logprob, double old, double advantage, double clip);
/* max((v - R)^2, (clip(v, old - range, old + range) - R)^2) / 2: by value. range 0: no clipping. */
struct l2_ppo_term l2_ppo_value_term(double value, double old, double returns, double range);

/* The coefficient that follows beta after n samples with a mean KL of kl (Ziegler et al., 2019,
 * section 2.2): it rises where kl is above target, by at most 0.2 n / horizon of itself. */
double l2_kl_adapt(double beta, double kl, double target, double horizon, size_t n);

#endif
