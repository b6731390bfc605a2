/* Unit tests of PPO: the numbers of the reference, gradients against differences, the first ratio,
 * what a checkpoint brings back, adapters, and a policy that learns what it is rewarded for. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nn/params_view.h"
#include "rlhf/expr.h"
#include "rlhf/ppo_state.h"
#include "scratch.h"
#include "util/philox.h"

static struct l2_err err;

/* ---- against the reference ---- */

#define MOST 16

static size_t numbers(const json_t *o, const char *key, double *out)
{
    const json_t *a = json_object_get(o, key);
    size_t n = json_array_size(a);
    assert_in_range(n, 1, MOST);
    for (size_t i = 0; i < n; i++)
        out[i] = json_number_value(json_array_get(a, i));
    return n;
}

static size_t floats(const json_t *o, const char *key, float *out)
{
    double v[MOST];
    size_t n = numbers(o, key, v);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)v[i];
    return n;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void assert_near(const float *got, const double *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - want[i]) <= tolerance);
}

static void assert_near_f32(const float *got, const float *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        assert_true(fabs((double)got[i] - want[i]) <= tolerance);
}

static json_t *golden(void)
{
    const char *path = shared_path("golden/gqa64/ppo.json");
    if (!path)
        skip();
    json_t *o = json_load_file(path, 0, NULL);
    assert_non_null(o);
    return o;
}

static void golden_terms(void **state)
{
    (void)state;
    json_t *o = golden();
    float old[MOST], ref[MOST], value[MOST], reward[MOST], advantage[MOST], returns[MOST];
    double want[MOST], now[MOST], now_value[MOST];
    size_t n = floats(o, "logprob_old", old);
    double policy = 0, values = 0, clipped = 0, whitened[MOST];
    floats(o, "logprob_ref", ref);
    floats(o, "value_old", value);
    numbers(o, "logprob_new", now);
    numbers(o, "value_new", now_value);
    l2_ppo_rewards(L2_KL_K1, number(o, "beta"), number(o, "terminal_reward"), old, ref, n, reward);
    numbers(o, "token_rewards", want);
    assert_near(reward, want, n, 1e-8 + 1e-7);
    l2_gae(number(o, "gamma"), number(o, "lambda"), reward, value, n, advantage, returns);
    numbers(o, "advantages", want);
    assert_near(advantage, want, n, 1e-6);
    numbers(o, "returns", want);
    assert_near(returns, want, n, 1e-6);
    l2_whiten_f32(advantage, n);
    numbers(o, "whitened_advantages", want);
    assert_near(advantage, want, n, 2e-6);
    for (size_t i = 0; i < n; i++)
        whitened[i] = want[i];
    for (size_t i = 0; i < n; i++) {
        struct l2_ppo_term a = l2_ppo_policy_term(now[i], old[i], whitened[i], number(o, "clip"));
        policy += a.loss;
        clipped += a.clipped;
        values +=
            l2_ppo_value_term(now_value[i], value[i], returns[i], number(o, "value_clip")).loss;
    }
    assert_true(fabs(policy / (double)n - number(o, "policy_loss")) < 1e-6);
    assert_true(fabs(values / (double)n - number(o, "value_loss")) < 1e-6);
    assert_true(fabs(clipped / (double)n - number(o, "clip_fraction")) < 1e-12);
    json_decref(o);
}

static double logit(double p)
{
    return log(p / (1 - p));
}

static void golden_reward(void **state)
{
    (void)state;
    json_t *o = golden(), *r = json_object_get(o, "piecewise_reward");
    double safety[MOST], helpfulness[MOST], tagged[MOST], want[MOST], got[MOST];
    size_t n = numbers(r, "safety", safety);
    numbers(r, "helpfulness", helpfulness);
    numbers(r, "is_safety_prompt", tagged);
    numbers(r, "logit", want);
    for (size_t i = 0; i < n; i++) {
        /* raw scores are what the sigmoid is taken of */
        got[i] = l2_combined_reward(logit(safety[i]), logit(helpfulness[i]), tagged[i] != 0);
        assert_true(fabs(got[i] - want[i]) < 1e-12);
    }
    l2_whiten(got, n);
    numbers(r, "whitened", want);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - want[i]) < 1e-7);
    json_decref(o);
}

/* ---- terms ---- */

