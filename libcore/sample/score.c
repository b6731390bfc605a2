/* Scores of completions: a reward model's, or log-probabilities under a policy. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kern/ops.h"
#include "sample/admit.h"
#include "sample/feed.h"
#include "text/encode.h"

#define LN2 0.69314718055994530942

struct scorer {
    struct l2_score_opts opts;
    const struct l2_hparams *hp;
    struct l2_worker_faults *faults;
};

/* What is known of one completion so far. */
struct partial {
    float *labels;   /* one score a label */
    float *logprobs; /* one a token that counts */
    bool non_finite;
    bool not_greedy; /* another token was more likely, or as likely with a lower id */
};

static struct partial *partial_of(const struct l2_feed_item *item, size_t completion)
{
    return (struct partial *)item->scratch + completion;
}

static int begin(void *arg, struct l2_feed_item *item, struct l2_err *err)
{
    const struct scorer *s = arg;
    struct l2_record *rec = item->rec;
    struct partial *p = l2_arena_alloc(&rec->arena, rec->n_completions, sizeof *p, err);
    if (!p)
        return L2_MEMORY;
    item->scratch = p;
    for (size_t c = 0; c < rec->n_completions; c++) {
        bool reward = s->opts.kind == L2_SCORE_REWARD;
        size_t n = reward ? s->hp->n_labels : rec->completions[c].tokens.n;
        float *values = l2_arena_alloc(&rec->arena, n, sizeof *values, err);
        if (!values)
            return L2_MEMORY;
        p[c] =
            (struct partial){.labels = reward ? values : NULL, .logprobs = reward ? NULL : values};
        for (size_t i = 0; reward && i < n; i++)
            values[i] = NAN;
    }
    return L2_OK;
}

/* ---- rewards: the label scores at the last token ---- */

static uint32_t reward_rows(const void *arg, const struct l2_feed_item *item, size_t completion,
                            uint32_t n)
{
    (void)arg;
    (void)item;
    (void)completion;
    return n;
}

static bool has_empty_completion(const struct l2_record *rec)
{
    for (size_t c = 0; c < rec->n_completions; c++)
        if (rec->completions[c].tokens.n == 0)
            return true;
    return false;
}

/* An empty completion, or one that truncation left nothing of, is scored at the prompt's last
 * token. */
static bool reward_wants(const void *arg, const struct l2_feed_item *item, size_t completion,
                         uint32_t position, uint32_t n_rows)
{
    const struct scorer *s = arg;
    if (position + 1 < n_rows)
        return false;
    return completion != L2_FEED_PROMPT || has_empty_completion(item->rec) ||
           item->n_prompt == s->hp->context;
}

static int reward_output(void *arg, struct l2_feed_item *item, size_t completion, uint32_t position,
                         const float *values, uint32_t width, struct l2_err *err)
{
    (void)arg;
    (void)position;
    (void)err;
    if (completion != L2_FEED_PROMPT) {
        memcpy(partial_of(item, completion)->labels, values, width * sizeof *values);
        return L2_OK;
    }
    for (size_t c = 0; c < item->rec->n_completions; c++)
        memcpy(partial_of(item, c)->labels, values, width * sizeof *values);
    return L2_OK;
}

static void count_eos(struct scorer *s, const struct l2_completion *c)
{
    bool ends = false;
    if (s->hp->reward_eos == L2_EOS_UNKNOWN)
        return;
    for (uint32_t i = 0; i < s->hp->n_eos && c->tokens.n > 0; i++)
        ends = ends || c->tokens.v[c->tokens.n - 1] == s->hp->eos[i];
    if (ends != (s->hp->reward_eos == L2_EOS_PRESENT))
        s->faults->eos_mismatches++;
}

/* One label has the name as it is; of several, number i has NAME.i. */
static int set_labels(const struct scorer *s, struct l2_record *rec, struct l2_completion *c,
                      const float *labels, struct l2_err *err)
{
    struct l2_buf name = {0};
    int r = L2_OK;
    if (s->hp->n_labels == 1)
        return l2_record_set_score(rec, c, s->opts.name, (double)labels[0], err);
    for (uint32_t i = 0; i < s->hp->n_labels && r == L2_OK; i++) {
        name.len = 0;
        r = l2_buf_printf(&name, err, "%s.%u%c", s->opts.name, (unsigned)i, '\0');
        if (r == L2_OK)
            r = l2_record_set_score(rec, c, (const char *)name.data, (double)labels[i], err);
    }
    l2_buf_release(&name);
    return r;
}

