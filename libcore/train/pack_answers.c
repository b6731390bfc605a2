/* Packing prompts with their answers, of which only the answers are predicted. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "train/data_state.h"

#define MOST 64 /* answers that share one copy of their prompt */

/* A prompt and some of its answers, as they go into a sequence together. */
struct unit {
    uint32_t first, end;  /* the answers that were looked at */
    size_t n_prompt;      /* ids */
    size_t kept, cut;     /* of the prompt: ids that stay in front of cut ids that do not */
    uint32_t which[MOST]; /* the answers */
    size_t n[MOST];       /* their ids */
    size_t n_answers, rows;
    uint64_t overlong, empty, truncated; /* for the counts */
};

static const struct l2_answer *answer_of(const struct l2_data *d, uint32_t i)
{
    return &l2_data_examples(d)->answers[d->x->answers + i];
}

/* True when id i of the answer (of n of its own, EOS may follow) is predicted. */
static bool is_predicted(const struct l2_data *d, const struct l2_answer *a, size_t i)
{
    const uint32_t *spans = l2_data_examples(d)->ids.v + a->spans;
    if (!a->has_spans)
        return true;
    for (uint32_t s = 0; s < a->n_spans; s++)
        if (i >= spans[2 * s] && i < spans[2 * s + 1])
            return true;
    return i == a->n && a->n_spans > 0 && spans[2 * a->n_spans - 1] == a->n;
}

static bool predicts_prompt(const struct l2_data *d, const struct unit *u)
{
    return d->opts.earlier_turns && u->first == 0 && d->x->n_spans > 0;
}

/* True when none of the first n ids is predicted. */
static bool is_empty(const struct l2_data *d, const struct unit *u, uint32_t which, size_t n)
{
    for (size_t i = u->n_prompt > 0 ? 0 : 1; i < n; i++)
        if (is_predicted(d, answer_of(d, which), i))
            return false;
    return n == 0 || !predicts_prompt(d, u);
}

/* Decides about the next answer, of n ids. False: the unit ends before it. */
static bool join(const struct l2_data *d, struct unit *u, uint32_t which, size_t n)
{
    size_t limit = (size_t)d->opts.context + 1; /* the last id is predicted and not read */
    bool overlong = u->n_prompt + n > limit;
    struct l2_data_cut cut = {.answer = n};
    if (u->n_answers == MOST || (overlong && u->n_answers > 0))
        return false;
    if (overlong)
        cut = l2_data_cut(d, u->n_prompt, n, limit);
    if (overlong && cut.answer == 0) {
        u->overlong++;
        return true;
    }
    if (is_empty(d, u, which, cut.answer)) {
        u->empty++;
        return true;
    }
    size_t rows = cut.answer - 1;
    if (u->n_answers == 0)
        rows += u->n_prompt - cut.prompt;
    else if (u->rows + rows > d->opts.context)
        return false;
    u->rows += rows;
    u->truncated += overlong;
    u->kept = cut.kept;
    u->cut = cut.prompt;
    u->which[u->n_answers] = which;
    u->n[u->n_answers++] = cut.answer;
    return !overlong;
}

/* Makes a unit of the example's answers from d->answer on. */
static int make_unit(struct l2_data *d, struct unit *u, struct l2_err *err)
{
    int rc = l2_data_take_prompt(d, err);
    *u = (struct unit){.first = d->answer, .end = d->answer, .n_prompt = d->document.n};
    while (rc == L2_OK && u->end < d->x->n_answers) {
        size_t n, before = u->n_answers;
        d->document.n = u->n_prompt;
        rc = l2_data_take_answer(d, u->end, &n, err);
        if (rc != L2_OK)
            return rc;
        bool more = join(d, u, u->end, n);
        if (!more && u->n_answers == before)
            break;
        u->end++;
        if (!more)
            break;
    }
    return rc;
}

/* Predicts the spans of the prompt, which begins at row. */
static int add_prompt_targets(struct l2_data *d, const struct unit *u, size_t row,
                              struct l2_err *err)
{
    const uint32_t *spans = l2_data_examples(d)->ids.v + d->x->spans;
    size_t shift = u->n_prompt - d->x->n; /* 1 where BOS was put in front */
    size_t least = u->cut > 0 ? u->kept + u->cut + 1 : 1;
    int rc = L2_OK;
    for (uint32_t s = 0; s < d->x->n_spans; s++)
        for (size_t i = spans[2 * s] + shift; i < spans[2 * s + 1] + shift && rc == L2_OK; i++)
            if (i >= least)
                rc = l2_data_add_target(d, row + i - u->cut - 1, d->document.v[i], err);
    return rc;
}

