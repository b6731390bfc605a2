/* Training steps: gradients are summed over micro-batches, divided by what was predicted, clipped
 * and handed to the optimiser. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_state.h"

static struct l2_net_opts net_opts(const struct l2_trainer_opts *o)
{
    return (struct l2_net_opts){.pool = o->pool,
                                .max_rows = o->max_rows,
                                .recompute = o->recompute,
                                .products = o->products};
}

uint64_t l2_trainer_bytes(const struct l2_hparams *hp, const struct l2_trainer_opts *opts)
{
    struct l2_net_opts no = net_opts(opts);
    return l2_net_bytes(hp, &no) + 4 * sizeof(float) * l2_hparams_parameters(hp);
}

int l2_trainer_new(struct l2_trainer **out, struct l2_params *params,
                   const struct l2_trainer_opts *opts, struct l2_err *err)
{
    struct l2_net_opts no = net_opts(opts);
    *out = NULL;
    if ((opts->kind == L2_DATA_PAIRS) != (params->hp.head == L2_HEAD_LABELS) ||
        (opts->kind == L2_DATA_PAIRS && params->hp.n_labels != 1))
        return l2_err_set(err, L2_ARGUMENT, "the model has %s: want %s",
                          params->hp.head == L2_HEAD_LABELS ? "labels" : "a vocabulary head",
                          opts->kind == L2_DATA_PAIRS ? "one label" : "a vocabulary head");
    struct l2_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->opts = *opts;
    t->params = params;
    int rc = l2_params_new(&t->grads, &params->hp, err);
    if (rc == L2_OK)
        rc = l2_adamw_init(&t->adamw, &params->hp, &opts->adamw, err);
    if (rc == L2_OK)
        rc = l2_net_new(&t->net, &params->hp, &no, err);
    if (rc != L2_OK) {
        l2_trainer_free(t);
        return rc;
    }
    *out = t;
    return L2_OK;
}

void l2_trainer_free(struct l2_trainer *t)
{
    if (!t)
        return;
    l2_net_free(t->net);
    l2_adamw_release(&t->adamw);
    l2_params_free(t->grads);
    free(t->logprob);
    free(t->coefficient);
    free(t->scores);
    free(t->dscores);
    free(t->rows);
    free(t);
}

struct l2_params *l2_trainer_grads(struct l2_trainer *t)
{
    return t->grads;
}

uint64_t l2_trainer_steps(const struct l2_trainer *t)
{
    return t->adamw.step;
}

/* ---- losses ---- */

static int grow(void **v, size_t n, size_t size, struct l2_err *err)
{
    void *p = realloc(*v, n * size);
    if (!p)
        return l2_err_memory(err, n * size);
    *v = p;
    return L2_OK;
}

static int reserve_targets(struct l2_trainer *t, size_t n, struct l2_err *err)
{
    void *logprob = t->logprob, *coefficient = t->coefficient;
    if (n <= t->cap_targets)
        return L2_OK;
    int rc = grow(&logprob, n, sizeof *t->logprob, err);
    t->logprob = logprob;
    if (rc == L2_OK)
        rc = grow(&coefficient, n, sizeof *t->coefficient, err);
    t->coefficient = coefficient;
    if (rc != L2_OK)
        return rc;
    t->cap_targets = n;
    for (size_t i = 0; i < n; i++)
        t->coefficient[i] = -1; /* of the sum of -logprob */
    return L2_OK;
}

static int reserve_pairs(struct l2_trainer *t, size_t n, struct l2_err *err)
{
    void *scores = t->scores, *dscores = t->dscores, *rows = t->rows;
    if (n <= t->cap_pairs)
        return L2_OK;
    int rc = grow(&scores, 2 * n, sizeof *t->scores, err);
    t->scores = scores;
    if (rc == L2_OK)
        rc = grow(&dscores, 2 * n, sizeof *t->dscores, err);
    t->dscores = dscores;
    if (rc == L2_OK)
        rc = grow(&rows, 2 * n, sizeof *t->rows, err);
    t->rows = rows;
    if (rc == L2_OK)
        t->cap_pairs = n;
    return rc;
}

static int predict(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                   struct l2_losses *sums, struct l2_err *err)
{
    int rc = reserve_targets(t, b->n_targets, err);
    if (rc == L2_OK)
        rc = l2_net_vocab_head(t->net, b->targets, b->n_targets, train ? t->coefficient : NULL,
                               train ? t->grads : NULL, t->logprob, NULL, err);
    if (rc != L2_OK)
        return rc;
    for (size_t i = 0; i < b->n_targets; i++)
        sums->loss -= t->logprob[i];
    sums->n += b->n_targets;
    return L2_OK;
}

/* log(1 + exp(x)) without overflow. */
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* The paper's equation 2, -log sigmoid(r_c - r_r - m), with the optional terms; d gets the
 * derivatives by the two scores. */
