/* The losses of training, and their derivatives by what the model computes. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_state.h"
#include "util/grow.h"

static int reserve_targets(struct l2_trainer *t, size_t n, struct l2_err *err)
{
    if (n <= t->cap_targets)
        return L2_OK;
    int rc = l2_resize(&t->logprob, n, sizeof *t->logprob, err);
    if (rc == L2_OK)
        rc = l2_resize(&t->coefficient, n, sizeof *t->coefficient, err);
    if (rc != L2_OK)
        return rc;
    t->cap_targets = n;
    for (size_t i = 0; i < n; i++)
        t->coefficient[i] = -1; /* of the sum of -logprob */
    return L2_OK;
}

static int reserve_pairs(struct l2_trainer *t, size_t n, struct l2_err *err)
{
    if (n <= t->cap_pairs)
        return L2_OK;
    int rc = l2_resize(&t->scores, 2 * n, sizeof *t->scores, err);
    if (rc == L2_OK)
        rc = l2_resize(&t->dscores, 2 * n, sizeof *t->dscores, err);
    if (rc == L2_OK)
        rc = l2_resize(&t->rows, 2 * n, sizeof *t->rows, err);
    if (rc == L2_OK)
        t->cap_pairs = n;
    return rc;
}

/* Adapters leave the vocabulary head as it is. */
static struct l2_params *vocab_grads(const struct l2_trainer *t)
{
    return t->lora ? NULL : t->grads;
}

static int predict(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                   struct l2_losses *sums, struct l2_err *err)
{
    int rc = reserve_targets(t, b->n_targets, err);
    if (rc == L2_OK)
        rc = l2_net_vocab_head(t->net, b->targets, b->n_targets, train ? t->coefficient : NULL,
                               train ? vocab_grads(t) : NULL, t->logprob, NULL, err);
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

int l2_losses_add(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                  struct l2_losses *sums, struct l2_err *err)
{
    return t->opts.kind == L2_DATA_PAIRS ? compare(t, b, train, sums, err)
                                         : predict(t, b, train, sums, err);
}

void l2_losses_pack(const struct l2_losses *l, double out[L2_LOSSES_NUMBERS])
{
    out[0] = l->loss;
    out[1] = (double)l->n;
    out[2] = l->right;
    out[3] = l->margin;
    for (size_t i = 0; i <= L2_N_RATINGS; i++) {
        out[4 + 2 * i] = (double)l->n_rated[i];
        out[5 + 2 * i] = l->right_rated[i];
    }
}

void l2_losses_unpack(struct l2_losses *l, const double in[L2_LOSSES_NUMBERS])
{
    *l = (struct l2_losses){.loss = in[0], .n = (uint64_t)in[1], .right = in[2], .margin = in[3]};
    for (size_t i = 0; i <= L2_N_RATINGS; i++) {
        l->n_rated[i] = (uint64_t)in[4 + 2 * i];
        l->right_rated[i] = in[5 + 2 * i];
    }
}