static int reward_finish(void *arg, struct l2_feed_item *item, size_t completion, uint32_t n,
                         struct l2_err *err)
{
    struct scorer *s = arg;
    (void)n;
    if (completion == L2_FEED_PROMPT)
        return L2_OK; /* nothing to score */
    const float *labels = partial_of(item, completion)->labels;
    for (uint32_t i = 0; i < s->hp->n_labels; i++)
        if (!isfinite(labels[i]))
            return l2_err_set(err, L2_CORRUPT, "completion %zu: the score is not finite: got %g",
                              completion, (double)labels[i]);
    struct l2_completion *c = &item->rec->completions[completion];
    count_eos(s, c);
    return set_labels(s, item->rec, c, labels, err);
}

/* ---- log-probabilities ---- */

/* The last token's own output is of no use. */
static uint32_t logprob_rows(const void *arg, const struct l2_feed_item *item, size_t completion,
                             uint32_t n)
{
    (void)arg;
    (void)item;
    return completion == L2_FEED_PROMPT || n == 0 ? n : n - 1;
}

static bool logprob_wants(const void *arg, const struct l2_feed_item *item, size_t completion,
                          uint32_t position, uint32_t n_rows)
{
    (void)arg;
    if (completion != L2_FEED_PROMPT)
        return true;
    return position + 1 == n_rows && item->rec->n_completions > 0;
}

/* Whether token is what temperature 0 draws. */
static bool is_greedy(const float *logits, uint32_t width, uint32_t token)
{
    for (uint32_t i = 0; i < width; i++)
        if (logits[i] > logits[token] || (logits[i] == logits[token] && i < token))
            return false;
    return true;
}

/* Token number position of a completion from the width logits before it. */
static void put_logprob(const struct scorer *s, struct l2_feed_item *item, size_t completion,
                        uint32_t position, const float *logits, uint32_t width, double lse)
{
    struct partial *p = partial_of(item, completion);
    uint32_t token = item->rec->completions[completion].tokens.v[position];
    p->logprobs[position] = (float)((double)logits[token] - lse);
    if (s->opts.greedy && !p->not_greedy)
        p->not_greedy = !is_greedy(logits, width, token);
}

static int logprob_output(void *arg, struct l2_feed_item *item, size_t completion,
                          uint32_t position, const float *values, uint32_t width,
                          struct l2_err *err)
{
    const struct scorer *s = arg;
    float max;
    double lse;
    (void)err;
    bool finite = l2_logsumexp(values, width, &max, &lse);
    if (completion != L2_FEED_PROMPT) {
        partial_of(item, completion)->non_finite |= !finite;
        if (finite)
            put_logprob(s, item, completion, position + 1, values, width, lse);
        return L2_OK;
    }
    for (size_t c = 0; c < item->rec->n_completions; c++) {
        if (item->rec->completions[c].tokens.n == 0)
            continue;
        partial_of(item, c)->non_finite |= !finite;
        if (finite)
            put_logprob(s, item, c, 0, values, width, lse);
    }
    return L2_OK;
}

/* Bytes of the text that n tokens after the prompt decode to. The first piece with text loses the
 * space of the dummy prefix where the prompt has no text; the others have their own bytes, valid
 * UTF-8 or not. */
static int count_bytes(const struct l2_vocab *v, const struct l2_u32s *prompt,
                       const uint32_t *tokens, uint32_t n, size_t *out, struct l2_err *err)
{
    struct l2_decoder d;
    struct l2_buf text = {0};
    bool first = !l2_admit_has_text(v, prompt);
    int r = L2_OK;
    *out = 0;
    l2_decoder_init(&d, v, false);
    for (uint32_t i = 0; i < n && r == L2_OK; i++) {
        size_t len = 0;
        if (tokens[i] >= l2_vocab_size(v))
            continue;
        (void)l2_vocab_bytes(v, tokens[i], &len);
        if (first && len > 0) {
            r = l2_decode_id(&d, tokens[i], &text, err);
            if (d.n_held == 0 && text.len < len)
                len = text.len;
            first = false;
        }
        *out += len;
    }
    l2_buf_release(&text);
    return r;
}