static double pair_loss(const struct l2_trainer *t, const struct l2_data_pair *p, const float *r,
                        float *d)
{
    double c = r[0], j = r[1], x = c - j - p->margin, loss = softplus(-x);
    double dc = -sigmoid(-x), dj = -dc;
    loss += t->opts.centre * (c + j) * (c + j);
    dc += 2 * t->opts.centre * (c + j);
    dj += 2 * t->opts.centre * (c + j);
    for (int i = 0; i < 2; i++) {
        if (p->safe[i] < 0)
            continue;
        loss += t->opts.safety * softplus(p->safe[i] ? -r[i] : r[i]);
        *(i ? &dj : &dc) += t->opts.safety * (sigmoid(r[i]) - p->safe[i]);
    }
    d[0] = (float)dc;
    d[1] = (float)dj;
    return loss;
}

static int compare(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                   struct l2_losses *sums, struct l2_err *err)
{
    int rc = reserve_pairs(t, b->n_pairs, err);
    if (rc != L2_OK)
        return rc;
    for (size_t i = 0; i < b->n_pairs; i++)
        memcpy(t->rows + 2 * i, b->pairs[i].rows, sizeof b->pairs[i].rows);
    l2_net_label_head(t->net, t->rows, 2 * b->n_pairs, t->scores);
    for (size_t i = 0; i < b->n_pairs; i++) {
        const float *r = t->scores + 2 * i;
        double right = r[0] > r[1] ? 1 : r[0] == r[1] ? 0.5 : 0;
        sums->loss += pair_loss(t, &b->pairs[i], r, t->dscores + 2 * i);
        sums->margin += (double)r[0] - r[1];
        sums->right += right;
        sums->n_rated[b->pairs[i].rating]++;
        sums->right_rated[b->pairs[i].rating] += right;
    }
    sums->n += b->n_pairs;
    if (train)
        l2_net_label_head_bwd(t->net, t->rows, 2 * b->n_pairs, t->dscores, t->grads);
    return L2_OK;
}

/* Adds the losses of a batch, and (train) its gradients. */
static int run_batch(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                     struct l2_losses *sums, struct l2_err *err)
{
    int rc = l2_net_forward(t->net, t->params, &b->net, err);
    if (rc == L2_OK)
        rc = t->opts.kind == L2_DATA_PAIRS ? compare(t, b, train, sums, err)
                                           : predict(t, b, train, sums, err);
    if (rc == L2_OK && train)
        l2_net_backward(t->net, t->grads);
    return rc;
}

/* ---- steps ---- */

static void clear_gradients(struct l2_trainer *t)
{
    memset(t->grads->values, 0, t->grads->offset[t->grads->n_tensors] * sizeof(float));
}

/* Sums losses and gradients of a step's batches; step->grad_norm is of the mean. */
static int sum_gradients(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                         struct l2_err *err)
{
    struct l2_data_batch b;
    double norm;
    int rc = L2_OK;
    *step = (struct l2_step){.rows = 0};
    for (uint32_t i = 0; i < t->opts.micro && rc == L2_OK; i++) {
        rc = l2_data_next(d, &b, err);
        if (rc == L2_OK)
            rc = run_batch(t, &b, true, &step->sums, err);
        if (rc == L2_OK)
            step->rows += b.net.n_rows;
    }
    if (rc == L2_END && step->sums.n > 0)
        rc = L2_OK; /* the last step of a run may be smaller */
    if (rc == L2_OK)
        rc = l2_params_norm(t->grads, t->opts.pool, &norm, err);
    if (rc != L2_OK)
        return rc;
    step->grad_norm = norm / (double)step->sums.n;
    if (!isfinite(step->sums.loss) || !isfinite(step->grad_norm))
        return l2_err_set(err, L2_CORRUPT, "step %llu: loss %g, norm of the gradients %g",
                          (unsigned long long)t->adamw.step + 1,
                          step->sums.loss / (double)step->sums.n, step->grad_norm);
    return L2_OK;
}

int l2_trainer_step(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                    struct l2_err *err)
{
    int rc = sum_gradients(t, d, step, err);
    if (rc != L2_OK) {
        clear_gradients(t);
        return rc;
    }
    double scale = 1 / (double)step->sums.n;
    step->lr = l2_schedule_at(&t->opts.schedule, t->adamw.step + 1);
    if (t->opts.clip > 0 && step->grad_norm > t->opts.clip)
        scale *= t->opts.clip / step->grad_norm;
    l2_adamw_step(&t->adamw, t->params, t->grads, scale, step->lr, t->opts.pool);
    return L2_OK;
}

int l2_trainer_gradients(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                         struct l2_err *err)
{
    clear_gradients(t);
    int rc = sum_gradients(t, d, step, err);
    if (rc != L2_OK)
        return rc;
    float scale = (float)(1 / (double)step->sums.n);
    for (size_t i = 0; i < t->grads->offset[t->grads->n_tensors]; i++)
        t->grads->values[i] *= scale;
    return L2_OK;
}

int l2_trainer_evaluate(struct l2_trainer *t, struct l2_data *d, uint64_t max,
                        struct l2_losses *losses, struct l2_err *err)
{
    struct l2_data_batch b;
    int rc = L2_OK;
    *losses = (struct l2_losses){.n = 0};
    l2_data_rewind(d);
    for (uint64_t i = 0; (max == 0 || i < max) && rc == L2_OK; i++) {
        rc = l2_data_next(d, &b, err);
        if (rc == L2_OK)
            rc = run_batch(t, &b, false, losses, err);
    }
    return rc == L2_END ? L2_OK : rc;
}