static void estimators(void **state)
{
    (void)state;
    /* over p the mean of k1 and of k3 is the divergence */
    const double p[] = {0.5, 0.3, 0.2}, q[] = {0.2, 0.2, 0.6};
    double kl = 0, k1 = 0, k3 = 0;
    for (int i = 0; i < 3; i++) {
        kl += p[i] * log(p[i] / q[i]);
        k1 += p[i] * l2_kl_estimate(L2_KL_K1, log(p[i]), log(q[i]));
        k3 += p[i] * l2_kl_estimate(L2_KL_K3, log(p[i]), log(q[i]));
        assert_true(l2_kl_estimate(L2_KL_K3, log(p[i]), log(q[i])) >= 0);
    }
    assert_true(fabs(k1 - kl) < 1e-12 && fabs(k3 - kl) < 1e-12);
    assert_true(fabs(l2_kl_estimate(L2_KL_K2, -1, -1.5) - 0.125) < 1e-15);
}

static void term_derivatives(void **state)
{
    (void)state;
    const double h = 1e-6;
    for (int i = 0; i < 60; i++) {
        double x = -2 + 0.031 * i, old = -1.1, a = i % 2 ? 0.7 : -1.3;
        struct l2_ppo_term t = l2_ppo_policy_term(x, old, a, 0.2);
        double d = (l2_ppo_policy_term(x + h, old, a, 0.2).loss -
                    l2_ppo_policy_term(x - h, old, a, 0.2).loss) /
                   (2 * h);
        assert_true(fabs(t.derivative - d) < 1e-6);
        t = l2_ppo_value_term(x, old, a, i % 3 ? 0.2 : 0);
        d = (l2_ppo_value_term(x + h, old, a, i % 3 ? 0.2 : 0).loss -
             l2_ppo_value_term(x - h, old, a, i % 3 ? 0.2 : 0).loss) /
            (2 * h);
        assert_true(fabs(t.derivative - d) < 1e-6);
    }
}

static void whitening_of_equals(void **state)
{
    (void)state;
    double v[] = {3, 3, 3};
    l2_whiten(v, 3);
    for (int i = 0; i < 3; i++)
        assert_true(v[i] == 0);
}

static void adaptive_kl(void **state)
{
    (void)state;
    assert_true(l2_kl_adapt(0.1, 6, 6, 10000, 64) == 0.1);
    assert_true(fabs(l2_kl_adapt(0.1, 60, 6, 100, 10) - 0.1 * 1.02) < 1e-15);
    assert_true(fabs(l2_kl_adapt(0.1, 0, 6, 100, 10) - 0.1 * 0.98) < 1e-15);
}

/* ---- a small model ---- */

#define LENGTH 5
#define BATCH  6

static const struct l2_hparams hp = {.head = L2_HEAD_VOCAB,
                                     .dim = 16,
                                     .hidden = 24,
                                     .n_layers = 2,
                                     .n_heads = 4,
                                     .n_kv_heads = 2,
                                     .head_dim = 4,
                                     .vocab_size = 12,
                                     .context = 32,
                                     .norm_eps = 1e-5f,
                                     .rope_theta = 10000,
                                     .bos = L2_NO_TOKEN};

static struct l2_params *params_new(void)
{
    struct l2_params *p;
    struct l2_philox_key key = {{7, 9}};
    assert_int_equal(l2_params_new(&p, &hp, &err), L2_OK);
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&hp, i, &role, &layer);
        l2_role_shape(&hp, role, &rows, &cols);
        for (size_t k = 0; k < (size_t)rows * cols; k++)
            p->values[p->offset[i] + k] =
                rows == 1 ? 1 : (float)(0.6 * (l2_philox_uniform(key, i, k) - 0.5));
    }
    return p;
}

static struct l2_ppo_opts opts_new(void)
{
    return (struct l2_ppo_opts){.adamw = l2_adamw_defaults,
                                .lr = 1e-2,
                                .clip = 1,
                                .cliprange = 0.2,
                                .cliprange_value = 0.2,
                                .vf_coef = 0.1,
                                .gamma = 1,
                                .lambda = 0.95,
                                .kl_coef = 0.01,
                                .whiten_scores = true,
                                .epochs = 1,
                                .mini_batch = BATCH,
                                .max_rows = 17,
                                .seed = 3};
}

struct batch {
    struct l2_rollout rollouts[BATCH];
    uint32_t prompts[BATCH][2], tokens[BATCH][LENGTH];
    float series[BATCH][6][LENGTH];
};