static int in_unit(const struct scorer *s, const struct l2_record *rec,
                   const struct l2_completion *c, double sum, uint32_t n, double *out,
                   struct l2_err *err)
{
    size_t bytes;
    int r;
    *out = sum;
    switch (s->opts.unit) {
    case L2_LOGPROB_SUM:
        return L2_OK;
    case L2_LOGPROB_MEAN:
        if (n == 0)
            return l2_err_set(err, L2_CORRUPT, "a completion without tokens has no mean");
        *out = sum / n;
        return L2_OK;
    case L2_LOGPROB_BITS_PER_BYTE:
        r = count_bytes(s->opts.vocab, &rec->prompt, c->tokens.v, n, &bytes, err);
        if (r == L2_OK && bytes == 0)
            r = l2_err_set(err, L2_CORRUPT, "a completion without text has no bits per byte");
        if (r == L2_OK)
            *out = -sum / LN2 / (double)bytes;
        return r;
    }
    return L2_OK;
}

static int logprob_finish(void *arg, struct l2_feed_item *item, size_t completion, uint32_t n,
                          struct l2_err *err)
{
    struct scorer *s = arg;
    double sum = 0, score;
    if (completion == L2_FEED_PROMPT)
        return L2_OK;
    struct l2_completion *c = &item->rec->completions[completion];
    struct partial *p = partial_of(item, completion);
    if (n > 0 && item->n_prompt == 0)
        return l2_err_set(
            err, L2_CORRUPT,
            "completion %zu: nothing to condition its first token on: the prompt is empty",
            completion);
    if (n == 0 && c->tokens.n > 0)
        return l2_err_set(err, L2_CORRUPT,
                          "completion %zu: the prompt fills the context, nothing of it is left",
                          completion);
    if (p->non_finite)
        return l2_err_set(err, L2_CORRUPT, "completion %zu: a logit is not finite", completion);
    for (uint32_t i = 0; i < n; i++)
        sum += p->logprobs[i];
    int r = in_unit(s, item->rec, c, sum, n, &score, err);
    if (r != L2_OK)
        return r;
    if (s->opts.per_token && n == c->tokens.n)
        c->series[L2_LOGPROBS] = (struct l2_f32s){p->logprobs, n};
    if (s->opts.greedy) {
        r = l2_record_set_score(item->rec, c, s->opts.greedy, p->not_greedy ? 0 : 1, err);
        if (r != L2_OK)
            return r;
    }
    return l2_record_set_score(item->rec, c, s->opts.name, score, err);
}

int l2_scorer_new(struct l2_worker **out, struct l2_engine *e, const struct l2_score_opts *opts,
                  struct l2_err *err)
{
    const struct l2_hparams *hp = l2_engine_hparams(e);
    bool reward = opts->kind == L2_SCORE_REWARD;
    *out = NULL;
    if (reward && hp->head != L2_HEAD_LABELS)
        return l2_err_set(err, L2_ARGUMENT,
                          "not a reward model: want a score head, got a vocabulary head");
    if (!reward && hp->head != L2_HEAD_VOCAB)
        return l2_err_set(err, L2_ARGUMENT,
                          "log-probabilities want a vocabulary head, got a score head");
    if (!reward && opts->unit == L2_LOGPROB_BITS_PER_BYTE && !opts->vocab)
        return l2_err_set(err, L2_ARGUMENT, "bits per byte want a vocabulary");
    struct scorer *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->opts = *opts;
    s->hp = hp;
    struct l2_feed_visitor v = {
        .output = L2_OUT_HEAD,
        .arg = s,
        .begin = begin,
        .n_rows = reward ? reward_rows : logprob_rows,
        .wants = reward ? reward_wants : logprob_wants,
        .output_row = reward ? reward_output : logprob_output,
        .finish = reward ? reward_finish : logprob_finish,
        .free = free,
    };
    int r = l2_feed_new(out, e, &v, opts->overlong, err);
    if (r == L2_OK)
        s->faults = l2_feed_faults(*out);
    return r;
}
