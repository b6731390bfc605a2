/* From logits to one token, in a fixed order of operations and with our own elementary functions.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/sampler.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kern/math.h"
#include "kern/ops.h"

struct l2_sampler {
    struct l2_sampler_opts o;
    uint32_t n;    /* vocabulary size */
    float *scaled; /* (logit - largest) / temperature, after the penalty; at most 0 */
    float *weight; /* exp(scaled), 0 where a filter has removed the token */
    uint32_t
        *stamp; /* stamp[id] == turn: id has had its penalty in this draw; NULL without penalty */
    uint32_t turn;
};

struct l2_sampler_opts l2_sampler_neutral(void)
{
    return (struct l2_sampler_opts){
        .temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .repetition_penalty = 1};
}

bool l2_sampler_is_neutral(const struct l2_sampler_opts *o)
{
    return o->temperature == 1 && o->top_k == 0 && o->top_p == 1 && o->min_p == 0 &&
           o->repetition_penalty == 1;
}

static int check_options(const struct l2_sampler_opts *o, struct l2_err *err)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return l2_err_set(err, L2_ARGUMENT, "temperature: want 0 or more, got %g", o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return l2_err_set(err, L2_ARGUMENT, "top-p: want above 0 and at most 1, got %g", o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return l2_err_set(err, L2_ARGUMENT, "min-p: want 0 to 1, got %g", o->min_p);
    if (!(o->repetition_penalty > 0) || !isfinite(o->repetition_penalty))
        return l2_err_set(err, L2_ARGUMENT, "repetition penalty: want above 0, got %g",
                          o->repetition_penalty);
    return L2_OK;
}

int l2_sampler_new(struct l2_sampler **out, const struct l2_sampler_opts *o, uint32_t vocab_size,
                   struct l2_err *err)
{
    struct l2_sampler *s;
    int rc;
    *out = NULL;
    assert(vocab_size > 0);
    if ((rc = check_options(o, err)) < 0)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->o = *o;
    s->n = vocab_size;
    s->scaled = malloc(vocab_size * sizeof *s->scaled);
    s->weight = malloc(vocab_size * sizeof *s->weight);
    if (o->repetition_penalty != 1)
        s->stamp = calloc(vocab_size, sizeof *s->stamp);
    if (!s->scaled || !s->weight || (o->repetition_penalty != 1 && !s->stamp)) {
        l2_sampler_free(s);
        return l2_err_memory(err, vocab_size * sizeof *s->scaled);
    }
    *out = s;
    return L2_OK;
}

void l2_sampler_free(struct l2_sampler *s)
{
    if (!s)
        return;
    free(s->scaled);
    free(s->weight);
    free(s->stamp);
    free(s);
}

static int not_finite(const float *x, uint32_t n, const char *when, struct l2_err *err)
{
    uint32_t i = 0;
    while (i + 1 < n && isfinite(x[i]))
        i++;
    return l2_err_set(err, L2_CORRUPT, "the logit of token %u is not finite%s", (unsigned)i, when);
}

int l2_logprob(const float *logits, uint32_t vocab_size, uint32_t id, double *out,
               struct l2_err *err)
{
    float max;
    double lse;
    *out = 0;
    assert(id < vocab_size);
    if (!l2_logsumexp(logits, vocab_size, &max, &lse))
        return not_finite(logits, vocab_size, "", err);
    *out = (double)logits[id] - lse;
    return L2_OK;
}

/* Copies the logits to s->scaled and applies the penalty once for each seen token. */
static int penalise(struct l2_sampler *s, const float *logits, const uint32_t *seen, size_t n_seen,
                    struct l2_err *err)
{
    float penalty = (float)s->o.repetition_penalty;
    memcpy(s->scaled, logits, s->n * sizeof *logits);
    if (!s->stamp || !seen)
        return L2_OK;
    if (++s->turn == 0) {
        memset(s->stamp, 0, s->n * sizeof *s->stamp);
        s->turn = 1;
    }
    for (size_t i = 0; i < n_seen; i++) {
        uint32_t id = seen[i];
        assert(id < s->n);
        if (s->stamp[id] == s->turn)
            continue;
        s->stamp[id] = s->turn;
        s->scaled[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
        if (!isfinite(s->scaled[id]))
            return not_finite(s->scaled, s->n, " after the repetition penalty", err);
    }
    return L2_OK;
}

static uint32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* scaled = (x - max) / T, which cannot overflow upwards however small T is, and weight =
 * exp(scaled). Adding 0 makes -0 into 0, so that equal values have equal keys below. */
static void weigh(struct l2_sampler *s)
{
    float max = s->scaled[argmax(s->scaled, s->n)];
    for (uint32_t i = 0; i < s->n; i++)
        s->scaled[i] = (float)(((double)s->scaled[i] - max) / s->o.temperature + 0.0);
    l2_expf_row(s->weight, s->scaled, s->n, 0.0f);
}

/* Maps floats to integers of the same order. */
static uint32_t key_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* Keeps the shortest head, in order of falling likelihood and rising id, whose sum of measures
 * reaches target; a token's measure is 1 (by_count) or its weight. Removes the others by weight 0.
 *
 * The key of the last token kept is found by four rounds of a histogram over the next eight bits of
 * those keys that agree in the bits found so far: O(V) whatever the logits are, no sorting, and
 * sums in a fixed order. */
static void keep_head(struct l2_sampler *s, double target, bool by_count)
{
    uint32_t prefix = 0, mask = 0;
    double above = 0; /* the measure of all keys that are larger than any under consideration */
    for (int shift = 24; shift >= 0; shift -= 8) {
        double bin[256] = {0};
        bool used[256] = {false};
        int b, last = 0;
        for (uint32_t i = 0; i < s->n; i++) {
            uint32_t key = key_of(s->scaled[i]);
            if (s->weight[i] > 0 && (key & mask) == prefix) {
                bin[key >> shift & 255] += by_count ? 1.0 : (double)s->weight[i];
                used[key >> shift & 255] = true;
            }
        }
        /* down to the bin in which the target is reached, or the last that holds anything */
        for (b = 255; b >= 0; b--) {
            if (!used[b])
                continue;
            last = b;
            if (above + bin[b] >= target)
                break;
            above += bin[b];
        }
        if (b < 0)
            above -= bin[last];
        prefix |= (uint32_t)last << shift;
        mask |= 255u << shift;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t key = key_of(s->scaled[i]);
        if (key > prefix)
            continue;
        if (key == prefix && s->weight[i] > 0 && above < target)
            above += by_count ? 1.0 : (double)s->weight[i];
        else
            s->weight[i] = 0;
    }
}

static double total(const struct l2_sampler *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->n; i++)
        sum += s->weight[i];
    return sum;
}

static void filter(struct l2_sampler *s)
{
    if (s->o.top_k > 0 && s->o.top_k < s->n)
        keep_head(s, s->o.top_k, true);
    if (s->o.top_p < 1)
        keep_head(s, s->o.top_p * total(s), false);
    if (s->o.min_p > 0) /* the largest weight is exp(0) = 1 */
        for (uint32_t i = 0; i < s->n; i++)
            if (s->weight[i] < s->o.min_p)
                s->weight[i] = 0;
}

/* The first id at which the cumulative sum exceeds u times the whole. */
static uint32_t invert(const struct l2_sampler *s, double u, double sum)
{
    double cumulative = 0, target = u * sum;
    uint32_t last = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->weight[i] <= 0)
            continue;
        cumulative += s->weight[i];
        last = i;
        if (cumulative > target)
            break;
    }
    return last;
}

int l2_sampler_draw(struct l2_sampler *s, const float *logits, const uint32_t *seen, size_t n_seen,
                    double u, struct l2_draw *out, struct l2_err *err)
{
    float max;
    double lse, sum;
    int rc;
    *out = (struct l2_draw){0, 0, 0};
    if (!l2_logsumexp(logits, s->n, &max, &lse))
        return not_finite(logits, s->n, "", err);
    if ((rc = penalise(s, logits, seen, n_seen, err)) < 0)
        return rc;
    if (s->o.temperature == 0) {
        out->id = argmax(s->scaled, s->n);
    } else {
        weigh(s);
        filter(s);
        sum = total(s);
        out->id = invert(s, u, sum);
        out->sampled_logprob = (float)((double)s->scaled[out->id] - l2_log(sum));
    }
    out->logprob = (float)((double)logits[out->id] - lse);
    return L2_OK;
}