static void batch_make(struct batch *b)
{
    struct l2_philox_key key = {{1, 2}};
    for (uint32_t i = 0; i < BATCH; i++) {
        struct l2_rollout *r = &b->rollouts[i];
        size_t n = 1 + i % LENGTH;
        *r = (struct l2_rollout){.prompt = b->prompts[i],
                                 .n_prompt = 1 + i % 2,
                                 .tokens = b->tokens[i],
                                 .n = n,
                                 .score = 0.3 * i - 1,
                                 .logprob = b->series[i][0],
                                 .ref_logprob = b->series[i][1],
                                 .value = b->series[i][2],
                                 .reward = b->series[i][3],
                                 .advantage = b->series[i][4],
                                 .returns = b->series[i][5]};
        for (uint32_t k = 0; k < 2; k++)
            b->prompts[i][k] = (uint32_t)(12 * l2_philox_uniform(key, i, k));
        for (uint32_t k = 0; k < LENGTH; k++)
            b->tokens[i][k] = (uint32_t)(12 * l2_philox_uniform(key, i, 10 + k));
    }
}

/* A policy with its reference, before and after l2_ppo_new, and rollouts. */
struct world {
    struct l2_ppo_opts o;
    struct l2_params *params, *ref;
    struct l2_ppo *p;
    struct l2_ppo_stats s;
    struct batch b;
};

static void world_begin(struct world *w)
{
    w->o = opts_new();
    w->params = params_new();
    w->ref = params_new();
    w->p = NULL;
    batch_make(&w->b);
}

static void world_end(struct world *w)
{
    l2_ppo_free(w->p);
    l2_params_free(w->params);
    l2_params_free(w->ref);
}

static size_t n_values(const struct world *w)
{
    return w->params->offset[w->params->n_tensors];
}

/* l2_ppo_step on the world's rollouts. */
static int step(struct world *w, double max_kl)
{
    return l2_ppo_step(w->p, w->b.rollouts, BATCH, max_kl, &w->s, &err);
}

/* The loss near the policy that the rollouts were measured with: -A log p, and the values'. */
static double loss_of(struct l2_ppo *p, const struct batch *b)
{
    double sum = 0;
    size_t n = 0;
    struct l2_ppo_micro m;
    for (size_t at = 0; at < BATCH; at += m.n) {
        assert_int_equal(l2_ppo_pack(p, b->rollouts, at, BATCH, &m, &err), L2_OK);
        assert_int_equal(l2_ppo_run(p, &m, false, false, &err), L2_OK);
        size_t k = 0;
        for (size_t i = m.first; i < m.first + m.n; i++)
            for (size_t t = 0; t < b->rollouts[i].n; t++, k++) {
                double off = p->value[k] - b->rollouts[i].returns[t];
                sum += -(double)b->rollouts[i].advantage[t] * p->logprob[k] + 0.05 * off * off;
            }
        n += k;
    }
    return sum / (double)n;
}

/* Rollouts of one prompt have it once, and learn what they do with a prompt each. */
static void shared_prompts(void **state)
{
    (void)state;
    struct world w[2];
    float logprob[2][BATCH][LENGTH];
    size_t rows[2] = {0, 0};
    for (int shared = 0; shared < 2; shared++) {
        struct world *v = &w[shared];
        world_begin(v);
        for (uint32_t i = 0; i < BATCH; i++) {
            struct l2_rollout *r = &v->b.rollouts[i];
            memcpy(v->b.prompts[i], v->b.prompts[i / 3 * 3], sizeof v->b.prompts[i]);
            r->prompt = v->b.prompts[shared ? i / 3 * 3 : i];
            r->n_prompt = 2;
        }
        assert_int_equal(l2_ppo_new(&v->p, v->params, v->ref, &v->o, &err), L2_OK);
        assert_int_equal(step(v, 0), L2_OK);
        assert_true(v->s.first_ratio_off == 0);
        for (uint32_t i = 0; i < BATCH; i++)
            memcpy(logprob[shared][i], v->b.rollouts[i].logprob, sizeof logprob[shared][i]);
        struct l2_ppo_micro m;
        for (size_t at = 0; at < BATCH; at += m.n) {
            assert_int_equal(l2_ppo_pack(v->p, v->b.rollouts, at, BATCH, &m, &err), L2_OK);
            rows[shared] += m.n_rows;
        }
    }
    assert_true(rows[1] < rows[0]);
    for (uint32_t i = 0; i < BATCH; i++)
        assert_near_f32(logprob[1][i], logprob[0][i], w[0].b.rollouts[i].n, 1e-5);
    assert_true(fabs(w[0].s.grad_norm - w[1].s.grad_norm) < 1e-4 * w[0].s.grad_norm);
    assert_true(fabs(w[0].s.policy_loss - w[1].s.policy_loss) < 1e-5);
    assert_true(fabs(w[0].s.value_loss - w[1].s.value_loss) < 1e-5);
    world_end(&w[0]);
    world_end(&w[1]);
}