static int add_prompt(struct l2_data *d, const struct unit *u, uint32_t *span, struct l2_err *err)
{
    size_t row = d->tokens.n, behind = u->kept + u->cut;
    int rc = l2_ids_append_n(&d->tokens, d->document.v, u->kept, err);
    if (rc == L2_OK)
        rc = l2_ids_append_n(&d->tokens, d->document.v + behind, u->n_prompt - behind, err);
    if (rc == L2_OK)
        rc = l2_data_add_span(d, u->n_prompt - u->cut, L2_NO_PARENT, span, err);
    if (rc == L2_OK && predicts_prompt(d, u))
        rc = add_prompt_targets(d, u, row, err);
    return rc;
}

/* Answer j of the unit, at the end of d->document. */
static int take_unit_answer(struct l2_data *d, const struct unit *u, size_t j, struct l2_err *err)
{
    size_t n;
    d->document.n = u->n_prompt;
    return l2_data_take_answer(d, u->which[j], &n, err);
}

/* The first ids of all answers are predicted at the prompt's last row. */
static int add_first_targets(struct l2_data *d, const struct unit *u, struct l2_err *err)
{
    size_t row = d->tokens.n - 1;
    int rc = L2_OK;
    if (u->n_prompt == u->cut)
        return L2_OK;
    for (size_t j = 0; j < u->n_answers && rc == L2_OK; j++) {
        rc = take_unit_answer(d, u, j, err);
        if (rc == L2_OK && is_predicted(d, answer_of(d, u->which[j]), 0))
            rc = l2_data_add_target(d, row, d->document.v[u->n_prompt], err);
    }
    return rc;
}

static int add_answer(struct l2_data *d, const struct unit *u, size_t j, uint32_t prompt,
                      struct l2_err *err)
{
    const struct l2_answer *a = answer_of(d, u->which[j]);
    size_t row = d->tokens.n;
    uint32_t span;
    int rc = take_unit_answer(d, u, j, err);
    if (rc != L2_OK)
        return rc;
    const uint32_t *ids = d->document.v + u->n_prompt;
    rc = l2_ids_append_n(&d->tokens, ids, u->n[j] - 1, err);
    if (rc == L2_OK)
        rc = l2_data_add_span(d, u->n[j] - 1, prompt, &span, err);
    for (size_t i = 1; i < u->n[j] && rc == L2_OK; i++)
        if (is_predicted(d, a, i))
            rc = l2_data_add_target(d, row + i - 1, ids[i], err);
    return rc;
}

static int add_unit(struct l2_data *d, const struct unit *u, struct l2_err *err)
{
    uint32_t prompt = L2_NO_PARENT;
    int rc = add_prompt(d, u, &prompt, err);
    if (rc == L2_OK)
        rc = add_first_targets(d, u, err);
    for (size_t j = 0; j < u->n_answers && rc == L2_OK; j++)
        rc = add_answer(d, u, j, prompt, err);
    return rc;
}

/* The example's answers up to u->end are done with. */
static void commit(struct l2_data *d, const struct unit *u)
{
    d->counts.dropped_overlong += u->overlong;
    d->counts.dropped_empty += u->empty + (d->x->n_answers == 0);
    d->counts.truncated += u->truncated;
    d->counts.examples += u->n_answers;
    d->answer = u->end;
    if (u->n_answers > 0)
        d->fruitless = 0;
    if (d->answer >= d->x->n_answers)
        l2_data_example_done(d, u->n_answers > 0);
}

int l2_data_pack_answers(struct l2_data *d, struct l2_err *err)
{
    size_t base = d->tokens.n;
    struct unit u;
    int rc;
    while ((rc = l2_data_example(d, err)) == L2_OK) {
        if ((rc = make_unit(d, &u, err)) != L2_OK)
            return rc;
        if (d->tokens.n - base + u.rows > d->opts.context)
            break;
        if (u.n_answers > 0 && (rc = add_unit(d, &u, err)) != L2_OK)
            return rc;
        commit(d, &u);
    }
    return rc == L2_END && d->tokens.n > base ? L2_OK : rc;
}
