/* PPO: an iteration on a batch of rollouts, and the steps that it takes. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/ppo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rlhf/ppo_state.h"
#include "util/philox.h"

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

/* ---- the policy before the steps ---- */

static int look(struct l2_ppo *p, struct l2_rollout *rollouts, const struct l2_ppo_micro *m,
                struct l2_err *err)
{
    for (int reference = 0; reference < 2; reference++) {
        size_t at = 0;
        int rc = l2_ppo_run(p, m, reference, false, err);
        if (rc != L2_OK)
            return rc;
        if (!all_finite(p->logprob, m->n_targets) || !all_finite(p->value, m->n_targets))
            return l2_err_set(err, L2_CORRUPT,
                              "step %llu: a log-probability or value that is not "
                              "finite",
                              (unsigned long long)p->adamw.step + 1);
        for (size_t i = m->first; i < m->first + m->n; i++) {
            struct l2_rollout *r = &rollouts[p->order[i]];
            memcpy(reference ? r->ref_logprob : r->logprob, p->logprob + at, r->n * sizeof(float));
            if (!reference)
                memcpy(r->value, p->value + at, r->n * sizeof(float));
            at += r->n;
        }
    }
    return L2_OK;
}

/* Mini-batches are packed as the steps will pack them, so that the first ratio is 1 to the bit. */
static int look_all(struct l2_ppo *p, struct l2_rollout *rollouts, size_t n, struct l2_err *err)
{
    struct l2_ppo_micro m;
    int rc = L2_OK;
    for (size_t begin = 0; begin < n; begin += p->opts.mini_batch) {
        size_t end = n - begin < p->opts.mini_batch ? n : begin + p->opts.mini_batch;
        for (size_t at = begin; at < end && rc == L2_OK; at += m.n) {
            rc = l2_ppo_pack(p, rollouts, at, end, &m, err);
            if (rc == L2_OK)
                rc = look(p, rollouts, &m, err);
            if (rc != L2_OK)
                return rc;
        }
    }
    return rc;
}

/* ---- rewards and advantages ---- */

static void measure(const struct l2_rollout *rollouts, size_t n, struct l2_ppo_stats *s)
{
    for (size_t i = 0; i < n; i++) {
        const struct l2_rollout *r = &rollouts[i];
        for (size_t t = 0; t < r->n; t++) {
            s->kl += l2_kl_estimate(L2_KL_K1, r->logprob[t], r->ref_logprob[t]) / (double)n;
            s->entropy -= r->logprob[t] / (double)n;
        }
        s->tokens += r->n;
    }
}

