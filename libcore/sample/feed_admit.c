/* What a feed takes in: checks, truncation, the blocks that a record holds. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sample/feed_state.h"

#include <assert.h>
#include <stdlib.h>

static int check_ids(const struct l2_record *rec, const struct l2_u32s *ids, const char *where,
                     uint32_t vocab_size, struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    if (!ids->v)
        return l2_err_set(err, L2_FORMAT, "record %s: text, not token ids: l2-tokenize makes them",
                          id);
    for (size_t i = 0; i < ids->n; i++)
        if (ids->v[i] >= vocab_size)
            return l2_err_set(err, L2_CORRUPT,
                              "record %s: token %zu of the %s: want an id below %u, got %u", id, i,
                              where, vocab_size, ids->v[i]);
    return L2_OK;
}

/* The stream's header may not have a vocabulary that bounds ids. */
static int check_tokens(const struct l2_feed *f, const struct l2_record *rec, struct l2_err *err)
{
    uint32_t vocab_size = l2_engine_hparams(f->engine)->vocab_size;
    int r = check_ids(rec, &rec->prompt, "prompt", vocab_size, err);
    for (size_t c = 0; c < rec->n_completions && r == L2_OK; c++)
        r = check_ids(rec, &rec->completions[c].tokens, "completion", vocab_size, err);
    return r;
}

uint32_t l2_feed_completion_tokens(const struct l2_feed *f, const struct l2_record *rec, size_t c,
                                   uint32_t n_prompt)
{
    uint32_t room = l2_engine_hparams(f->engine)->context - n_prompt;
    size_t n = rec->completions[c].tokens.n;
    return n < room ? (uint32_t)n : room;
}

static size_t longest_completion(const struct l2_record *rec)
{
    size_t most = 0;
    for (size_t c = 0; c < rec->n_completions; c++)
        if (rec->completions[c].tokens.n > most)
            most = rec->completions[c].tokens.n;
    return most;
}

static int overlong_error(const struct l2_feed *f, const struct l2_record *rec, size_t longest,
                          struct l2_err *err)
{
    char id[128];
    l2_id_format(&rec->id, id, sizeof id);
    return l2_err_set(
        err, L2_LIMIT,
        "record %s: too long for the context: want at most %u tokens, got a prompt of %zu "
        "and a completion of %zu",
        id, l2_engine_hparams(f->engine)->context, rec->prompt.n, longest);
}

/* Decides how much of a record is run. *drop: nothing. */
static int fit_to_context(struct l2_feed *f, struct l2_feed_flight *t, bool *drop,
                          struct l2_err *err)
{
    const struct l2_record *rec = t->item.rec;
    size_t context = l2_engine_hparams(f->engine)->context;
    size_t n_prompt = rec->prompt.n, longest = longest_completion(rec);
    *drop = false;
    if (n_prompt <= context && longest <= context - n_prompt) {
        t->item.n_prompt = (uint32_t)n_prompt;
        return L2_OK;
    }
    switch (f->overlong) {
    case L2_OVERLONG_ERROR:
        return overlong_error(f, rec, longest, err);
    case L2_OVERLONG_DROP:
        *drop = true;
        f->faults.dropped++;
        return L2_OK;
    case L2_OVERLONG_TRUNCATE_LEFT:
        /* BOS stays; a completion that leaves no room even so is cut at its end */
        t->item.n_prompt = longest < context ? (uint32_t)(context - longest) : 1;
        if (t->item.n_prompt > n_prompt)
            t->item.n_prompt = (uint32_t)n_prompt;
        t->forgotten = (uint32_t)(n_prompt - t->item.n_prompt);
        t->n_kept = n_prompt > 0 && rec->prompt.v[0] == l2_engine_hparams(f->engine)->bos;
        break;
    case L2_OVERLONG_TRUNCATE_RIGHT:
        t->item.n_prompt = (uint32_t)(n_prompt < context ? n_prompt : context);
        break;
    }
    f->faults.truncated++;
    return L2_OK;
}

/* Blocks that a record holds from the start, and the rows that it will run. */
static void plan(struct l2_feed *f, struct l2_feed_flight *t)
{
    const struct l2_feed_visitor *v = &f->visitor;
    uint32_t most = 0, n = t->item.n_prompt;
    t->n_prompt_rows = v->n_rows(v->arg, &t->item, L2_FEED_PROMPT, n);
    f->rows_ahead += t->n_prompt_rows;
    for (size_t c = 0; c < t->item.rec->n_completions; c++) {
        uint32_t rows =
            v->n_rows(v->arg, &t->item, c, l2_feed_completion_tokens(f, t->item.rec, c, n));
        most = rows > most ? rows : most;
        f->rows_ahead += rows;
    }
    t->blocks = l2_kv_blocks_for(t->n_prompt_rows + most);
}

int l2_feed_add(struct l2_feed *f, struct l2_record *rec, struct l2_err *err)
{
    bool drop = false;
    struct l2_feed_flight *t = calloc(1, sizeof *t);
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->item.rec = rec;
    int r = check_tokens(f, rec, err);
    if (r == L2_OK)
        r = fit_to_context(f, t, &drop, err);
    if (r == L2_OK && !drop)
        r = f->visitor.begin(f->visitor.arg, &t->item, err);
    if (r != L2_OK) {
        free(t);
        return r;
    }
    if (drop)
        t->done = true;
    else
        plan(f, t);
    /* the pool holds a whole context */
    assert(t->blocks <= f->budget.total);
    if (!drop && !l2_kv_budget_commit(&f->budget, t->blocks))
        f->waiting = t;
    if (f->last)
        f->last->next = t;
    else
        f->first = t;
    f->last = t;
    return L2_OK;
}
