/* Pooled hidden states of completions with their prompt. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample/feed.h"

struct embedder {
    struct l2_embed_opts opts;
    uint32_t dim;
};

/* Per record: what the positions seen so far add up to. The prompt's part is computed once and
 * stands at the front of every completion's. */
struct sums {
    double *prompt;      /* (dim): mean pooling */
    double **completion; /* (n_completions) of (dim), NULL before their first row */
    float *prompt_rows;  /* (n_prompt, dim): no pooling; else (1, dim): the last row */
    float **rows;        /* (n_completions) likewise, prompt's rows included */
};

static bool keeps_all_rows(const struct embedder *e)
{
    return e->opts.pooling == L2_POOL_NONE;
}

static int begin(void *arg, struct l2_feed_item *item, struct l2_err *err)
{
    const struct embedder *e = arg;
    struct l2_arena *arena = &item->rec->arena;
    size_t n = item->rec->n_completions;
    size_t n_rows = keeps_all_rows(e) ? item->n_prompt : 1;
    struct sums *s = l2_arena_alloc(arena, 1, sizeof *s, err);
    if (!s)
        return L2_MEMORY;
    s->prompt = l2_arena_alloc(arena, e->dim, sizeof *s->prompt, err);
    s->prompt_rows = l2_arena_alloc(arena, n_rows * e->dim, sizeof *s->prompt_rows, err);
    s->completion = l2_arena_alloc(arena, n, sizeof *s->completion, err);
    s->rows = l2_arena_alloc(arena, n, sizeof *s->rows, err);
    if (!s->prompt || !s->prompt_rows || !s->completion || !s->rows)
        return L2_MEMORY;
    memset(s->prompt, 0, e->dim * sizeof *s->prompt);
    for (size_t c = 0; c < n; c++) {
        s->completion[c] = NULL;
        s->rows[c] = NULL;
    }
    item->scratch = s;
    return L2_OK;
}

static uint32_t n_rows(const void *arg, const struct l2_feed_item *item, size_t completion,
                       uint32_t n)
{
    (void)arg;
    (void)item;
    (void)completion;
    return n;
}

static bool wants(const void *arg, const struct l2_feed_item *item, size_t completion,
                  uint32_t position, uint32_t n)
{
    const struct embedder *e = arg;
    (void)item;
    (void)completion;
    return e->opts.pooling != L2_POOL_LAST || position + 1 == n;
}

/* Storage of completion c, begun with the prompt's part. */
static int open_completion(const struct embedder *e, struct l2_feed_item *item, size_t c,
                           struct l2_err *err)
{
    struct sums *s = item->scratch;
    struct l2_arena *arena = &item->rec->arena;
    size_t all = keeps_all_rows(e) ? item->n_prompt + item->rec->completions[c].tokens.n : 1;
    size_t from_prompt = keeps_all_rows(e) ? item->n_prompt : item->n_prompt > 0 ? 1 : 0;
    if (s->rows[c])
        return L2_OK;
    s->rows[c] = l2_arena_alloc(arena, all * e->dim, sizeof **s->rows, err);
    s->completion[c] = l2_arena_alloc(arena, e->dim, sizeof **s->completion, err);
    if (!s->rows[c] || !s->completion[c])
        return L2_MEMORY;
    memcpy(s->rows[c], s->prompt_rows, from_prompt * e->dim * sizeof **s->rows);
    memcpy(s->completion[c], s->prompt, e->dim * sizeof **s->completion);
    return L2_OK;
}

static int output_row(void *arg, struct l2_feed_item *item, size_t completion, uint32_t position,
                      const float *values, uint32_t width, struct l2_err *err)
{
    const struct embedder *e = arg;
    struct sums *s = item->scratch;
    double *sum = s->prompt;
    float *row = s->prompt_rows;
    if (completion != L2_FEED_PROMPT) {
        int r = open_completion(e, item, completion, err);
        if (r != L2_OK)
            return r;
        sum = s->completion[completion];
        row = s->rows[completion];
        position += item->n_prompt;
    }
    memcpy(row + (keeps_all_rows(e) ? (size_t)position * width : 0), values, width * sizeof *row);
    for (uint32_t i = 0; e->opts.pooling == L2_POOL_MEAN && i < width; i++)
        sum[i] += values[i];
    return L2_OK;
}

/* Scales each of n rows to L2 norm 1; a row of zeros stays. False when a value is not finite. */
static bool finish_rows(const struct embedder *e, float *rows, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float *row = rows + j * e->dim;
        double square = 0;
        for (uint32_t i = 0; i < e->dim; i++)
            square += (double)row[i] * row[i];
        if (!isfinite(square))
            return false;
        double scale = e->opts.normalize && square > 0 ? 1 / sqrt(square) : 1;
        for (uint32_t i = 0; i < e->dim; i++)
            row[i] = (float)(row[i] * scale);
    }
    return true;
}

static int finish(void *arg, struct l2_feed_item *item, size_t completion, uint32_t n,
                  struct l2_err *err)
{
    const struct embedder *e = arg;
    struct l2_record *rec = item->rec;
    struct sums *s = item->scratch;
    size_t positions = item->n_prompt;
    bool is_prompt = completion == L2_FEED_PROMPT;
    if (!is_prompt) {
        int r = open_completion(e, item, completion, err);
        if (r != L2_OK)
            return r;
        positions += n;
    }
    if (positions == 0)
        return l2_err_set(err, L2_CORRUPT, "no tokens to embed: prompt and completion are empty");
    float *rows = is_prompt ? s->prompt_rows : s->rows[completion];
    double *sum = is_prompt ? s->prompt : s->completion[completion];
    for (uint32_t i = 0; e->opts.pooling == L2_POOL_MEAN && i < e->dim; i++)
        rows[i] = (float)(sum[i] / (double)positions);
    size_t n_out = keeps_all_rows(e) ? positions : 1;
    if (!finish_rows(e, rows, n_out))
        return l2_err_set(err, L2_CORRUPT, "a hidden state is not finite");
    struct l2_f32s embedding = {rows, n_out * e->dim};
    if (is_prompt) {
        rec->embedding = embedding;
        rec->embedding_rows = keeps_all_rows(e) ? n_out : 0;
    } else {
        rec->completions[completion].embedding = embedding;
        rec->completions[completion].embedding_rows = keeps_all_rows(e) ? n_out : 0;
    }
    return L2_OK;
}

int l2_embedder_new(struct l2_worker **out, struct l2_engine *e, const struct l2_embed_opts *opts,
                    struct l2_err *err)
{
    *out = NULL;
    struct embedder *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    s->opts = *opts;
    s->dim = l2_engine_hparams(e)->dim;
    struct l2_feed_visitor v = {
        .output = L2_OUT_HIDDEN,
        .arg = s,
        .begin = begin,
        .n_rows = n_rows,
        .wants = wants,
        .output_row = output_row,
        .finish = finish,
        .free = free,
    };
    return l2_feed_new(out, e, &v, opts->overlong, err);
}