static int whiten_scores(struct l2_rollout *rollouts, size_t n, struct l2_err *err)
{
    double *v = calloc(n, sizeof *v);
    if (!v)
        return l2_err_memory(err, n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = rollouts[i].score;
    l2_whiten(v, n);
    for (size_t i = 0; i < n; i++)
        rollouts[i].score = v[i];
    free(v);
    return L2_OK;
}

static int whiten_advantages(struct l2_rollout *rollouts, size_t n, size_t n_tokens,
                             struct l2_err *err)
{
    float *v = calloc(n_tokens, sizeof *v);
    size_t at = 0;
    if (!v)
        return l2_err_memory(err, n_tokens * sizeof *v);
    for (size_t i = 0; i < n; at += rollouts[i++].n)
        memcpy(v + at, rollouts[i].advantage, rollouts[i].n * sizeof *v);
    l2_whiten_f32(v, n_tokens);
    at = 0;
    for (size_t i = 0; i < n; at += rollouts[i++].n)
        memcpy(rollouts[i].advantage, v + at, rollouts[i].n * sizeof *v);
    free(v);
    return L2_OK;
}

static int reward(struct l2_ppo *p, struct l2_rollout *rollouts, size_t n, struct l2_ppo_stats *s,
                  struct l2_err *err)
{
    int rc = p->opts.whiten_scores ? whiten_scores(rollouts, n, err) : L2_OK;
    if (rc != L2_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct l2_rollout *r = &rollouts[i];
        l2_ppo_rewards(p->opts.kl, p->kl_coef, r->score, r->logprob, r->ref_logprob, r->n,
                       r->reward);
        l2_gae(p->opts.gamma, p->opts.lambda, r->reward, r->value, r->n, r->advantage, r->returns);
        double kl = 0;
        for (size_t t = 0; t < r->n; t++)
            kl += l2_kl_estimate(p->opts.kl, r->logprob[t], r->ref_logprob[t]);
        s->non_score_reward -= p->kl_coef * kl / (double)n;
        s->rlhf_reward += (r->score - p->kl_coef * kl) / (double)n;
    }
    return whiten_advantages(rollouts, n, s->tokens, err);
}

/* ---- steps ---- */

/* Sums over the tokens of a mini-batch. */
struct sums {
    double policy, value, approxkl, clipped, value_clipped, entropy, ratio, off;
    size_t n;
};

/* The losses at a rollout's tokens, targets at on; coefficients become the mean's derivatives. */
static void add_losses(struct l2_ppo *p, const struct l2_rollout *r, size_t at, size_t n_mini,
                       struct sums *s)
{
    for (size_t t = 0; t < r->n; t++, at++) {
        double change = (double)p->logprob[at] - r->logprob[t], ratio = exp(change);
        struct l2_ppo_term a =
            l2_ppo_policy_term(p->logprob[at], r->logprob[t], r->advantage[t], p->opts.cliprange);
        struct l2_ppo_term v =
            l2_ppo_value_term(p->value[at], r->value[t], r->returns[t], p->opts.cliprange_value);
        s->policy += a.loss;
        s->value += v.loss;
        s->clipped += a.clipped;
        s->value_clipped += v.clipped;
        s->approxkl += change * change / 2;
        s->entropy += p->entropy[at];
        s->ratio += ratio;
        s->off = fmax(s->off, fabs(ratio - 1));
        p->coefficient[at] = (float)(a.derivative / (double)n_mini);
        p->value[at] = (float)(p->opts.vf_coef * v.derivative / (double)n_mini);
    }
    s->n += r->n;
}

/* p->value are the loss's derivatives by the values. */
static void value_backward(struct l2_ppo *p, const struct l2_ppo_micro *m)
{
    size_t dim = p->params->hp.dim;
    const float *hidden = l2_net_hidden(p->net);
    float *grad = l2_net_hidden_grad(p->net);
    for (size_t i = 0; i < m->n_targets; i++) {
        const float *h = hidden + p->targets[i].row * dim;
        float *g = grad + p->targets[i].row * dim, d = p->value[i];
        for (size_t k = 0; k < dim; k++) {
            p->head_grad[k] += d * h[k];
            g[k] += d * p->head[k];
        }
        p->head_grad[dim] += d;
    }
}

static int run_micro(struct l2_ppo *p, const struct l2_rollout *rollouts,
                     const struct l2_ppo_micro *m, size_t n_mini, struct sums *s,
                     struct l2_err *err)
{
    size_t at = 0;
    int rc = l2_ppo_run(p, m, false, true, err);
    if (rc != L2_OK)
        return rc;
    for (size_t i = m->first; i < m->first + m->n; i++) {
        const struct l2_rollout *r = &rollouts[p->order[i]];
        add_losses(p, r, at, n_mini, s);
        at += r->n;
    }
    rc = l2_net_vocab_head(p->net, p->targets, m->n_targets, p->coefficient, p->grads, p->logprob,
                           NULL, err);
    if (rc != L2_OK)
        return rc;
    value_backward(p, m);
    l2_net_backward(p->net, p->grads);
    return L2_OK;
}

struct flat {
    float *v;
    size_t n;
};

static size_t gradients(const struct l2_ppo *p, struct flat out[2])
{
    out[0] = (struct flat){p->head_grad, p->params->hp.dim + 1};
    out[1] = p->lora ? (struct flat){p->lora_grads->values, p->lora_grads->n}
                     : (struct flat){p->grads->values, p->grads->offset[p->grads->n_tensors]};
    return 2;
}

static void clear_gradients(struct l2_ppo *p)
{
    struct flat g[2];
    size_t n = gradients(p, g);
    for (size_t i = 0; i < n; i++)
        memset(g[i].v, 0, g[i].n * sizeof(float));
}

static void step_head(struct l2_ppo *p, double scale)
{
    size_t dim = p->params->hp.dim;
    struct l2_adamw_array w = {.p.f32 = p->head,
                               .m.f32 = p->head_m,
                               .v.f32 = p->head_v,
                               .g = p->head_grad,
                               .n = dim,
                               .decayed = true},
                          b = {.p.f32 = p->head + dim,
                               .m.f32 = p->head_m + dim,
                               .v.f32 = p->head_v + dim,
                               .g = p->head_grad + dim,
                               .n = 1};
    l2_adamw_array_step(&p->adamw.opts, p->adamw.step, &w, scale, p->opts.lr, p->opts.pool);
    l2_adamw_array_step(&p->adamw.opts, p->adamw.step, &b, scale, p->opts.lr, p->opts.pool);
}

static int take_step(struct l2_ppo *p, double *norm, struct l2_err *err)
{
    struct flat g[2];
    size_t n = gradients(p, g);
    double squares = 0, scale = 1;
    for (size_t i = 0; i < n; i++) {
        double sum;
        int rc = l2_adamw_squares(g[i].v, g[i].n, p->opts.pool, &sum, err);
        if (rc != L2_OK)
            return rc;
        squares += sum;
    }
    *norm = sqrt(squares);
    if (!isfinite(*norm))
        return l2_err_set(err, L2_CORRUPT, "step %llu: norm of the gradients %g",
                          (unsigned long long)p->adamw.step + 1, *norm);
    if (p->opts.clip > 0 && *norm > p->opts.clip)
        scale = p->opts.clip / *norm;
    if (p->lora) {
        struct l2_adamw_array a = {.p.f32 = p->lora->values,
                                   .m.f32 = p->lora_m->values,
                                   .v.f32 = p->lora_v->values,
                                   .g = p->lora_grads->values,
                                   .n = p->lora->n,
                                   .decayed = true};
        p->adamw.step++;
        l2_adamw_array_step(&p->adamw.opts, p->adamw.step, &a, scale, p->opts.lr, p->opts.pool);
    } else {
        l2_adamw_step(&p->adamw, p->params, p->grads, scale, p->opts.lr, p->opts.pool);
    }
    step_head(p, scale);
    return L2_OK;
}

/* A step on rollouts order[begin .. end). */
static int mini_batch(struct l2_ppo *p, const struct l2_rollout *rollouts, size_t begin, size_t end,
                      struct sums *s, double *norm, struct l2_err *err)
{
    struct l2_ppo_micro m;
    size_t n = 0;
    *s = (struct sums){0};
    for (size_t i = begin; i < end; i++)
        n += rollouts[p->order[i]].n;
    for (size_t at = begin; at < end; at += m.n) {
        int rc = l2_ppo_pack(p, rollouts, at, end, &m, err);
        if (rc == L2_OK)
            rc = run_micro(p, rollouts, &m, n, s, err);
        if (rc != L2_OK)
            return rc;
    }
    if (!isfinite(s->policy) || !isfinite(s->value))
        return l2_err_set(err, L2_CORRUPT, "step %llu: policy loss %g, value loss %g",
                          (unsigned long long)p->adamw.step + 1, s->policy / (double)n,
                          s->value / (double)n);
    return take_step(p, norm, err);
}

static int order_new(struct l2_ppo *p, size_t n, struct l2_err *err)
{
    if (n > p->cap_order) {
        uint32_t *order = realloc(p->order, n * sizeof *order);
        if (!order)
            return l2_err_memory(err, n * sizeof *order);
        p->order = order;
        p->cap_order = n;
    }
    for (size_t i = 0; i < n; i++)
        p->order[i] = (uint32_t)i;
    return L2_OK;
}

static void add_stats(struct l2_ppo_stats *st, const struct sums *s, double norm, double steps)
{
    double weight = 1 / (steps * (double)s->n), ratio = s->ratio / (double)s->n;
    st->policy_loss += s->policy * weight;
    st->value_loss += s->value * weight;
    st->approxkl += s->approxkl * weight;
    st->clipfrac += s->clipped * weight;
    st->value_clipfrac += s->value_clipped * weight;
    st->policy_entropy += s->entropy * weight;
    st->ratio += ratio / steps;
    st->ratio_var += ratio * ratio / steps;
    st->grad_norm += norm / steps;
    if (st->steps++ == 0)
        st->first_ratio_off = s->off;
}

static int take_steps(struct l2_ppo *p, struct l2_rollout *rollouts, size_t n,
                      struct l2_ppo_stats *st, struct l2_err *err)
{
    size_t size = p->opts.mini_batch;
    double steps = (double)((n + size - 1) / size) * p->opts.epochs, norm;
    for (uint32_t epoch = 0; epoch < p->opts.epochs; epoch++) {
        if (epoch > 0) /* the first takes rollouts as they come */
            l2_philox_shuffle(l2_philox_key_of(p->opts.seed), p->adamw.step, p->order, n);
        for (size_t begin = 0; begin < n; begin += size) {
            struct sums s;
            size_t end = n - begin < size ? n : begin + size;
            int rc = mini_batch(p, rollouts, begin, end, &s, &norm, err);
            if (rc != L2_OK) {
                clear_gradients(p);
                return rc;
            }
            add_stats(st, &s, norm, steps);
        }
    }
    st->ratio_var = fmax(0, st->ratio_var - st->ratio * st->ratio);
    return L2_OK;
}

int l2_ppo_step(struct l2_ppo *p, struct l2_rollout *rollouts, size_t n, double max_kl,
                struct l2_ppo_stats *stats, struct l2_err *err)
{
    *stats = (struct l2_ppo_stats){.kl_coef = p->kl_coef};
    if (n == 0)
        return l2_err_set(err, L2_ARGUMENT, "no rollouts to learn from");
    int rc = order_new(p, n, err);
    if (rc == L2_OK)
        rc = look_all(p, rollouts, n, err);
    if (rc != L2_OK)
        return rc;
    measure(rollouts, n, stats);
    if (max_kl > 0 && fabs(stats->kl) > max_kl)
        return l2_err_set(err, L2_LIMIT,
                          "KL to the reference is %.4g a completion: want %g at most", stats->kl,
                          max_kl);
    rc = reward(p, rollouts, n, stats, err);
    if (rc == L2_OK)
        rc = take_steps(p, rollouts, n, stats, err);
    if (rc == L2_OK && p->opts.kl_target > 0)
        p->kl_coef = l2_kl_adapt(p->kl_coef, stats->kl, p->opts.kl_target, p->opts.kl_horizon, n);
    return rc;
}
