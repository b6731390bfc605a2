/* A completion as it grows, and what of it is kept when it ends. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/growing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/grow.h"

void l2_growing_release(struct l2_growing *g)
{
    l2_ids_release(&g->tokens);
    l2_buf_release(&g->text);
    free(g->logprobs);
    free(g->sampled);
    free(g->ends);
    *g = (struct l2_growing){0};
}

int l2_growing_begin(struct l2_growing *g, const struct l2_growing_rules *rules,
                     const uint32_t *before, size_t n_before, bool continuation, size_t max_new,
                     struct l2_err *err)
{
    g->tokens.n = 0;
    g->text.len = 0;
    g->n_before = before ? n_before : 0;
    g->n = 0;
    g->max_new = max_new;
    g->stop = (struct l2_stop_state){0};
    g->cut = 0;
    g->finish = L2_FINISH_NONE;
    if (rules->stop)
        l2_decoder_init(&g->decoder, rules->vocab, continuation);
    return before ? l2_ids_append_n(&g->tokens, before, n_before, err) : L2_OK;
}

/* Room for one more token. */
static int grow(struct l2_growing *g, struct l2_err *err)
{
    size_t cap = g->cap ? g->cap * 2 : 64;
    int rc;
    if (g->n < g->cap)
        return L2_OK;
    if ((rc = l2_resize(&g->logprobs, cap, sizeof *g->logprobs, err)) < 0 ||
        (rc = l2_resize(&g->sampled, cap, sizeof *g->sampled, err)) < 0 ||
        (rc = l2_resize(&g->ends, cap, sizeof *g->ends, err)) < 0)
        return rc;
    g->cap = cap;
    return L2_OK;
}

static bool is_eos(const struct l2_growing_rules *rules, uint32_t id)
{
    for (uint32_t i = 0; i < rules->n_eos; i++)
        if (rules->eos[i] == id)
            return true;
    return false;
}

/* Adds the token's text and searches. An id outside the vocabulary stands for no text. */
static int check_stop(struct l2_growing *g, const struct l2_growing_rules *rules, uint32_t id,
                      struct l2_err *err)
{
    size_t before = g->text.len;
    bool found = false;
    int rc = L2_OK;
    if (id < l2_vocab_size(rules->vocab))
        rc = l2_decode_id(&g->decoder, id, &g->text, err);
    g->ends[g->n - 1] = g->decoder.n_held ? SIZE_MAX : g->text.len;
    if (rc == L2_OK && g->text.len > before)
        rc = l2_stop_search(rules->stop, &g->stop, (const char *)g->text.data, g->text.len, &found,
                            &g->cut, err);
    if (found)
        g->finish = L2_FINISH_STOP;
    return rc;
}

int l2_growing_push(struct l2_growing *g, const struct l2_growing_rules *rules,
                    const struct l2_draw *draw, struct l2_err *err)
{
    int rc;
    assert(g->finish == L2_FINISH_NONE && g->n < g->max_new);
    if ((rc = grow(g, err)) < 0 || (rc = l2_ids_append(&g->tokens, draw->id, err)) < 0)
        return rc;
    g->logprobs[g->n] = draw->logprob;
    g->sampled[g->n] = draw->sampled_logprob;
    g->n++;
    if (is_eos(rules, draw->id))
        g->finish = L2_FINISH_EOS;
    else if (rules->stop && (rc = check_stop(g, rules, draw->id, err)) < 0)
        return rc;
    if (g->finish == L2_FINISH_NONE && g->n == g->max_new)
        g->finish = L2_FINISH_LENGTH;
    return L2_OK;
}

/* Tokens whose text ends at or before the cut; one that ends inside a character goes with the token
 * that finishes the character. */
static size_t tokens_before_cut(const struct l2_growing *g)
{
    size_t n = g->n;
    while (n > 0 && g->ends[n - 1] > g->cut)
        n--;
    return n;
}

static int copy_series(struct l2_arena *arena, const float *v, size_t n, struct l2_f32s *out,
                       struct l2_err *err)
{
    out->v = l2_arena_alloc(arena, n, sizeof *v, err);
    if (!out->v)
        return L2_MEMORY;
    if (n > 0)
        memcpy(out->v, v, n * sizeof *v);
    out->n = n;
    return L2_OK;
}

int l2_growing_result(const struct l2_growing *g, const struct l2_growing_rules *rules,
                      struct l2_arena *arena, struct l2_completion *out, struct l2_err *err)
{
    size_t n = g->finish == L2_FINISH_STOP ? tokens_before_cut(g) : g->n;
    int rc;
    out->tokens.v = l2_arena_alloc(arena, n, sizeof *out->tokens.v, err);
    if (!out->tokens.v)
        return L2_MEMORY;
    if (n > 0)
        memcpy(out->tokens.v, g->tokens.v + g->n_before, n * sizeof *out->tokens.v);
    out->tokens.n = n;
    out->finish = g->finish;
    if (rules->keep_logprobs) {
        if ((rc = copy_series(arena, g->logprobs, n, &out->series[L2_LOGPROBS], err)) < 0)
            return rc;
        if (rules->keep_sampled &&
            (rc = copy_series(arena, g->sampled, n, &out->series[L2_SAMPLED_LOGPROBS], err)) < 0)
            return rc;
    }
    if (g->finish == L2_FINISH_STOP && g->cut != (n > 0 ? g->ends[n - 1] : 0)) {
        out->text.s = l2_arena_strdup(arena, g->text.data, g->cut, err);
        if (!out->text.s)
            return L2_MEMORY;
        out->text.n = g->cut;
    }
    return L2_OK;
}
