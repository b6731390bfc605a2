/* Self-BLEU in time linear in the texts but for sorting: what every other text has most of an
 * n-gram is its largest count in any text, or where that is the text's own, the second largest. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval/selfbleu.h"

#include <math.h>
#include <stdlib.h>

/* An n-gram as two numbers: the class of its first tokens, and its last token's class. Classes are
 * exact, not hashes. */
struct gram {
    uint64_t first, last;
    size_t at; /* of all tokens */
    uint32_t text;
};

struct work {
    struct gram *grams;
    uint64_t *token; /* class of each token */
    uint64_t *class; /* class of the n-gram that begins there, of the order before */
    uint32_t *owner;
    size_t *end;             /* (n): end of each text's tokens */
    double *matched, *total; /* (n): clipped and all n-grams of the present order */
    double *log_sum;         /* (n) */
    size_t n_tokens;
};

static int by_gram(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->last != y->last)
        return x->last < y->last ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

static int prepare(struct work *w, const struct l2_tokens_of *texts, size_t n, struct l2_err *err)
{
    size_t m, at = 0;
    for (size_t i = 0; i < n; i++)
        w->n_tokens += texts[i].n;
    m = w->n_tokens > 0 ? w->n_tokens : 1;
    w->grams = calloc(m, sizeof *w->grams);
    w->token = calloc(m, sizeof *w->token);
    w->class = calloc(m, sizeof *w->class);
    w->owner = calloc(m, sizeof *w->owner);
    w->end = calloc(n, sizeof *w->end);
    w->matched = calloc(n, sizeof *w->matched);
    w->total = calloc(n, sizeof *w->total);
    w->log_sum = calloc(n, sizeof *w->log_sum);
    if (!w->grams || !w->token || !w->class || !w->owner || !w->end || !w->matched || !w->total ||
        !w->log_sum)
        return l2_err_memory(err, m * 64);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < texts[i].n; k++) {
            w->owner[at] = (uint32_t)i;
            w->token[at++] = texts[i].v[k];
        }
        w->end[i] = at;
    }
    return L2_OK;
}

static void release(struct work *w)
{
    free(w->grams);
    free(w->token);
    free(w->class);
    free(w->owner);
    free(w->end);
    free(w->matched);
    free(w->total);
    free(w->log_sum);
}

static size_t gather(struct work *w, unsigned order)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_tokens; i++)
        if (i + order <= w->end[w->owner[i]])
            w->grams[n++] =
                (struct gram){order > 1 ? w->class[i] : 0, w->token[i + order - 1], i, w->owner[i]};
    return n;
}

/* Counts one class of equal n-grams, which stand by text. */
static void count_class(struct work *w, const struct gram *g, size_t n)
{
    size_t most = 0, second = 0, end;
    for (size_t i = 0; i < n; i = end) {
        for (end = i; end < n && g[end].text == g[i].text; end++)
            ;
        if (end - i >= most) {
            second = most;
            most = end - i;
        } else if (end - i > second) {
            second = end - i;
        }
    }
    for (size_t i = 0; i < n; i = end) {
        for (end = i; end < n && g[end].text == g[i].text; end++)
            ;
        size_t here = end - i, others = here == most ? second : most;
        w->total[g[i].text] += (double)here;
        w->matched[g[i].text] += (double)(here < others ? here : others);
    }
}

/* Counts the n-grams of one order, and makes them the classes that the next one builds on. */
static void count_order(struct work *w, unsigned order, size_t n_texts)
{
    size_t n = gather(w, order), end;
    uint64_t class = 0;
    for (size_t i = 0; i < n_texts; i++)
        w->matched[i] = w->total[i] = 0;
    if (n > 0)
        qsort(w->grams, n, sizeof *w->grams, by_gram);
    for (size_t i = 0; i < n; i = end, class ++) {
        const struct gram *g = &w->grams[i];
        for (end = i; end < n && w->grams[end].first == g->first && w->grams[end].last == g->last;
             end++)
            w->class[w->grams[end].at] = class;
        count_class(w, g, end - i);
    }
}

/* exp of 1 - r / c for a text of c tokens that is shorter than the nearest reference's r. */
static double brevity(const struct l2_tokens_of *texts, size_t n, size_t i)
{
    size_t best = SIZE_MAX, nearest = 0, mine = texts[i].n;
    for (size_t k = 0; k < n; k++) {
        size_t m = texts[k].n, d = m > mine ? m - mine : mine - m;
        if (k != i && (d < best || (d == best && m < nearest))) {
            best = d;
            nearest = m;
        }
    }
    return mine >= nearest ? 1 : exp(1 - (double)nearest / (double)mine);
}

int l2_self_bleu(const struct l2_tokens_of *texts, size_t n, unsigned order, double *out,
                 struct l2_err *err)
{
    struct work w = {0};
    *out = 0;
    if (n < 2 || order < 1 || order > L2_BLEU_MAX_ORDER)
        return l2_err_set(err, L2_ARGUMENT, "self-BLEU wants two texts or more");
    int r = prepare(&w, texts, n, err);
    for (unsigned k = 1; r == L2_OK && k <= order; k++) {
        count_order(&w, k, n);
        for (size_t i = 0; i < n; i++) {
            double matched = w.matched[i] > 0 || k == 1 ? w.matched[i] : 0.1;
            w.log_sum[i] += log(matched / fmax(1, w.total[i]));
        }
    }
    for (size_t i = 0; r == L2_OK && i < n; i++)
        if (texts[i].n > 0)
            *out += brevity(texts, n, i) * exp(w.log_sum[i] / order) / (double)n;
    release(&w);
    return r;
}