static void gradients(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.o.adamw.beta1 = 0; /* the first moment is the gradient */
    w.o.lr = 0;
    w.o.clip = 0;
    assert_int_equal(l2_ppo_new(&w.p, w.params, w.ref, &w.o, &err), L2_OK);
    for (uint32_t i = 0; i <= hp.dim; i++)
        w.p->head[i] = 0.1f * (float)(i % 5) - 0.15f;
    assert_int_equal(step(&w, 0), L2_OK);
    double largest = 0;
    for (size_t i = 0; i < n_values(&w); i += 37) {
        float kept = w.params->values[i], g = w.p->adamw.m->values[i];
        if (kept == 0)
            continue;
        w.params->values[i] = kept + 4e-3f;
        double above = loss_of(w.p, &w.b), x = w.params->values[i];
        w.params->values[i] = kept - 4e-3f;
        double d = (above - loss_of(w.p, &w.b)) / (x - w.params->values[i]);
        w.params->values[i] = kept;
        assert_true(fabs(d - g) < 2e-4 + 0.01 * fabs(d));
        largest = fmax(largest, fabs(d));
    }
    assert_true(largest > 0.01);
    for (uint32_t i = 0; i <= hp.dim; i += 4) {
        float kept = w.p->head[i];
        w.p->head[i] = kept + 0.01f;
        double above = loss_of(w.p, &w.b);
        w.p->head[i] = kept - 0.01f;
        double d = (above - loss_of(w.p, &w.b)) / 0.02;
        w.p->head[i] = kept;
        assert_true(fabs(d - w.p->head_m[i]) < 1e-4);
    }
    world_end(&w);
}

static void first_step(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.o.mini_batch = 4;
    w.o.epochs = 2;
    assert_int_equal(l2_ppo_new(&w.p, w.params, w.ref, &w.o, &err), L2_OK);
    assert_int_equal(step(&w, 0), L2_OK);
    assert_true(w.s.kl == 0 && w.s.first_ratio_off == 0 && w.s.non_score_reward == 0);
    assert_int_equal(w.s.steps, 4);
    assert_true(w.s.ratio != 1 && w.s.ratio_var > 0);
    assert_true(memcmp(w.params->values, w.ref->values, 64) != 0);
    assert_true(w.s.policy_entropy > 0 && w.s.policy_entropy < log(12) + 1e-6);
    /* the policy has moved; the limit on KL leaves it where it is */
    batch_make(&w.b);
    float *kept = malloc(n_values(&w) * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, w.params->values, n_values(&w) * sizeof *kept);
    assert_int_equal(step(&w, 1e-9), L2_LIMIT);
    assert_memory_equal(kept, w.params->values, n_values(&w) * sizeof *kept);
    assert_int_equal(step(&w, 0), L2_OK);
    assert_true(w.s.kl != 0 && w.s.first_ratio_off == 0);
    free(kept);
    w.b.rollouts[0].n_prompt = 2;
    w.b.rollouts[2].score = NAN;
    assert_int_equal(step(&w, 0), L2_CORRUPT);
    l2_ppo_free(w.p);
    w.o.max_rows = 3;
    assert_int_equal(l2_ppo_new(&w.p, w.params, w.ref, &w.o, &err), L2_OK);
    assert_int_equal(step(&w, 0), L2_LIMIT);
    l2_ppo_free(w.p);
    assert_int_equal(l2_ppo_new(&w.p, w.params, NULL, &w.o, &err), L2_ARGUMENT);
    world_end(&w);
}

/* A reference that is the policy without its adapters: the first KL is 0 to the bit. */
static void adapters(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.o.lora = (struct l2_lora_opts){.rank = 2, .alpha = 4, .roles = L2_LORA_ALL};
    assert_int_equal(l2_ppo_new(&w.p, w.params, NULL, &w.o, &err), L2_OK);
    assert_int_equal(step(&w, 0), L2_OK);
    assert_true(w.s.kl == 0 && w.s.first_ratio_off == 0 && w.s.grad_norm > 0);
    batch_make(&w.b);
    assert_int_equal(step(&w, 0), L2_OK);
    assert_true(w.s.kl != 0 && w.s.first_ratio_off == 0);
    assert_memory_equal(w.params->values, w.ref->values, n_values(&w) * sizeof(float));
    world_end(&w);
}

