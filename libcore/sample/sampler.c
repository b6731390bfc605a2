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

#define BLOCK 256 /* weights that are summed together */

struct l2_sampler {
    struct l2_sampler_opts o;
    bool neutral;
    uint32_t n;     /* vocabulary size */
    float *scaled;  /* (logit - largest) / temperature, after the penalty; at most 0 */
    float *weight;  /* exp(scaled), 0 where a filter has removed the token */
    double *block;  /* the sum of each BLOCK weights */
    uint32_t *list; /* ids, for keep_head */
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
    s->neutral = l2_sampler_is_neutral(o);
    s->n = vocab_size;
    s->scaled = malloc(vocab_size * sizeof *s->scaled);
    s->weight = malloc(vocab_size * sizeof *s->weight);
    s->block = malloc((vocab_size / BLOCK + 1) * sizeof *s->block);
    s->list = malloc(vocab_size * sizeof *s->list);
    if (o->repetition_penalty != 1)
        s->stamp = calloc(vocab_size, sizeof *s->stamp);
    if (!s->scaled || !s->weight || !s->block || !s->list ||
        (o->repetition_penalty != 1 && !s->stamp)) {
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
    free(s->block);
    free(s->list);
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

/* How keep_head looks at keys: in three rounds, from the top. */
static const struct {
    unsigned shift, n_bins;
} rounds[] = {{21, 2048}, {10, 2048}, {0, 1024}};

/* Keeps the shortest head, in order of falling likelihood and rising id, whose sum of measures
 * reaches target; a token's measure is 1 (by_count) or its weight. Removes the others by weight 0;
 * the caller knows that all below floor are among them.
 *
 * The key of the last token kept is found by a histogram over the top bits of the keys, then over
 * the next bits of those keys in the bin in which the target is reached, and so on: O(V) whatever
 * the logits are, no sorting, and sums in a fixed order. */
static void keep_head(struct l2_sampler *s, double target, bool by_count, double floor)
{
    double above = 0; /* the measure of all keys that are larger than any under consideration */
    uint32_t n = 0, key = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->weight[i] > floor)
            s->list[n++] = i;
    for (size_t r = 0; r < sizeof rounds / sizeof *rounds; r++) {
        double bin[2048] = {0};
        unsigned shift = rounds[r].shift, mask = rounds[r].n_bins - 1, b;
        uint32_t kept = 0;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t i = s->list[j];
            bin[key_of(s->scaled[i]) >> shift & mask] += by_count ? 1.0 : (double)s->weight[i];
        }
        /* down to the bin in which the target is reached; rounding may leave that to the lowest */
        for (b = mask; b > 0 && !(bin[b] > 0 && above + bin[b] >= target); b--)
            above += bin[b];
        if (bin[b] == 0) {
            while (bin[b] == 0)
                b++;
            above -= bin[b];
        }
        for (uint32_t j = 0; j < n; j++)
            if ((key_of(s->scaled[s->list[j]]) >> shift & mask) == b)
                s->list[kept++] = s->list[j];
        n = kept;
        key |= b << shift;
    }
    for (uint32_t i = 0; i < s->n; i++)
        if (key_of(s->scaled[i]) < key)
            s->weight[i] = 0;
    for (uint32_t j = 0; j < n; j++) { /* equal keys, in order of id */
        uint32_t i = s->list[j];
        double measure = by_count ? 1.0 : (double)s->weight[i];
        if (above >= target)
            s->weight[i] = 0;
        above += measure;
    }
}

/* Sums each block of weights, in eight interleaved parts, and all blocks. */
static double total(struct l2_sampler *s)
{
    double sum = 0;
    for (uint32_t b = 0; b * BLOCK < s->n; b++) {
        const float *w = s->weight + b * BLOCK;
        uint32_t n = s->n - b * BLOCK < BLOCK ? s->n - b * BLOCK : BLOCK, i = 0;
        double part[8] = {0};
        for (; i + 8 <= n; i += 8)
            for (int k = 0; k < 8; k++)
                part[k] += w[i + k];
        for (; i < n; i++)
            part[0] += w[i];
        s->block[b] = ((part[0] + part[4]) + (part[1] + part[5])) +
                      ((part[2] + part[6]) + (part[3] + part[7]));
        sum += s->block[b];
    }
    return sum;
}

static void filter(struct l2_sampler *s)
{
    if (s->o.top_k > 0 && s->o.top_k < s->n)
        keep_head(s, s->o.top_k, true, 0);
    if (s->o.top_p < 1) {
        /* n tokens that weigh (1 - p) / n of the whole or less leave p to the others; the factor
         * is for rounding */
        double sum = total(s);
        keep_head(s, s->o.top_p * sum, false, 0.99 * (1 - s->o.top_p) * sum / s->n);
    }
    if (s->o.min_p > 0) /* the largest weight is exp(0) = 1 */
        for (uint32_t i = 0; i < s->n; i++)
            if (s->weight[i] < s->o.min_p)
                s->weight[i] = 0;
}

/* The first id at which the cumulative sum exceeds u times the whole: its block first, then the
 * place in that. Where rounding would pass by, the last token that is left. */
static uint32_t invert(const struct l2_sampler *s, double u, double sum)
{
    double cumulative = 0, target = u * sum;
    uint32_t b = 0, last = 0, n_blocks = (s->n + BLOCK - 1) / BLOCK, end;
    while (b + 1 < n_blocks && cumulative + s->block[b] <= target)
        cumulative += s->block[b++];
    while (b > 0 && s->block[b] <= 0)
        b--;
    end = s->n - b * BLOCK < BLOCK ? s->n : (b + 1) * BLOCK;
    for (uint32_t i = b * BLOCK; i < end; i++) {
        if (s->weight[i] <= 0)
            continue;
        cumulative += s->weight[i];
        last = i;
        if (cumulative > target)
            break;
    }
    return last;
}

/* Draws from the weights of s->scaled. */
static void draw_scaled(struct l2_sampler *s, double u, struct l2_draw *out)
{
    double sum;
    weigh(s);
    filter(s);
    sum = total(s);
    out->id = invert(s, u, sum);
    out->sampled_logprob = (float)((double)s->scaled[out->id] - l2_log(sum));
}

int l2_sampler_draw(struct l2_sampler *s, const float *logits, const uint32_t *seen, size_t n_seen,
                    double u, struct l2_draw *out, struct l2_err *err)
{
    float max;
    double lse;
    int rc;
    *out = (struct l2_draw){0, 0, 0};
    if (!l2_logsumexp(logits, s->n, &max, &lse))
        return not_finite(logits, s->n, "", err);
    if (s->neutral) {
        l2_expf_row(s->weight, logits, s->n, max);
        out->id = invert(s, u, total(s));
        out->sampled_logprob = (float)((double)logits[out->id] - lse);
    } else {
        if ((rc = penalise(s, logits, seen, n_seen, err)) < 0)
            return rc;
        if (s->o.temperature == 0)
            out->id = argmax(s->scaled, s->n);
        else
            draw_scaled(s, u, out);
    }
    out->logprob = (float)((double)logits[out->id] - lse);
    return L2_OK;
}