static void checkpoints(void **state)
{
    (void)state;
    struct world w;
    struct l2_params *other = params_new();
    struct l2_ppo *q;
    double mine[L2_PPO_NUMBERS] = {1, 2.5, -3}, theirs[L2_PPO_NUMBERS];
    char dir[SCRATCH_PATH];
    scratch_make(dir);
    const char *path = scratch_path(dir, "ppo.ckpt");
    world_begin(&w);
    w.o.settings = "lr 0.01\nseed 3\n";
    w.o.kl_target = 1;
    w.o.kl_horizon = 50;
    assert_int_equal(l2_ppo_new(&w.p, w.params, w.ref, &w.o, &err), L2_OK);
    assert_int_equal(l2_ppo_new(&q, other, w.ref, &w.o, &err), L2_OK);
    batch_make(&w.b);
    assert_int_equal(step(&w, 0), L2_OK);
    assert_int_equal(l2_ppo_save(w.p, mine, path, &err), L2_OK);
    assert_int_equal(l2_ppo_restore(q, theirs, path, &err), L2_OK);
    assert_memory_equal(mine, theirs, sizeof mine);
    batch_make(&w.b);
    assert_int_equal(step(&w, 0), L2_OK);
    batch_make(&w.b);
    assert_int_equal(l2_ppo_step(q, w.b.rollouts, BATCH, 0, &w.s, &err), L2_OK);
    assert_memory_equal(w.params->values, other->values, n_values(&w) * sizeof(float));
    assert_memory_equal(w.p->head, q->head, (hp.dim + 1) * sizeof(float));
    assert_true(w.p->kl_coef == q->kl_coef && w.p->kl_coef != 0.01);
    q->opts.settings = "lr 0.02\nseed 3\n";
    assert_int_equal(l2_ppo_restore(q, theirs, path, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "is of a run with lr 0.01: this one has 0.02"));
    q->opts.settings = w.o.settings;
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 400, SEEK_SET);
    fputc(0x55, f);
    fclose(f);
    assert_int_equal(l2_ppo_restore(q, theirs, path, &err), L2_CORRUPT);
    assert_int_equal(truncate(path, 300), 0);
    assert_int_equal(l2_ppo_restore(q, theirs, path, &err), L2_TRUNCATED);
    assert_int_equal(truncate(path, 4), 0);
    assert_int_equal(l2_ppo_restore(q, theirs, path, &err), L2_FORMAT);
    world_end(&w);
    l2_ppo_free(q);
    l2_params_free(other);
    scratch_remove(dir);
}

/* One state, twelve actions, one of which is rewarded: the policy ends in taking it. */
static void bandit(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w);
    w.o.kl_coef = 0;
    w.o.lr = 3e-3;
    assert_int_equal(l2_ppo_new(&w.p, w.params, w.ref, &w.o, &err), L2_OK);
    double first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        for (uint32_t k = 0; k < BATCH; k++) {
            struct l2_rollout *r = &w.b.rollouts[k];
            r->n_prompt = r->n = 1;
            w.b.prompts[k][0] = 5;
            w.b.tokens[k][0] = k == 0 ? 3 : 2 * k - 1 + (k > 1);
            r->score = w.b.tokens[k][0] == 3;
        }
        assert_int_equal(step(&w, 0), L2_OK);
        last = exp(w.b.rollouts[0].logprob[0]);
        first = i == 0 ? last : first;
    }
    assert_true(first < 0.3 && last > 0.9);
    world_end(&w);
}

static void views(void **state)
{
    (void)state;
    struct l2_params *params = params_new();
    struct l2_model *m;
    float row[16];
    assert_int_equal(l2_params_view(&m, params, &err), L2_OK);
    l2_tensor_row(l2_model_tensor(m, L2_T_Q, 1), hp.head_dim, 3, row);
    assert_memory_equal(row, l2_params_at(params, L2_T_Q, 1) + 3 * 16, sizeof row);
    l2_model_close(m);
    l2_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_terms),
        cmocka_unit_test(golden_reward),
        cmocka_unit_test(estimators),
        cmocka_unit_test(term_derivatives),
        cmocka_unit_test(whitening_of_equals),
        cmocka_unit_test(adaptive_kl),
        cmocka_unit_test(shared_prompts),
        cmocka_unit_test(gradients),
        cmocka_unit_test(first_step),
        cmocka_unit_test(adapters),
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(bandit),
        cmocka_unit_test(views),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
